"""What the classes of a config take: their names, their type hints, and which values fit these."""

import collections.abc
import difflib
import inspect
import os
import pathlib
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

import torch
from mmengine.registry import Registry

from i2ilr.files import in_one_line

CLOSED = ('CheckpointHook',)
"""Classes whose **kwargs take nothing that a config could want to give."""

WRITTEN: dict[str, dict[str, Any]] = {
    'BaseDataPreprocessor': dict(non_blocking=bool),
    'Flip': dict(keys=str | list[str], flip_ratio=float, direction=str),
    'LogProcessor': dict(window_size=int, by_epoch=bool, mean_pattern=str),
    'PackInputs': dict.fromkeys(('keys', 'meta_keys', 'data_keys'), str | list[str]),
    'Visualizer': dict(name=str),
}
"""Hints of classes that have none, or wrong ones."""

PLAIN: dict[Any, tuple[type, ...]] = {
    types.NoneType: (types.NoneType,),
    bool: (bool,),
    int: (int,),
    float: (int, float),
    str: (str,),
    list: (list, tuple),
    tuple: (list, tuple),
    collections.abc.Sequence: (list, tuple),
    dict: (dict,),
    collections.abc.Mapping: (dict,),
    pathlib.Path: (str, os.PathLike),
    torch.Tensor: (torch.Tensor,),
    torch.device: (str, int, torch.device),
    torch.dtype: (str, torch.dtype),
}
"""Types that a config can hold -> what is accepted for them."""

NAMES: dict[Any, str] = {
    types.NoneType: 'None',
    bool: 'True or False',
    int: 'a whole number',
    float: 'a number',
    str: 'text',
    pathlib.Path: 'text',
    dict: 'a dict',
    collections.abc.Mapping: 'a dict',
}


def accepted(built: Callable) -> dict[str, Any] | None:
    """Names that a class or function takes, with their type hints (None where there is none).

    A class that passes **kwargs on takes those of the classes it inherits from, too.

    Returns:
        None if anything is taken.
    """
    calls = [built]
    if isinstance(built, type):
        calls = [c.__dict__['__init__'] for c in built.__mro__ if '__init__' in c.__dict__]
        if calls == [object.__init__] and built.__new__ is object.__new__:
            return {}
    names: dict[str, Any] = {}
    for call in calls:
        try:
            signature = inspect.signature(call)
        except (TypeError, ValueError):  # written in C
            return None
        owner = call.__qualname__.partition('.')[0]
        hints = _hints(call) | WRITTEN.get(owner, {})
        own = list(signature.parameters.items())[isinstance(built, type) :]  # without self
        for name, parameter in own:
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                names.setdefault(name, hints.get(name))
        open_ended = any(p.kind == p.VAR_KEYWORD for p in signature.parameters.values())
        if not open_ended or owner in CLOSED:
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


def fits(value: Any, hint: Any) -> bool:
    """Whether a value of a config can be meant by a type hint; True where that is unclear."""
    if hint in (None, Any, object):
        return True
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in typing.get_args(hint))
    if origin is typing.Literal:
        return value in typing.get_args(hint)
    kind = origin or hint
    plain = PLAIN.get(kind)
    if plain is None:
        return _can_be_part(value, kind)
    if isinstance(value, bool) and bool not in plain:
        return False
    return isinstance(value, plain) and all(fits(v, h) for v, h in _inside(value, hint))


def _can_be_part(value: Any, kind: Any) -> bool:
    """Whether a value can become an object of a class: a dict with a type, or the object itself."""
    if not isinstance(kind, type) or isinstance(value, dict):
        return True
    if value is None or isinstance(value, (bool, int, float, str)):
        return False
    try:
        return isinstance(value, kind)
    except TypeError:  # a protocol that cannot be asked
        return True


def _inside(value: Any, hint: Any) -> Iterator[tuple[Any, Any]]:
    """What a list or dict holds, and the hint of each; a list of another length fits nothing."""
    arguments = typing.get_args(hint)
    if not arguments:
        return
    if isinstance(value, dict):
        yield from ((child, arguments[-1]) for child in value.values())
    elif typing.get_origin(hint) is not tuple or arguments[-1] is Ellipsis:
        yield from ((child, arguments[0]) for child in value)
    elif len(value) == len(arguments):
        yield from zip(value, arguments)
    else:
        yield value, types.NoneType


def shown(hint: Any) -> str:
    """A type hint in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        known = [one for one in arguments if (typing.get_origin(one) or one) in PLAIN]
        written = [one for one in known or arguments if one is not torch.Tensor]
        return ' or '.join(dict.fromkeys(shown(one) for one in written))
    if origin is typing.Literal:
        return ' or '.join(repr(value) for value in arguments)
    kind = origin or hint
    if kind is tuple and arguments and arguments[-1] is not Ellipsis:
        return f'a list of {len(arguments)}: {", ".join(shown(one) for one in arguments)}'
    if kind in (list, tuple, collections.abc.Sequence):
        return f'a list of: {shown(arguments[0])}' if arguments else 'a list'
    if kind not in NAMES and isinstance(kind, type):
        return f'a {kind.__name__} (a dict with its type)'
    return NAMES.get(kind, str(hint))


def brief(value: Any) -> str:
    """A value of a config as it is written, cut short."""
    text = in_one_line(repr(value))
    return text if len(text) <= 100 else f'{text[:96]} ...'


def nearest(name: str, names: Iterable[str]) -> str:
    """The end of a sentence on an unknown name: the one that is meant, or all of a few."""
    near = difflib.get_close_matches(str(name), list(names), 1, cutoff=0.6)
    if near:
        return f"; is it '{near[0]}'?"
    known = sorted(k for k in names if not k.startswith('_') and k != 'type')
    return f'; there are {", ".join(known)}' if 0 < len(known) <= 12 else ''


def registered(registry: Registry, kind: Any) -> Callable | None:
    """What a ``type`` stands for, or None."""
    if not isinstance(kind, str):
        return kind if callable(kind) else None
    try:
        return registry.get(kind)
    # MMEngine imports what a dotted name says, and there is no such module, or no such name.
    except (ImportError, RuntimeError, ValueError, TypeError):
        return None


def unknown_type(path: str, kind: Any, registry: Registry) -> str:
    """A sentence on a ``type`` that is in no registry."""
    names: list[str] = []
    while registry is not None:
        names += registry.module_dict
        registry = registry.parent
    return f'{path} is {kind!r}, which is unknown{nearest(kind, names)}'
