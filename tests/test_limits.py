"""Ranges and choices of settings."""

import math

import pytest
from mmagic.registry import MODELS
from mmengine.hooks import CheckpointHook

from i2ilr_mm.engine import PlainCheckpointHook, SampleGridHook
from i2ilr_mm.limits import CHOICES, outside


@pytest.mark.parametrize(
    'name, value',
    [
        ('lr', 0),
        ('betas', [0, 0.99]),
        ('num_workers', 0),
        ('pair_seed', -7),
        ('whatever', -0.5),
        ('fit', 'crop'),
        ('exact_lr', None),
        ('flip_ratio', 1),
    ],
)
def test_within(name, value):
    assert outside(name, value) is None


@pytest.mark.parametrize(
    'name, value, accepts',
    [
        ('lr', -1e-3, 'a number of at least 0'),
        ('lr', math.nan, 'a number from 0 to 1e+38'),
        ('lr', math.inf, 'a number from 0 to 1e+38'),
        ('betas', [0, 2], 'a number from 0 to 1'),
        ('max_iters', 0, 'a whole number of at least 1'),
        ('max_iters', 10**30, 'a whole number from 1 to 2147483647'),
        ('whatever', math.nan, 'a number from -9007199254740992 to 9007199254740992'),
        ('img_size', 2**40, 'a whole number from 1 to 8192'),
        ('fit', 'x', 'one of stretch, crop'),
    ],
)
def test_outside(name, value, accepts):
    assert outside(name, value) == accepts


def test_a_class_can_differ_and_hands_it_on():
    """-1 is never for MMEngine's hook, and for ours that inherits from it."""
    assert outside('interval', -1, CheckpointHook) is None
    assert outside('interval', -1, PlainCheckpointHook) is None
    assert outside('interval', -1, SampleGridHook) == 'a whole number of at least 1'


@pytest.mark.parametrize('key', sorted(key for key in CHOICES if key[0].isupper()))
def test_classes_of_the_table_are_there(key):
    from mmagic.registry import TRANSFORMS

    assert MODELS.get(key.partition('.')[0]) or TRANSFORMS.get(key.partition('.')[0])
