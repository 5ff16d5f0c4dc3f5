"""Linked settings: one value at the top level of a config for every place that leaves it open."""

from collections.abc import Iterable, Iterator
from typing import Any

from mmengine.config import Config

LINKED = ('data_root', 'img_size', 'lr_size', 'lr_method', 'fit')
"""Top-level settings that nested settings of the same name follow, see :func:`link`."""


def link(cfg: Config) -> None:
    """Give nested settings that are None the value of the top-level setting of that name.

    What a user has set stays. ``cfg.linked`` keeps which places were filled and with what, so that
    they follow again when the top-level setting changes. Runner.from_cfg does this, too, whoever
    calls it.
    """
    unlink(cfg)
    filled = {}
    for name in LINKED:
        for path, part in _places(cfg._cfg_dict, name):
            if part[name] is None and cfg.get(name) is not None:
                part[name] = filled[path] = cfg[name]
    if filled:
        cfg.linked = filled


def unlink(cfg: Config) -> None:
    """Open again what :func:`link` filled and nobody has changed since."""
    filled = cfg._cfg_dict.pop('linked', None)
    for name in LINKED if isinstance(filled, dict) else ():
        for path, part in _places(cfg._cfg_dict, name):
            if path in filled and part[name] == filled[path]:
                part[name] = None


def check_followed(cfg: Config, names: Iterable[str]) -> None:
    """Refuse top-level settings that a user has changed and that no nested setting follows.

    Args:
        cfg: A linked config.
        names: Those that were changed.

    Raises:
        ValueError: Naming the values in use.
    """
    for name in [name for name in names if name in LINKED]:
        values = [part[name] for _, part in _places(cfg._cfg_dict, name)]
        if cfg[name] not in values:
            where = f'sets {name} to {values} where it is used; change it there'
            nowhere = f'has no part with {name}; leave it out'
            raise ValueError(
                f'{name}={cfg[name]!r} changes nothing: the config {where if values else nowhere}'
            )


def _places(node: Any, name: str, path: str = '') -> Iterator[tuple[str, dict]]:
    """Dicts below the top level that have a setting, each after the setting's path."""
    for key, child in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(child, (dict, list, tuple)):
            if isinstance(child, dict) and name in child:
                yield f'{path}{key}.{name}', child
            yield from _places(child, name, f'{path}{key}.')
