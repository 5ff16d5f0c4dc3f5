"""I2I-LR, image-to-image translation with low-resolution conditioning, for MMagic."""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .inference.matching import match

__version__ = '0.1.0'
__all__ = ['__version__', 'match', 'register']


if sys.version_info < (3, 10):  # noqa: UP036
    version = sys.version.split()[0]
    raise ImportError(
        f'i2ilr_mm needs Python 3.10 or newer, and this is {version}: use a newer one'
    )


def __getattr__(name: str) -> Any:
    """``match`` is read when it is first asked for: `i2ilr_mm` by -m imports nothing heavy."""
    if name != 'match':
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from .inference.matching import match

    return match


_registered = False


def register() -> None:
    """Put our parts into MMagic's registries; importing the package does.

    Raises:
        ImportError: If a package is missing or does not fit.
    """
    global _registered
    if _registered:
        return
    from . import compat

    with compat.garbage_collection_off():
        compat.apply()

        from . import (  # noqa: F401
            datasets,
            engine,
            evaluation,
            heads64,
            inference,
            models,
            runners,
        )

        runners.link_configs_of_runners()
    _registered = True  # after an error halfway the next call tries again


def _named_by_m() -> bool:
    """Whether this is ``python -m i2ilr_mm``, which reads its arguments before anything heavy."""
    arguments = sys.orig_argv
    return (
        sys.argv[:1] == ['-m']  # the module to run is still being looked for
        and '-m' in arguments
        and arguments[arguments.index('-m') + 1 :][:1] == ['i2ilr_mm']
    )


if not _named_by_m():
    register()
