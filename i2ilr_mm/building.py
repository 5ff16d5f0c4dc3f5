"""Errors that come up while a config is built, told in one sentence that names the setting."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.config import Config

from i2ilr.files import in_one_line

RUNNER_STEPS = {
    'setup_env': 'env_cfg',
    'set_randomness': 'randomness',
    'build_log_processor': 'log_processor',
    'build_logger': 'log_level',
    'build_visualizer': 'visualizer',
    'build_model': 'model',
    'wrap_model': 'model_wrapper_cfg',
    'register_default_hooks': 'default_hooks',
    'register_custom_hooks': 'custom_hooks',
    'build_train_loop': 'train_cfg',
    'build_val_loop': 'val_cfg',
    'build_test_loop': 'test_cfg',
    'build_optim_wrapper': 'optim_wrapper',
    'scale_lr': 'auto_scale_lr',
    'build_param_scheduler': 'param_scheduler',
    'load_or_resume': 'load_from',
}
"""Methods of MMEngine's Runner -> the setting that they work on."""


@contextmanager
def config_errors(cfg: Config, building: bool = True) -> Iterator[None]:
    """Turn errors of any kind that a setting causes into one sentence.

    Errors that our own code raises for users pass as they are.

    Args:
        cfg: What is built.
        building: Whether all that happens inside is building. If not, as in a training, only errors
            of a part that is being built are turned.

    Raises:
        ValueError: Naming the setting, and what the class said.
    """
    try:
        yield
    except Exception as error:
        place = _place(error, cfg)
        if _is_for_users(error) or (place is None and not building):
            raise
        reason = error.args[0] if isinstance(error, KeyError) and error.args else error
        text = in_one_line(str(reason)) or type(error).__name__
        raise ValueError(f'{place or "the config"} cannot be built: {text}') from error


def _is_for_users(error: Exception) -> bool:
    if not isinstance(error, (ValueError, OSError, ImportError)):
        return False
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals.get('__name__')).partition('.')[0] in ('i2ilr', 'i2ilr_mm')


def _place(error: Exception, cfg: Config) -> str | None:
    """The path of the innermost setting that was being built."""
    place = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        name, module = frame.f_code.co_name, str(frame.f_globals.get('__name__'))
        if name == 'build_from_cfg' and module.startswith('mmengine.'):
            part = frame.f_locals.get('cfg')
            if isinstance(part, dict):
                place = _path_of(cfg._cfg_dict, part) or place
        elif name in RUNNER_STEPS and module.startswith('mmengine.'):
            place = RUNNER_STEPS[name]
    return place


def _path_of(node: Any, part: dict) -> str | None:
    """Where a part stands in a config; MMEngine may have added to it since."""
    for name, child in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(child, dict) and child and all(_same(part, k, v) for k, v in child.items()):
            return str(name)
        if isinstance(child, (dict, list, tuple)) and (below := _path_of(child, part)):
            return f'{name}.{below}'
    return None


def _same(part: dict, name: str, value: Any) -> bool:
    return name in part and (part[name] is value or part[name] == value)
