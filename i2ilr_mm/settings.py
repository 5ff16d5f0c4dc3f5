"""A config's settings, checked before anything is built.

MMEngine passes a dict with a ``type`` to the class of that name. So the class's signature says what
the dict may hold (hints.py), and tables say which numbers and words make sense (limits.py).
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch.utils.data
from mmagic import registry as mmagic
from mmengine import registry as mmengine
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import Registry
from mmengine.runner import Runner

from i2ilr.files import in_one_line

from .hints import accepted, brief, fits, nearest, registered, shown, unknown_type
from .limits import OURS, outside
from .linking import LINKED
from .parts import is_i2ilr
from .together import misfits

# Key of a config -> the registry that the types below it are looked up in.
REGISTRIES: dict[str, Registry] = {
    'model': mmagic.MODELS,
    'network': mmagic.MODELS,
    'dataset': mmagic.DATASETS,
    'sampler': mmagic.DATA_SAMPLERS,
    'batch_sampler': mmagic.DATA_SAMPLERS,
    'pipeline': mmagic.TRANSFORMS,
    'collate_fn': mmengine.FUNCTIONS,
    'worker_init_fn': mmengine.FUNCTIONS,
    'real': mmagic.DATASETS,
    'default_hooks': mmagic.HOOKS,
    'custom_hooks': mmagic.HOOKS,
    'val_evaluator': mmagic.METRICS,
    'test_evaluator': mmagic.METRICS,
    'metrics': mmagic.METRICS,
    'train_cfg': mmagic.LOOPS,
    'val_cfg': mmagic.LOOPS,
    'test_cfg': mmagic.LOOPS,
    'optim_wrapper': mmagic.OPTIM_WRAPPERS,
    'optimizer': mmagic.OPTIMIZERS,
    'param_scheduler': mmagic.PARAM_SCHEDULERS,
    'visualizer': mmagic.VISUALIZERS,
    'vis_backends': mmagic.VISBACKENDS,
    'log_processor': mmagic.LOG_PROCESSORS,
    'model_wrapper_cfg': mmengine.MODEL_WRAPPERS,
}

READ_BEFORE: dict[str, dict[str, Any]] = {
    'train_cfg': dict(by_epoch=bool),
    'optim_wrapper': dict(constructor=None, paramwise_cfg=dict | None),
}
"""What MMEngine takes out of a dict before it gives the rest to the class."""

_LOADER: dict[str, Any] = accepted(torch.utils.data.DataLoader) or {}
_LOADER |= dict(batch_size=int, num_batch_per_epoch=int | None)
UNTYPED: dict[str, dict[str, Any]] = {
    'train_dataloader': _LOADER,
    'val_dataloader': _LOADER,
    'test_dataloader': _LOADER,
    'auto_scale_lr': dict(enable=bool, base_batch_size=int),
    'env_cfg': dict(cudnn_benchmark=bool, mp_cfg=dict, dist_cfg=dict, resource_limit=int),
    'env_cfg.mp_cfg': dict(mp_start_method=str | None, opencv_num_threads=int | None),
    'randomness': dict(seed=int | None, diff_rank_seed=bool, deterministic=bool),
    'custom_imports': dict(imports=list[str] | str, allow_failed_imports=bool),
}
"""Dicts without a type -> what MMEngine reads of them, with type hints."""

TOP_LEVEL: dict[str, Any] = {
    **(accepted(Runner) or {}),
    'custom_hooks': list | None,
    'custom_imports': dict | None,
    'data_root': str | None,
    'default_hooks': dict | None,
    'default_scope': str,
    'fit': str | None,
    'img_size': int,
    'lr_method': str | None,
    'lr_size': int,
    'model': dict,
    'model_wrapper_cfg': dict | None,
    'protocol': str | None,
    'test_dataloader': dict | list[dict] | None,
    'val_dataloader': dict | list[dict] | None,
    'work_dir': str | None,
}
"""What MMEngine and this project read, with type hints."""

PARTS = ('network', 'dataset', 'sampler', 'batch_sampler', 'collate_fn', 'optimizer')
"""Keys whose dict is built, and so needs a type; so do all in a list of parts."""


def is_ours(cfg: Config) -> bool:
    """Whether a config trains an I2ILR; other models' settings are none of our business.

    Raises:
        ValueError: If its model is no dict with a known type.
    """
    model = cfg.get('model')
    if model is None and not cfg.get('train_cfg'):
        return False  # not a whole config: pairs and scores alone, for example
    if not isinstance(model, dict):
        raise ValueError(f"model is {model!r}; accepted is a dict such as dict(type='I2ILR', ...)")
    kind = model.get('type')
    if registered(mmagic.MODELS, kind) is None:
        raise ValueError(unknown_type('model.type', kind, mmagic.MODELS))
    return is_i2ilr(cfg)


def check_top_level(cfg: Config) -> None:
    """Refuse a wrong top level of a config of I2ILR; what is checked later follows it.

    Raises:
        ValueError: Naming every setting, what it is and what is accepted.
    """
    if is_ours(cfg):
        _refuse(_top_level(cfg))


def check_settings(cfg: Config) -> None:
    """Refuse unknown names, and values that cannot be meant, anywhere below the top level.

    Raises:
        ValueError: Naming every place, what stands there and what is accepted.
    """
    if not is_ours(cfg):
        return
    _refuse(p for key, value in cfg.items() for p in _check(value, key, REGISTRIES.get(key), key))
    _refuse(misfits(cfg))


def _refuse(problems: Iterable[str]) -> None:
    if text := '; '.join(problems):
        raise ValueError(in_one_line(text))


def _top_level(cfg: Config) -> Iterator[str]:
    """Wrong types, and names that only look like MMEngine's; others are the config's variables."""
    settings = {name: value for name, value in cfg.items() if name in TOP_LEVEL}
    yield from _check_values(settings, '', TOP_LEVEL)
    known = {*TOP_LEVEL, *LINKED, 'protocol'}
    for name in [name for name in cfg if name not in known]:
        near = difflib.get_close_matches(name, known, 1, cutoff=0.85)
        if near and len(re.findall(rf'\b{re.escape(name)}\b', cfg.text)) < 2:  # a variable is used
            yield f"'{name}' is not read by anything; is it '{near[0]}'?"


def _check(node: Any, path: str, registry: Registry | None, key: str) -> Iterator[str]:
    if isinstance(node, (list, tuple)):
        for i, part in enumerate(node):
            if registry is not None and key in REGISTRIES:
                yield from _check_listed(part, f'{path}.{i}')
            yield from _check(part, f'{path}.{i}', registry, key)
        return
    if not isinstance(node, dict):
        return
    if 'type' in node and registry is not None:
        yield from _check_part(node, path, registry, key)
    elif path in UNTYPED:
        yield from _check_values(node, f'{path}.', UNTYPED[path])
    elif path.rpartition('.')[0] == 'default_hooks':
        yield f'{path} has no type, so no hook of that name was there{nearest(key, _HOOKS)}'
    elif key in PARTS:
        yield f'{path} has no type: give the name of a class, as in dict(type=...)'
    for name, child in node.items():
        if path == 'default_hooks' and not (child is None or isinstance(child, (dict, Hook))):
            yield f'{path}.{name} is {brief(child)}; accepted is a dict with a type, or None'
        below = REGISTRIES.get(name, registry)
        yield from _check(child, f'{path}.{name}', below, name)


def _check_listed(part: Any, path: str) -> Iterator[str]:
    """A list of parts holds dicts with a type, lists of these, and what is built already."""
    if isinstance(part, dict) and not {'type', 'metrics'} & part.keys():
        yield f'{path} has no type: give the name of a class, as in dict(type=...)'
    elif part is None or isinstance(part, (bool, int, float, str)):
        yield f'{path} is {part!r}; accepted is a dict with a type'


def _check_part(node: dict, path: str, registry: Registry, key: str) -> Iterator[str]:
    kind = node['type']
    built = registered(registry, kind)
    if built is None and key.endswith('_evaluator'):
        built = registered(mmagic.EVALUATORS, kind)  # a dict around the scores
    if built is None:
        yield unknown_type(f'{path}.type', kind, registry)
    else:
        yield from _check_call(node, path, built)


_HOOKS = ('runtime_info', 'timer', 'logger', 'checkpoint', 'cost', 'throughput', 'samples', 'watch')


def _check_call(node: dict, path: str, built: Callable) -> Iterator[str]:
    parameters = accepted(built)
    if parameters is not None:
        before = {'type': None, '_scope_': str | None, **READ_BEFORE.get(path, {})}
        ours = str(getattr(built, '__module__', '')).partition('.')[0] in OURS
        yield from _check_values(
            node, f'{path}.', {**parameters, **before}, built if ours else None
        )


def _check_values(
    node: dict, prefix: str, hints: dict[str, Any], owner: Any = Runner
) -> Iterator[str]:
    """Names, types and ranges of settings; ``owner`` takes them, None is a user's own class."""
    for name, value in node.items():
        hint = hints.get(name)
        if name not in hints:
            yield f'{prefix}{name} is unknown{nearest(name, hints)}'
        elif hint is not None and not fits(value, hint):
            yield f'{prefix}{name} is {brief(value)}; accepted is {shown(hint)}'
        elif owner is not None and (accepts := outside(name, value, owner)):
            yield f'{prefix}{name} is {brief(value)}; accepted is {accepts}'
