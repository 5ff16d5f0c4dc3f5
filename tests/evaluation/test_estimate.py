import numpy as np
import pytest
import torch

from i2ilr_mm.evaluation.estimate import Estimate, Part, interval, mean_over_tasks, sample_mean
from i2ilr_mm.evaluation.frechet import frechet
from i2ilr_mm.evaluation.kid import kid
from i2ilr_mm.evaluation.neighbours import precision_recall


def test_interval_of_a_mean_is_that_of_resampled_means():
    values = torch.from_numpy(np.random.RandomState(0).exponential(size=200))
    rng = np.random.RandomState(1)
    means = [rng.choice(values.numpy(), 200).mean() for _ in range(4000)]
    assert interval(sample_mean(values)) == pytest.approx(
        np.quantile(means, [0.025, 0.975]), abs=0.02
    )


def test_results_of_one_source_are_drawn_together():
    """Four copies of each sample tell no more than one."""
    values = torch.randn(50, generator=torch.Generator().manual_seed(0))
    four = sample_mean(values.repeat_interleave(4)).grouped(fake=[i // 4 for i in range(200)])
    assert interval(four) == pytest.approx(interval(sample_mean(values)), abs=1e-12)
    alone = interval(sample_mean(values.repeat_interleave(4)))
    assert alone[1] - alone[0] < 0.6 * np.diff(interval(four)).item()


def test_labels_are_of_one_set():
    values = sample_mean(torch.arange(4.0), 'real')
    assert values.grouped(fake=['a', 'b']).parts[0].groups is None
    assert values.grouped(real=['a'] * 4).parts[0].groups == ['a'] * 4


def test_wrong_number_of_groups():
    with pytest.raises(ValueError, match='2 group labels for 4 samples'):
        interval(sample_mean(torch.arange(4.0)).grouped(fake=['a', 'b']))


def test_average():
    a, b = sample_mean(torch.tensor([1.0, 3.0])), sample_mean(torch.tensor([5.0, 5.0]))
    a.spread = 1.0
    both = mean_over_tasks([a, b])
    assert (both.value, both.spread) == (3.5, 1.0)
    low, high = interval(both)
    assert low < 3.5 < high


def test_tasks_that_share_their_samples_are_one_in_the_interval():
    values = torch.randn(50, generator=torch.Generator().manual_seed(0))
    one = sample_mean(values).grouped(fake=list(range(50)))
    assert interval(mean_over_tasks([one, one])) == pytest.approx(interval(one), abs=1e-12)
    other = sample_mean(values).grouped(fake=list(range(50, 100)))
    width = np.diff(interval(one)).item()
    assert np.diff(interval(mean_over_tasks([one, other]))).item() == pytest.approx(
        width / 2**0.5, rel=0.1
    )


def test_tasks_of_different_sizes_count_the_same():
    a, b = sample_mean(torch.tensor([0.0, 2.0] * 5)), sample_mean(torch.tensor([0.0, 2.0] * 500))
    both, first = (np.diff(interval(e)).item() for e in (mean_over_tasks([a, b]), a))
    assert both == pytest.approx(first / 2, rel=0.1)  # the second hardly varies


def test_bounds_and_level():
    estimate = Estimate(0.1, [Part(torch.tensor([-1.0, 1.0], dtype=torch.float64))])
    assert interval(estimate, (0, 1)) == (0.0, 1.0)
    narrow, wide = (interval(sample_mean(torch.randn(100)), level=x) for x in (0.5, 0.99))
    assert np.diff(narrow) < np.diff(wide)


@pytest.mark.parametrize('score', [frechet, lambda x, y: kid(x, y, 10, 100)])
def test_interval_is_as_wide_as_new_samples_differ(score):
    """Against the truth: scores of many fresh samples of the same distributions."""
    rng = np.random.RandomState(0)
    mix = rng.standard_normal((8, 8))

    def draw() -> tuple[torch.Tensor, torch.Tensor]:
        fake = torch.from_numpy(rng.standard_normal((200, 8)) @ mix)
        return fake, torch.from_numpy(rng.standard_normal((150, 8)) + 0.5)

    values, widths = [], []
    for _ in range(60):
        estimate = score(*draw())
        values.append(estimate.value)
        widths.append(np.diff(interval(estimate)).item())
    expected = 2 * 1.96 * np.std(values)
    assert np.mean(widths) == pytest.approx(expected, rel=0.25)


def test_intervals_of_neighbourhoods_are_rather_too_wide():
    """As radii are held fixed and only what hangs on one sample is seen; never much too narrow."""
    rng = np.random.RandomState(0)
    values, widths = {}, {}
    for _ in range(40):
        fake = torch.from_numpy(rng.standard_normal((200, 8)) * 0.7 + 0.2)
        real = torch.from_numpy(rng.standard_normal((150, 8)))
        for name, estimate in precision_recall(fake, real).items():
            values.setdefault(name, []).append(estimate.value)
            widths.setdefault(name, []).append(np.diff(interval(estimate)).item())
    for name in values:
        assert 0.8 < np.mean(widths[name]) / (2 * 1.96 * np.std(values[name])) < 2.5, name
