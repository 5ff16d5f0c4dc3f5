import time
import warnings

import numpy as np
import pytest
import scipy.linalg
import torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torchmetrics.image.fid import _compute_fid

from i2ilr_mm.evaluation.frechet import frechet, frechet_distance

SIZES = [(300, 400, 20), (15, 18, 40), (15, 200, 40), (200, 15, 40), (2, 2, 8)]


def features(n1: int, n2: int, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.RandomState(0)
    x = rng.standard_normal((n1, d)) @ rng.standard_normal((d, d))
    y = rng.standard_normal((n2, d)) * 2 + 0.5
    return torch.from_numpy(x), torch.from_numpy(y)


def textbook(x: np.ndarray, y: np.ndarray) -> float:
    c1, c2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # singular products are among the cases
        root = scipy.linalg.sqrtm(c1 @ c2)
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(c1 + c2 - 2 * root).real


@pytest.mark.parametrize('n1, n2, d', SIZES)
def test_equals_scipy(n1, n2, d):
    x, y = features(n1, n2, d)
    assert frechet_distance(x, y) == pytest.approx(textbook(x.numpy(), y.numpy()), rel=1e-5)


@pytest.mark.parametrize('n1, n2, d', SIZES)
def test_equals_torchmetrics(n1, n2, d):
    x, y = features(n1, n2, d)
    theirs = float(_compute_fid(x.mean(0), torch.cov(x.T), y.mean(0), torch.cov(y.T)))
    assert frechet_distance(x, y) == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize('n1, n2, d', SIZES)
def test_equals_torch_fidelity(n1, n2, d):
    x, y = features(n1, n2, d)
    statistics = (fid_features_to_statistics(z) for z in (x, y))
    theirs = fid_statistics_to_metric(*statistics, False)['frechet_inception_distance']
    assert frechet_distance(x, y) == pytest.approx(theirs, rel=1e-4)


@pytest.mark.parametrize('n1, n2, d', [(300, 400, 20), (15, 18, 40), (15, 200, 40), (300, 35, 40)])
def test_influence_is_the_change_by_a_samples_weight(n1, n2, d):
    x, y = features(n1, n2, d)
    parts = frechet(x, y).parts
    assert [part.side for part in parts] == ['fake', 'real']
    for side, part in enumerate(parts):
        assert part.influence.sum() == pytest.approx(0, abs=1e-6)
        for i in (0, 7):
            weights = [torch.ones(n1, dtype=torch.float64), torch.ones(n2, dtype=torch.float64)]
            ends = []
            for step in (1e-4, -1e-4):
                weights[side][i] = 1 + step
                ends.append(weighted(x, y, *weights))
            slope = (ends[0] - ends[1]) / 2e-4 * len(weights[side])
            assert float(part.influence[i]) == pytest.approx(slope, rel=0.02, abs=0.02)


def weighted(x, y, wx, wy) -> float:
    """The distance of weighted samples, by another road: SVD of weighted, centred samples."""
    means, roots = [], []
    for samples, weights in ((x, wx), (y, wy)):
        share = weights / weights.sum()
        means.append((share[:, None] * samples).sum(0))
        scale = len(samples) / (len(samples) - 1)
        roots.append((samples - means[-1]) * (share * scale).sqrt()[:, None])
    a, b = roots
    trace = a.square().sum() + b.square().sum() - 2 * torch.linalg.svdvals(a @ b.T).sum()
    return float((means[0] - means[1]).square().sum() + trace)


@pytest.mark.parametrize('n, d', [(50, 200), (300, 20)])
def test_of_a_set_with_itself_is_zero(n, d):
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(0))
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize('n', [10, 100])
def test_of_a_collapsed_set(n):
    """All results alike: the mean's distance and the reals' variance, where libraries give nan."""
    y = torch.randn(100, 30, generator=torch.Generator().manual_seed(0)).double()
    x = torch.full((n, 30), 0.5, dtype=torch.float64)
    expected = (y.mean(0) - 0.5).square().sum() + y.var(0).sum()
    assert frechet_distance(x, y) == pytest.approx(float(expected), rel=1e-9)
    assert all(part.influence.isfinite().all() for part in frechet(x, y).parts)


def test_never_complex_nor_negative():
    """Features of low rank, where the root of the product of covariances turns complex."""
    rng = np.random.RandomState(1)
    x = torch.from_numpy(rng.standard_normal((400, 3)) @ rng.standard_normal((3, 60)))
    y = x + 1e-9 * torch.from_numpy(rng.standard_normal((400, 60)))
    assert 0 <= frechet_distance(x, y) < 1e-4


@pytest.mark.parametrize(
    'x, y, message',
    [
        (torch.ones(1, 4), torch.ones(5, 4), 'at least 2'),
        (torch.ones(5, 4), torch.ones(0, 4), 'at least 2'),
        (torch.ones(5, 4), torch.ones(5, 3), r'\(5, 4\) \(fake\) and \(5, 3\) \(real\)'),
        (torch.ones(5), torch.ones(5), r'expected are \(n1, d\)'),
        (torch.full((5, 4), float('nan')), torch.ones(5, 4), '5 of 5 fake features'),
        (torch.ones(5, 4), torch.full((5, 4), float('inf')), '5 of 5 real features'),
    ],
)
def test_refuses(x, y, message):
    with pytest.raises(ValueError, match=message):
        frechet_distance(x, y)


def test_half_a_second_at_500():
    x, y = features(500, 500, 2048)
    frechet_distance(x[:10], y[:10])
    start = time.process_time()  # of all threads: no less than the time that passes
    frechet_distance(x, y)
    assert time.process_time() - start < 0.5


def test_arrays():
    x, y = features(30, 40, 5)
    assert frechet_distance(x.numpy(), y.numpy()) == frechet_distance(x, y)
