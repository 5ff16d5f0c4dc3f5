"""Names and types of a config's settings, checked before anything is built.

MMEngine passes a dict with a ``type`` to the class of that name. So the class's signature says what
the dict may hold.
"""

import difflib
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

import torch.utils.data
from mmagic import registry as mmagic
from mmengine import registry as mmengine
from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.runner import Runner

from .linking import LINKED
from .parts import is_i2ilr

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

CLOSED = ('CheckpointHook',)
"""Classes whose **kwargs take nothing that a config could want to give."""

READ_BEFORE: dict[str, tuple[str, ...]] = {
    'train_cfg': ('by_epoch', 'type'),
    'optim_wrapper': ('constructor', 'paramwise_cfg'),
}
"""What MMEngine takes out of a dict before it gives the rest to the class."""


def check_settings(cfg: Config) -> None:
    """Refuse unknown names and values of the wrong type anywhere in a config of I2ILR.

    Raises:
        ValueError: Naming every place, what stands there and what is accepted.
    """
    if not is_i2ilr(cfg):
        return
    problems = [*_top_level(cfg)]
    for key, value in cfg.items():
        problems += _check(value, key, REGISTRIES.get(key), key)
    if problems:
        raise ValueError('; '.join(problems))


def _top_level(cfg: Config) -> Iterator[str]:
    """Names that only look like those that are read; others are the config's own variables."""
    known = {*inspect.signature(Runner.__init__).parameters, *LINKED, 'protocol'} - {'self', 'cfg'}
    for name in [name for name in cfg if name not in known]:
        near = difflib.get_close_matches(name, known, 1, cutoff=0.85)
        if near and len(re.findall(rf'\b{name}\b', cfg.text)) < 2:  # a variable is used somewhere
            yield f"'{name}' is not read by anything; is it '{near[0]}'?"


def _check(node: Any, path: str, registry: Registry | None, key: str) -> Iterator[str]:
    if isinstance(node, (list, tuple)):
        for i, part in enumerate(node):
            yield from _check(part, f'{path}.{i}', registry, key)
        return
    if not isinstance(node, dict):
        return
    if 'type' in node and registry is not None:
        yield from _check_part(node, path, registry, key)
    elif path in UNTYPED:
        yield from _check_values(node, path, UNTYPED[path])
    elif path.rpartition('.')[0] == 'default_hooks':
        yield f'{path} has no type, so no hook of that name was there{_nearest(key, _HOOKS)}'
    for name, child in node.items():
        below = REGISTRIES.get(name, registry)
        yield from _check(child, f'{path}.{name}', below, name)


def _check_part(node: dict, path: str, registry: Registry, key: str) -> Iterator[str]:
    kind = node['type']
    built = _registered(registry, kind)
    if built is None and key.endswith('_evaluator'):
        built = _registered(mmagic.EVALUATORS, kind)  # a dict around the scores
    if built is None:
        yield f"{path}.type is '{kind}', which is unknown{_nearest(kind, _names(registry))}"
    else:
        yield from _check_call(node, path, built, READ_BEFORE.get(path, ()))


def _registered(registry: Registry, kind: Any) -> Callable | None:
    if not isinstance(kind, str):
        return kind if callable(kind) else None
    try:
        return registry.get(kind)
    except (RuntimeError, ValueError):  # a dotted name of something that is not there
        return None


_HOOKS = ('runtime_info', 'timer', 'logger', 'checkpoint', 'cost', 'throughput', 'samples', 'watch')


def _check_call(node: dict, path: str, built: Callable, also: Iterable[str]) -> Iterator[str]:
    parameters = accepted(built)
    if parameters is not None:
        also = ('type', '_scope_', *also)
        yield from _check_values(node, path, {**parameters, **dict.fromkeys(also)})


def _check_values(node: dict, path: str, hints: dict[str, Any]) -> Iterator[str]:
    for name, value in node.items():
        hint = hints.get(name)
        if name not in hints:
            yield f'{path}.{name} is unknown{_nearest(name, hints)}'
        elif hint is not None and not fits(value, hint):
            yield f'{path}.{name} is {value!r}; accepted is {_shown(hint)}'


def _nearest(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(name), list(names), 1, cutoff=0.6)
    if near:
        return f"; is it '{near[0]}'?"
    shown = sorted(k for k in names if not k.startswith('_') and k != 'type')
    return f'; there are {", ".join(shown)}' if 0 < len(shown) <= 12 else ''


def _names(registry: Registry) -> list[str]:
    names = list(registry.module_dict)
    return names + _names(registry.parent) if registry.parent is not None else names


def accepted(built: Callable) -> dict[str, Any] | None:
    """Names that a class or function takes, with their type hints (None where there is none).

    A class that passes **kwargs on takes those of the classes it inherits from, too.

    Returns:
        None if anything is taken.
    """
    calls = [built]
    if isinstance(built, type):
        calls = [c.__dict__['__init__'] for c in built.__mro__ if '__init__' in c.__dict__]
    names: dict[str, Any] = {}
    for call in calls:
        try:
            signature = inspect.signature(call)
        except (TypeError, ValueError):  # written in C
            return None
        hints = _hints(call)
        own = list(signature.parameters.items())[isinstance(built, type) :]  # without self
        for name, parameter in own:
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                names.setdefault(name, hints.get(name))
        open_ended = any(p.kind == p.VAR_KEYWORD for p in signature.parameters.values())
        if not open_ended or call.__qualname__.partition('.')[0] in CLOSED:
            return names
    return None


def _hints(call: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(call)
    except Exception:  # some name exists for type checkers alone; then one by one
        hints = {}
        for name, hint in inspect.get_annotations(call).items():
            with suppress(Exception):
                hints[name] = eval(hint, call.__globals__) if isinstance(hint, str) else hint
        return hints


# Dicts without a type -> what MMEngine reads of them, with type hints.
_LOADER = {**(accepted(torch.utils.data.DataLoader) or {}), 'num_batch_per_epoch': int | None}
UNTYPED: dict[str, dict[str, Any]] = {
    'train_dataloader': _LOADER,
    'val_dataloader': _LOADER,
    'test_dataloader': _LOADER,
    'auto_scale_lr': dict(enable=bool, base_batch_size=int),
    'env_cfg': dict(cudnn_benchmark=bool, mp_cfg=dict, dist_cfg=dict, resource_limit=int),
    'env_cfg.mp_cfg': dict(mp_start_method=str | None, opencv_num_threads=int | None),
    'randomness': dict(seed=int | None, diff_rank_seed=bool, deterministic=bool),
    'custom_imports': dict(imports=list | str, allow_failed_imports=bool),
}

PLAIN: dict[Any, tuple[type, ...]] = {
    types.NoneType: (types.NoneType,),
    bool: (bool,),
    int: (int,),
    float: (int, float),
    str: (str,),
    list: (list, tuple),
    tuple: (list, tuple),
    dict: (dict,),
}
"""Types that a config can hold -> what is accepted for them."""


def fits(value: Any, hint: Any) -> bool:
    """Whether a value of a config can be meant by a type hint; True where that is unclear."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in typing.get_args(hint))
    if origin is typing.Literal:
        return value in typing.get_args(hint)
    plain = PLAIN.get(origin or hint)
    if plain is None:
        return True
    if isinstance(value, bool) and bool not in plain:
        return False
    return isinstance(value, plain)


def _shown(hint: Any) -> str:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return ' or '.join(_shown(one) for one in typing.get_args(hint))
    if typing.get_origin(hint) is typing.Literal:
        return ' or '.join(repr(value) for value in typing.get_args(hint))
    names = {
        types.NoneType: 'None',
        bool: 'True or False',
        int: 'a whole number',
        float: 'a number',
    }
    names |= {str: 'text', list: 'a list', tuple: 'a list', dict: 'a dict'}
    return names.get(typing.get_origin(hint) or hint, str(hint))
