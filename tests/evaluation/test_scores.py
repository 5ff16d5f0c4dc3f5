import warnings

import numpy as np
import pytest
import scipy.linalg
import torch

from i2ilr_mm.evaluation.scores import frechet_distance, lr_scores


def textbook(x: np.ndarray, y: np.ndarray) -> float:
    c1, c2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # singular products are among the cases
        root = scipy.linalg.sqrtm(c1 @ c2)
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(c1 + c2 - 2 * root).real


@pytest.mark.parametrize('n1, n2, d', [(300, 400, 20), (15, 18, 40), (15, 200, 40), (2, 2, 8)])
def test_frechet_is_the_textbook_value(n1, n2, d):
    rng = np.random.RandomState(0)
    x = rng.standard_normal((n1, d)) @ rng.standard_normal((d, d))
    y = rng.standard_normal((n2, d)) * 2 + 0.5
    ours = frechet_distance(torch.from_numpy(x), torch.from_numpy(y))
    assert ours == pytest.approx(textbook(x, y), rel=1e-5)


def test_frechet_of_a_set_with_itself_is_zero():
    x = torch.randn(50, 200)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    'x, y', [(torch.ones(1, 4), torch.ones(5, 4)), (torch.ones(5, 4), torch.ones(5, 3))]
)
def test_frechet_refuses_too_few(x, y):
    with pytest.raises(ValueError, match='at least two'):
        frechet_distance(x, y)


def test_frechet_refuses_nan():
    with pytest.raises(ValueError, match='not finite'):
        frechet_distance(torch.full((5, 4), float('nan')), torch.ones(5, 4))


def test_lr_scores():
    target = torch.full((1, 3, 2, 2), 100.0)
    shrunk = target.clone()
    shrunk[0, 0, 0, 0] = 102  # within 2 levels
    shrunk[0, 1, 1, 1] = 104  # one channel off: the cell is missed
    scores = lr_scores(shrunk, target)
    assert scores['mae'] == pytest.approx(6 / 12)
    assert scores['psnr'] == pytest.approx(10 * np.log10(255**2 / (20 / 12)))
    assert scores['within2'] == 0.75
    assert lr_scores(target, target) == dict(mae=0.0, psnr=100.0, within2=1.0)
