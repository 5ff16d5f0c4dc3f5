"""The examples in the docstrings of the main entry points run, and give what they say."""

import doctest
from importlib import import_module

import pytest

MODULES = (
    'evaluation.frechet',
    'evaluation.kid',
    'inference.matching',
    'inference.translator',
    'lr',
    'models.exact',
    'models.generator',
    'models.losses',
)


@pytest.mark.parametrize('name', MODULES)
def test_examples(name):
    failed, attempted = doctest.testmod(import_module(f'i2ilr_mm.{name}'))
    assert attempted > 0 and failed == 0
