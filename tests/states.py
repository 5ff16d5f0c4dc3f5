"""Checkpoints of tests, and whether two are the same."""

import torch


def state(path) -> dict:
    return torch.load(path, weights_only=True)


def assert_same(a, b, name: str = '') -> None:
    """Every tensor and number, bit by bit."""
    assert type(a) is type(b), name
    if isinstance(a, dict):
        assert a.keys() == b.keys(), name
        for key in a:
            assert_same(a[key], b[key], f'{name}.{key}')
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), name
        for i, (left, right) in enumerate(zip(a, b)):
            assert_same(left, right, f'{name}.{i}')
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), name
    else:
        assert a == b, name
