"""A score, the influence of each sample on it, and the bootstrap interval that follows."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor


@dataclass
class Part:
    """The influence of one set of samples on a score.

    Attributes:
        influence: (n,) float64; to first order, weighting sample i by w_i (mean 1) changes the
            score by mean(w * influence). Sums to zero.
        side: 'fake' or 'real', the set that the samples belong to.
        groups: One label per sample; samples with equal labels are drawn together, as the results
            of one source must be. None: every sample on its own.
    """

    influence: Tensor
    side: str = 'fake'
    groups: Sequence[Hashable] | None = None


@dataclass
class Estimate:
    """A score and the sets of samples it depends on.

    Attributes:
        value: The score.
        parts: Its sets of samples, drawn independently of each other.
        spread: Standard deviation over its subsets, of scores that have any.
    """

    value: float
    parts: list[Part] = field(default_factory=list)
    spread: float | None = None

    def grouped(self, **labels: Sequence[Hashable]) -> 'Estimate':
        """A copy with labels for the samples of a set (``fake``, ``real``).

        Samples with equal labels are drawn together: results of one source, or one real picture in
        several tasks.
        """
        parts = [replace(p, groups=labels.get(p.side, p.groups)) for p in self.parts]
        return replace(self, parts=parts)


def sample_mean(values: Tensor, side: str = 'fake') -> Estimate:
    """The mean of values as an estimate, in float64.

    Args:
        values: (n,), one per sample.
        side: 'fake' or 'real', the set that the samples belong to.
    """
    values = torch.as_tensor(values).double().cpu()
    return Estimate(float(values.mean()), [Part(values - values.mean(), side)])


def mean_over_tasks(estimates: Sequence[Estimate]) -> Estimate:
    """The plain mean of several scores, such as those of a protocol's tasks.

    Samples with equal labels are drawn together, also those of different tasks.
    """
    # S = 1/T sum_t S_t. To first order S_t moves by mean_t(w I_t), over its n_t samples, and S by
    #   1/T sum_t 1/n_t sum_{i in t} w_i I_ti = 1/N sum_i w_i J_i,    J_ti = N / (n_t T) I_ti
    # which is the influence in the joined set of N samples.
    n = len(estimates)
    parts = []
    for side in dict.fromkeys(p.side for e in estimates for p in e.parts):
        mine = [(task, p) for task, e in enumerate(estimates) for p in e.parts if p.side == side]
        count = sum(len(p.influence) for _, p in mine)
        influence = [p.influence * (count / len(p.influence) / n) for _, p in mine]
        groups = [label for task, p in mine for label in _labels(p, task)]
        parts.append(Part(torch.cat(influence), side, groups))
    spreads = [e.spread for e in estimates if e.spread is not None]
    spread = sum(spreads) / len(spreads) if spreads else None
    return Estimate(sum(e.value for e in estimates) / n, parts, spread)


def _labels(part: Part, task: int) -> Sequence[Hashable]:
    if part.groups is None:
        return [(task, i) for i in range(len(part.influence))]
    return part.groups


def interval(
    estimate: Estimate,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    level: float = 0.95,
    replicates: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a score, linearised.

    Samples, or groups of them, are drawn with replacement; each replicate's score is the value
    plus the first-order change (infinitesimal jackknife, Efron 1982, The Jackknife, the Bootstrap
    and Other Resampling Plans). So it costs nothing to compute even where the score itself takes
    seconds, and is free of the upward bias that repeated samples give Frechet and kernel distances.
    It covers the chance in the choice of the samples. It does not cover the bias that a score has
    for few samples.

    Args:
        estimate: The score.
        bounds: Values that the score can take; the interval is cut off there.
        level: Share of the replicates inside.
        replicates: Number of replicates.
        seed: Seed of the draws.

    Returns:
        Lower and upper end.

    Raises:
        ValueError: If the labels of a part do not fit its samples.
    """
    # A bootstrap replicate draws sample i w_i times. S* = S + mean(w I) (Efron 1982, infinitesimal
    # jackknife), here the sum of what was drawn over its number: groups differ in size.
    generator = np.random.default_rng(seed)
    values = np.full(replicates, estimate.value)
    for part in estimate.parts:
        sums, sizes = _group_sums(part)
        for i in range(replicates):
            drawn = generator.integers(len(sums), size=len(sums))
            values[i] += sums[drawn].sum() / sizes[drawn].sum()
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(np.clip(low, *bounds)), float(np.clip(high, *bounds))


def _group_sums(part: Part) -> tuple[np.ndarray, np.ndarray]:
    influence = part.influence.double().cpu().numpy()
    if part.groups is None:
        return influence, np.ones(len(influence))
    if len(part.groups) != len(influence):
        raise ValueError(f'{len(part.groups)} group labels for {len(influence)} samples')
    numbers = {label: i for i, label in enumerate(dict.fromkeys(part.groups))}
    index = torch.tensor([numbers[label] for label in part.groups])
    sums = np.bincount(index, weights=influence, minlength=len(numbers))
    return sums, np.bincount(index, minlength=len(numbers)).astype(float)
