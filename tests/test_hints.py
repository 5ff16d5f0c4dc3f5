"""What classes take, and which values can be meant by a type hint."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from mmagic.registry import MODELS

from i2ilr_mm.hints import accepted, brief, fits, nearest, registered, shown, unknown_type


def test_signatures_are_followed_through_kwargs():
    class Base:
        def __init__(self, a: int, b: str | None = None) -> None: ...

    class Child(Base):
        def __init__(self, c: float = 1, **kwargs) -> None: ...

    assert accepted(Child) == dict(c=float, a=int, b=str | None)
    assert accepted(lambda **kwargs: None) is None


@pytest.mark.parametrize('name', ['', '.', '..', '.I2ILR', 'I2ILR.', 'a.\x00', 'os.nothing', 'å.é'])
def test_names_of_no_type(name):
    assert registered(MODELS, name) is None
    assert unknown_type('model.type', name, MODELS).startswith(f'model.type is {name!r}, which is')


def test_classes_without_arguments_take_none():
    class Plain: ...

    class Made:
        def __new__(cls, **kwargs) -> 'Made': ...

    assert accepted(Plain) == {}
    assert accepted(Made) is None


@pytest.mark.parametrize(
    'value, hint, expected',
    [
        (1, float, True),
        (True, int, False),
        (1.5, int, False),
        ('a', int | None, False),
        (None, int | None, True),
        ([1, 2], tuple[int, int], True),
        ([1], tuple[int, int], False),
        (['x', 2], tuple[int, int], False),
        ([1, 2, 3], tuple[int, ...], True),
        (dict(type='X'), object, True),
        ('b', Literal['a', 'b'], True),
        ('c', Literal['a', 'b'], False),
        (dict(type='X'), list | dict, True),
        (['a'], list[str], True),
        (['a', 1], list[str], False),
        ('a', Sequence[str], False),
        (dict(a=1), dict[str, Any], True),
        (dict(a='x'), dict[str, int], False),
        ('folder', Path, True),
        (None, Any, True),
        # An object is written as a dict with its type, and as nothing simpler.
        (dict(type='X'), torch.nn.Module, True),
        (torch.nn.Identity(), torch.nn.Module, True),
        ('X', torch.nn.Module, False),
        (1e-3, float | torch.Tensor, True),
        (None, float | torch.Tensor, False),
        ({}, float | torch.Tensor, False),
    ],
)
def test_types(value, hint, expected):
    assert fits(value, hint) is expected


@pytest.mark.parametrize(
    'hint, expected',
    [
        (int | None, 'a whole number or None'),
        (float | torch.Tensor, 'a number'),
        (torch.nn.Module | dict | None, 'a dict or None'),
        (torch.nn.Module, 'a Module (a dict with its type)'),
        (list[str] | str, 'a list of: text or text'),
        (tuple[float, float], 'a list of 2: a number, a number'),
        (Literal['a', 'b'], "'a' or 'b'"),
    ],
)
def test_hints_in_words(hint, expected):
    assert shown(hint) == expected


def test_unknown_names_are_told_the_nearest_or_all_of_a_few():
    assert nearest('intervall', ['interval', 'type']) == "; is it 'interval'?"
    assert nearest('xyz', ['b', 'a', 'type']) == '; there are a, b'
    assert nearest('xyz', [f'{i}_name' for i in range(50)]) == ''


def test_long_values_are_cut():
    assert brief('a\nb') == repr('a\nb') and len(brief(['x' * 30] * 9)) == 100
