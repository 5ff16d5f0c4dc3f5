"""Precision, recall, density and coverage: which samples lie in which neighbourhoods."""

from collections.abc import Iterator

import torch
from torch import Tensor

from .estimate import Estimate, mean
from .frechet import check_features

CHUNK = 1024
"""Rows of a distance matrix that are held at a time."""

TIE = 1e-9
"""Relative difference of squared distances below which they count as equal."""


def precision_recall(fake: Tensor, real: Tensor, k: int = 5) -> dict[str, Estimate]:
    """Precision, recall, density and coverage of fakes against reals.

    The neighbourhood of a sample is the open ball up to its k-th neighbour in its own set.
    Precision: share of fakes within any real neighbourhood. Recall: share of reals within any fake
    one. Density: real neighbourhoods around a fake, over k. Coverage: share of reals with a fake in
    their neighbourhood. Distances are taken in chunks of rows, in float64; one set at a time is
    compared with the other, so memory grows with n, not with n squared.

    Args:
        fake: (n1, d), n1 > k.
        real: (n2, d), n2 > k.
        k: Rank of the neighbour.

    Returns:
        ``precision``, ``recall``, ``density`` and ``coverage``. The intervals of precision and
        density come from the fakes, those of recall and coverage from the reals; neighbourhoods are
        held fixed, as repeated samples would shrink them.

    Raises:
        ValueError: If a set has no more than k samples, or most reals are copies of each other, so
            that their neighbourhoods are empty, or values are not finite.

    Source: Kynkaanniemi et al. 2019 (precision, recall), Naeem et al. 2020 (density, coverage; the
    open ball is theirs).
    """
    if k < 1:
        raise ValueError(f'k={k}; it counts neighbours, at least 1')
    fake, real = check_features(fake, real, k + 1)
    centre = real.mean(0)
    fake, real = fake - centre, real - centre  # squares of small numbers lose less
    fake_radius, real_radius = _radii(fake, k), _radii(real, k)
    empty = int((real_radius == 0).sum())
    if 2 * empty > len(real):
        raise ValueError(
            f'{empty} of {len(real)} real samples equal at least {k} others: their neighbourhoods '
            f'are empty and the scores would mean nothing; check the real pictures for copies'
        )
    inside = torch.zeros(len(fake), dtype=torch.float64)
    covered, recalled = (torch.zeros(len(real), dtype=torch.bool) for _ in range(2))
    for rows, squares in _distances(fake, real):
        in_real = squares < real_radius * (1 - TIE)
        inside[rows] = in_real.sum(1).double().cpu()
        covered |= in_real.any(0).cpu()
        recalled |= (squares < fake_radius[rows, None] * (1 - TIE)).any(0).cpu()
    return dict(
        precision=mean(inside > 0),
        recall=mean(recalled, 'real'),
        density=mean(inside / k),
        coverage=mean(covered, 'real'),
    )


def _distances(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Squared distances, (chunk, n2); what rounding alone could have made counts as 0."""
    squares = y.square().sum(1)
    for start in range(0, len(x), CHUNK):
        rows = slice(start, start + CHUNK)
        scale = x[rows].square().sum(1, keepdim=True) + squares
        distance = scale - 2 * x[rows] @ y.T
        yield rows, distance.masked_fill_(distance < 1e-13 * scale, 0)


def _radii(x: Tensor, k: int) -> Tensor:
    """Squared distance of each sample's k-th neighbour in its own set, (n,)."""
    chunks = []
    for rows, squares in _distances(x, x):
        squares.diagonal(rows.start).zero_()
        chunks.append(squares.kthvalue(k + 1, dim=1).values)  # the first is the sample itself
    return torch.cat(chunks)
