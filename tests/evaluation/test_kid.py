import numpy as np
import pytest
import torch
from torch_fidelity.metric_kid import kid_features_to_metric
from torchmetrics.image.kid import poly_mmd

from i2ilr_mm.evaluation import kid as module
from i2ilr_mm.evaluation.kid import kid


def features(n1: int, n2: int, d: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.RandomState(0)
    return torch.from_numpy(rng.standard_normal((n1, d))), torch.from_numpy(
        rng.standard_normal((n2, d)) * 1.3 + 0.2
    )


@pytest.mark.parametrize('n1, n2, subsets, size', [(80, 60, 7, 30), (50, 50, 3, 50), (9, 40, 4, 2)])
def test_equals_torch_fidelity(n1, n2, subsets, size):
    x, y = features(n1, n2)
    theirs = kid_features_to_metric(x, y, kid_subsets=subsets, kid_subset_size=size, verbose=False)
    ours = kid(x, y, subsets, size)
    assert ours.value == pytest.approx(theirs['kernel_inception_distance_mean'], rel=1e-9)
    if (n1, n2) != (size, size):
        assert ours.spread == pytest.approx(theirs['kernel_inception_distance_std'], rel=1e-9)


def test_equals_torchmetrics():
    x, y = features(40, 40)
    assert kid(x, y, 1, 40).value == pytest.approx(float(poly_mmd(x, y)), rel=1e-9)


def test_no_spread_where_every_subset_is_the_whole():
    assert kid(*features(20, 20), 5, 20).spread is None
    assert kid(*features(20, 21), 5, 20).spread is not None


def test_influence_is_the_change_by_leaving_a_sample_out():
    x, y = features(40, 40)
    whole = kid(x, y, 1, 40)
    for of, part in zip(('fake', 'real'), whole.parts):
        assert part.side == of
        for i in (0, 5):
            keep = torch.arange(40) != i
            left = mmd(x[keep], y) if of == 'fake' else mmd(x, y[keep])
            jackknife = (whole.value - left) * 39
            assert float(part.influence[i]) == pytest.approx(jackknife, rel=0.1, abs=0.05)


def mmd(x, y) -> float:
    """The unbiased squared MMD written out."""

    def kernel(a, b):
        return (a @ b.T / a.shape[1] + 1) ** 3

    n, m = len(x), len(y)
    within = [(kernel(z, z).sum() - kernel(z, z).trace()) / len(z) / (len(z) - 1) for z in (x, y)]
    return float(sum(within) - 2 * kernel(x, y).sum() / n / m)


def test_chunks_change_nothing(monkeypatch):
    x, y = features(80, 60)
    whole = kid(x, y, 5, 30)
    monkeypatch.setattr(module, 'CHUNK', 7)
    parts = kid(x, y, 5, 30)
    assert parts.value == pytest.approx(whole.value, rel=1e-12)
    for a, b in zip(parts.parts, whole.parts):
        assert torch.allclose(a.influence, b.influence)


def test_identical_and_constant_sets():
    """The estimate takes the sets for independent, so of a set with itself it is below zero."""
    x, _ = features(60, 1)
    kernel = (x @ x.T / 16 + 1) ** 3
    off_diagonal = (kernel.sum() - kernel.trace()) / (60 * 59)
    expected = float(off_diagonal - kernel.diagonal().mean()) * 2 / 60
    assert kid(x, x, 1, 60).value == pytest.approx(expected)
    constant = torch.full((60, 16), 0.5, dtype=torch.float64)
    assert kid(constant, constant, 10, 30).value == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(subset_size=61), 'at least 61'),
        (dict(subset_size=1), 'subset_size >= 2'),
        (dict(subset_size=10, subsets=0), 'subsets >= 1'),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        kid(*features(80, 60), **options)
