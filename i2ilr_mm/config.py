"""Reading configs, with options that reach every setting that depends on them."""

import copy
import inspect
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner

from i2ilr.files import at_home

from .hints import brief
from .linking import check_followed, link, unlink
from .models.generator import scale_steps
from .parts import check_parts, is_i2ilr
from .settings import check_settings, check_top_level
from .switches import settle

RUNNER_SETTINGS = inspect.signature(Runner.__init__).parameters
"""Top-level settings that MMEngine reads whether or not the config has them."""


def load_config(
    config: str | os.PathLike | Config,
    options: dict[str, Any] | None = None,
    protocol: str | os.PathLike | None = None,
) -> Config:
    """Read a config file and lay options over it.

    Nested settings that are None follow the top level (:func:`~i2ilr_mm.linking.link`).

    Args:
        config: A config file, the name of one (:func:`find_config`), or a loaded config, which is
            copied.
        options: Keys as for --cfg-options, such as ``img_size`` or ``model.ema_decay``.
        protocol: A config file whose settings take the place of those of the same name, as the
            test pairs and scores of configs/protocols do; None keeps the config's own.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If an option names a setting that the config does not have, or the sizes do not
            fit each other.
    """
    cfg = copy_config(config) if isinstance(config, Config) else read_config(config)
    unlink(cfg)
    if protocol is not None:
        for name, value in read_config(protocol).items():
            cfg[name] = value
    options = dict(options or {})
    for name in options:
        if name.partition('.')[0] == 'custom_imports':
            raise ValueError(
                f'option {name!r} comes too late: modules are imported when the config is read; '
                f'write custom_imports into a config of your own'
            )
        check_known(cfg, name)
    _set(cfg, options)
    prepare(cfg, options)
    return cfg


def prepare(cfg: Config, changed: Iterable[str]) -> None:
    """Link a config, and refuse all in it that cannot work, before anything is built.

    Args:
        cfg: The config; it is changed.
        changed: Names at its top level that were changed after it was read.

    Raises:
        ValueError: Saying what was given, what is accepted and what to do.
    """
    settle(cfg)
    link(cfg)
    check_followed(cfg, changed)
    check_top_level(cfg)
    check_parts(cfg)  # its advice says more than that a name is unknown
    check_settings(cfg)
    check_config(cfg)


def copy_config(config: Config | dict) -> Config:
    """A Config that shares nothing with the given config."""
    if isinstance(config, Config):
        text = config.text or '#'  # without one MMEngine opens the file
        return Config(config._cfg_dict.to_dict(), cfg_text=text, filename=config.filename)
    return Config(copy.deepcopy(dict(config)))


def config_folder() -> Path:
    """Where the project's configs are: in the installed package, or in the checkout."""
    installed = Path(__file__).parent / '.mim' / 'configs'
    return installed if installed.is_dir() else Path(__file__).parents[1] / 'configs'


def find_config(name: str | os.PathLike) -> str:
    """Find a config file by its path, or by its name among the configs of the project.

    Args:
        name: A path, or a name such as 'i2ilr_heads64' or 'published/i2ilr_afhq', with .py or
            without; 'configs/', as in a checkout, may stand before it.

    Raises:
        FileNotFoundError: If there is none; names those there are.
    """
    name = at_home(name)
    if os.path.isfile(name):
        return name
    folder = config_folder()
    if not os.path.isabs(name):
        own = name.removeprefix('configs/')
        for candidate in (folder / own, folder / f'{own}.py'):
            if candidate.is_file():
                return str(candidate)
    pattern = 'protocols/*.py' if name.startswith('protocols') else '**/i2ilr_*.py'
    files = [path.relative_to(folder).with_suffix('') for path in folder.glob(pattern)]
    raise FileNotFoundError(
        f"there is no config file '{name}', and none of the project's has that name; they are: "
        + ', '.join(sorted(file.as_posix() for file in files))
    )


def read_config(path: str | os.PathLike) -> Config:
    """Run a config file.

    Raises:
        FileNotFoundError: If the file, or a file in its _base_, does not exist.
        ValueError: If running it raises any error.
    """
    file = find_config(path)
    try:
        return Config.fromfile(file)
    except (Exception, SystemExit) as error:  # a config is a program
        line = f', line {error.lineno}' if isinstance(error, SyntaxError) else ''
        why = str(error).strip().partition('\n')[0]
        raise ValueError(
            f"the config '{file}'{line} cannot be read: {type(error).__name__}: {why}"
        ) from error


def _parent(cfg: Config, name: str) -> tuple[Any, Any]:
    """The dict or list that holds an option, and the option's key in it.

    Raises:
        ValueError: If there is no such place; a typing error, most often.
    """
    *path, last = name.split('.')
    parent = _descend(cfg._cfg_dict, path, name)
    if isinstance(parent, list):
        if not last.isdecimal() or int(last) >= len(parent):
            raise ValueError(
                f'option {name!r}: there is no {last!r} in a list of {len(parent)}, which are '
                f'counted from 0'
            )
        return parent, int(last)
    if not isinstance(parent, dict):
        raise ValueError(
            f'option {name!r}: the config has {brief(parent)} where {last!r} should go; give the '
            f'whole setting as a dict, as in SETTING=\'{{"type": ..., "NAME": ...}}\''
        )
    return parent, last


def _descend(node: Any, path: list[str], name: str) -> Any:
    for part in path:
        if isinstance(node, list) and part.isdecimal() and int(part) < len(node):
            node = node[int(part)]
        elif isinstance(node, dict) and part in node:
            node = node[part]
        else:
            raise ValueError(f'option {name!r}: the config has no {part!r}; check the spelling')
    return node


def check_known(cfg: Config, name: str) -> None:
    """Refuse an option for which a config has no place.

    Raises:
        ValueError: Naming what the config has.
    """
    parent, last = _parent(cfg, name)
    if parent is cfg._cfg_dict and last not in parent and last not in RUNNER_SETTINGS:
        names = ', '.join(sorted(k for k in parent if not k.startswith('_')))
        raise ValueError(f'option {name!r} is not in the config; at the top level are: {names}')


def _set(cfg: Config, options: dict[str, Any]) -> None:
    """Dicts are merged into dicts; everything else takes the place of what was there.

    Raises:
        ValueError: If the settings of a part would be replaced by a number or a word.
    """
    for name, value in options.items():
        parent, last = _parent(cfg, name)
        current = parent[last] if isinstance(parent, list) else parent.get(last)
        if isinstance(current, dict) and isinstance(value, dict):
            cfg.merge_from_dict({name: value})
        elif not isinstance(current, dict) or value is None or last == 'compile':
            parent[last] = ConfigDict(value=value)['value']
        else:
            raise ValueError(
                f'option {name!r} is {brief(value)}; it has settings of its own, '
                f'{", ".join(current) or "none yet"}: set one of them, such as {name}.NAME=VALUE, '
                f'or give a dict; None takes it out'
            )


def check_config(cfg: Config) -> None:
    """Refuse sizes that cannot work with I2ILR, before anything is built.

    Raises:
        ValueError: Saying what was given and what is accepted.
    """
    if not is_i2ilr(cfg):
        return
    if 'img_size' in cfg and 'lr_size' in cfg:
        scale_steps(cfg.img_size, cfg.lr_size)
    _check_batches(cfg)


def _check_batches(cfg: Config) -> None:
    batch_size = (cfg.get('train_dataloader') or {}).get('batch_size', 2)
    if not isinstance(batch_size, int) or batch_size < 2 or batch_size % 2:
        raise ValueError(
            f'train_dataloader.batch_size is {batch_size!r}; pairs need an even number, at least 2'
        )
    accumulation = (cfg.get('model') or {}).get('accumulation', 1)
    if not isinstance(accumulation, int) or accumulation < 1:
        raise ValueError(f'model.accumulation is {accumulation!r}; it counts parts, at least 1')
    if batch_size % (2 * accumulation):
        raise ValueError(
            f'model.accumulation is {accumulation!r} with train_dataloader.batch_size={batch_size}'
            f': every part needs whole pairs, so batch_size must be a multiple of 2 * accumulation'
        )
