"""Kernel distance (KID) between two sets of features."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from .estimate import Estimate, Part
from .frechet import check_features

CHUNK = 1024
"""Rows of a kernel matrix that are held at a time."""

SEED = 2020
"""Seed of the subsets, and the order they are drawn in: those of torch-fidelity."""


def kid(fake: Tensor, real: Tensor, subsets: int = 100, subset_size: int = 1000) -> Estimate:
    """Kernel Inception Distance: the unbiased squared MMD with the kernel (x.y / d + 1)^3.

    The mean over fixed random subsets, as torch-fidelity draws them; float64. The kernels are
    computed once, in chunks of rows, for all subsets together.

    Args:
        fake: (n1, d), n1 >= subset_size.
        real: (n2, d), n2 >= subset_size.
        subsets: Number of subsets.
        subset_size: Samples of each set in a subset, at least 2.

    Returns:
        The distance, with the influence of the fakes and of the reals, and its standard deviation
        over the subsets (None where each subset is all there is).

    Raises:
        ValueError: If a set is smaller than a subset, the dimensions differ or values are not
            finite.

    Source: Binkowski et al. 2018, Demystifying MMD GANs, eq. 4 and section 4.

    Examples:
        >>> import torch
        >>> features = torch.randn(400, 4, generator=torch.Generator().manual_seed(0))
        >>> fake, real = features.chunk(2)  # of one distribution
        >>> abs(kid(fake, real, subsets=10, subset_size=100).value) < 0.3
        True
        >>> kid(fake + 1, real, subsets=10, subset_size=100).value > 5
        True
    """
    if subsets < 1 or subset_size < 2:
        raise ValueError(
            f'kid takes subsets >= 1 and subset_size >= 2, and got {subsets} and {subset_size}'
        )
    fake, real = check_features(fake, real, subset_size)
    in_fake, in_real = _subsets(len(fake), len(real), subsets, subset_size)
    within_fake, fake_fake = _sums(fake, fake, in_fake, in_fake, diagonal=False)
    within_real, real_real = _sums(real, real, in_real, in_real, diagonal=False)
    across, fake_real = _sums(fake, real, in_fake, in_real)
    _, real_fake = _sums(real, fake, in_real, in_fake)
    # Binkowski et al. 2018, eq. 4, for each subset of m fakes x and m reals y:
    #   MMD_u^2 = 1 / (m (m - 1)) sum_{i != j} (k(x_i, x_j) + k(y_i, y_j))
    #             - 2 / m^2 sum_{i, j} k(x_i, y_j)
    # Without the terms k(x_i, x_i) it is unbiased, and negative at times.
    pairs = subset_size * (subset_size - 1)
    values = (within_fake + within_real) / pairs - 2 * across / subset_size**2
    parts = []
    for side, within, between in (('fake', fake_fake, fake_real), ('real', real_real, real_fake)):
        # d/de of MMD_u^2 with weight 1 + e on x_i, times n (the first term of Hoeffding's
        # decomposition):
        #   2 (E_{j != i} k(x_i, x_j) - E_j k(x_i, y_j)),  less its mean
        # over all samples: the mean over random subsets estimates the value of the whole sets.
        influence = 2 * (within - between)
        parts.append(Part(influence - influence.mean(), side))
    all_used = subset_size == len(fake) == len(real)
    spread = None if all_used else float(values.std(correction=0))
    return Estimate(float(values.mean()), parts, spread)


def _subsets(n_fake: int, n_real: int, count: int, size: int) -> tuple[Tensor, Tensor]:
    """Membership (n, count), 0 or 1, of the samples in the subsets."""
    # The legacy generator, fakes and reals in turns, for torch-fidelity's digits.
    rng = np.random.RandomState(SEED)
    fake = torch.zeros(n_fake, count, dtype=torch.float64)
    real = torch.zeros(n_real, count, dtype=torch.float64)
    for i in range(count):
        fake[rng.choice(n_fake, size, replace=False), i] = 1
        real[rng.choice(n_real, size, replace=False), i] = 1
    return fake, real


def _kernel(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    # k(x, y) = (x.y / d + 1)^3
    for start in range(0, len(x), CHUNK):
        rows = slice(start, start + CHUNK)
        yield rows, (x[rows] @ y.T / x.shape[1] + 1) ** 3


def _sums(
    x: Tensor, y: Tensor, in_x: Tensor, in_y: Tensor, diagonal: bool = True
) -> tuple[Tensor, Tensor]:
    """Sums of the kernel over the subsets, (count,), and the mean of each row, (n1,)."""
    # With membership z_is of sample i in subset s, 0 or 1:
    #   sum_{i, j in s} k_ij = sum_i z_is (K z)_is
    # one product for all subsets, where sums of each would take its entries of K apart.
    subset_sums = torch.zeros(in_x.shape[1], dtype=torch.float64)
    means = torch.empty(len(x), dtype=torch.float64)
    for rows, kernel in _kernel(x, y):
        if not diagonal:
            kernel.diagonal(rows.start).zero_()
        means[rows] = (kernel.sum(1) / (len(y) - (not diagonal))).cpu()
        inner = kernel @ in_y.to(kernel.device)
        subset_sums += (inner * in_x[rows].to(kernel.device)).sum(0).cpu()
    return subset_sums, means
