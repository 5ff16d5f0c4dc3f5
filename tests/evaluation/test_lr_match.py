import numpy as np
import pytest
import torch

from i2ilr_mm.evaluation.estimate import interval
from i2ilr_mm.evaluation.lr_match import diversity, lr_match


def values(shrunk, target) -> dict[str, float]:
    return {name: estimate.value for name, estimate in lr_match(shrunk, target).items()}


def test_values():
    target = torch.full((1, 3, 2, 2), 100.0)
    shrunk = target.clone()
    shrunk[0, 0, 0, 0] = 102  # within 2 levels
    shrunk[0, 1, 1, 1] = 104  # one channel off: the cell is missed
    scores = values(shrunk, target)
    assert scores['mae'] == pytest.approx(6 / 12)
    assert scores['psnr'] == pytest.approx(10 * np.log10(255**2 / (20 / 12)))
    assert scores['within2'] == 0.75
    assert values(target, target) == dict(mae=0.0, psnr=100.0, within2=1.0)


def test_interval_of_the_psnr_is_that_of_the_error():
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(300, 3, 8, 8, generator=generator) * 255
    scale = torch.rand(300, 1, 1, 1, generator=generator) * 10
    shrunk = target + scale * torch.randn(target.shape, generator=generator)
    low, high = interval(lr_match(shrunk, target)['psnr'])
    squares = (shrunk - target).square().mean(dim=(1, 2, 3)).numpy()
    rng = np.random.RandomState(0)
    drawn = [10 * np.log10(255**2 / rng.choice(squares, 300).mean()) for _ in range(2000)]
    assert (low, high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.1)


@pytest.mark.parametrize('shape', [(2, 3, 4, 4), (0, 3, 8, 8), (3, 8, 8)])
def test_refuses_what_cannot_be_compared(shape):
    other = (2, 3, 8, 8) if shape[0] == 2 else shape
    with pytest.raises(ValueError, match=r'must both be \(N, C, s, s\)'):
        lr_match(torch.zeros(shape), torch.zeros(other))


def test_diversity_is_the_mean_over_pairs():
    rows = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    pairs = torch.pdist(rows.double()).square().mean()
    assert diversity(rows) == pytest.approx(float(pairs))
    assert diversity(rows[:1].repeat(4, 1)) == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match='at least two targets'):
        diversity(rows[:1])
