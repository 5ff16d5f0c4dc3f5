"""Precision, recall, density and coverage: which samples lie in which neighbourhoods."""

from collections.abc import Iterator

import torch
from torch import Tensor

from .estimate import Estimate, Part, sample_mean
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
        ``precision``, ``recall``, ``density`` and ``coverage``, each with the influence of the
        fakes and of the reals. The radii are held fixed, as repeated samples would shrink them.

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
    _check_copies(real_radius, k)
    in_real, in_fake = _Membership(len(fake), len(real)), _Membership(len(fake), len(real))
    for rows, squares in _distances(fake, real):
        in_real.add(rows, squares < real_radius * (1 - TIE))
        in_fake.add(rows, squares < fake_radius[rows, None] * (1 - TIE))
    precision, deciding = in_real.share_of_rows()
    coverage, covering = in_real.share_of_columns()
    recall, recalling = in_fake.share_of_columns()
    density = sample_mean(in_real.row_counts / k)
    per_ball = in_real.column_counts * len(real) / len(fake) / k
    return dict(
        precision=with_part(precision, 'real', deciding),
        recall=with_part(recall, 'fake', recalling),
        density=with_part(density, 'real', per_ball),
        coverage=with_part(coverage, 'fake', covering),
    )


def _check_copies(radius: Tensor, k: int) -> None:
    empty = int((radius == 0).sum())
    if 2 * empty > len(radius):
        raise ValueError(
            f'{empty} of {len(radius)} real samples equal at least {k} others: their '
            f'neighbourhoods are empty and the scores would mean nothing; check the real pictures '
            f'for copies'
        )


def with_part(estimate: Estimate, side: str, influence: Tensor) -> Estimate:
    """Add the influence of a second set to an estimate."""
    estimate.parts.append(Part(influence - influence.mean(), side))
    return estimate


class _Membership:
    """Counts over a table (fakes, reals) of memberships, which comes in chunks of rows.

    Attributes:
        row_counts: Trues of each fake.
        column_counts: Trues of each real.
    """

    def __init__(self, n_rows: int, n_columns: int) -> None:
        self.row_counts, self.row_partner = torch.zeros(2, n_rows, dtype=torch.float64)
        self.column_counts, self.column_partner = torch.zeros(2, n_columns, dtype=torch.float64)

    def add(self, rows: slice, inside: Tensor) -> None:
        values = inside.double()
        self.row_counts[rows] = values.sum(1).cpu()
        self.column_counts += values.sum(0).cpu()
        # The sum of the partners' numbers; where there is one, it is that one's number.
        first, last, _ = rows.indices(len(self.row_counts))
        numbers = torch.arange(first, last, dtype=torch.float64, device=inside.device)
        columns = torch.arange(values.shape[1], dtype=torch.float64, device=inside.device)
        self.row_partner[rows] = (values @ columns).cpu()
        self.column_partner += (numbers @ values).cpu()

    def share_of_rows(self) -> tuple[Estimate, Tensor]:
        """Share of fakes with any True, and the influence of the reals that decide alone."""
        alone = _sole(self.row_counts, self.row_partner, len(self.column_counts))
        return sample_mean(self.row_counts > 0), alone * len(self.column_counts) / len(
            self.row_counts
        )

    def share_of_columns(self) -> tuple[Estimate, Tensor]:
        """Share of reals with any True, and the influence of the fakes."""
        alone = _sole(self.column_counts, self.column_partner, len(self.row_counts))
        return sample_mean(self.column_counts > 0, 'real'), alone * len(self.row_counts) / len(
            self.column_counts
        )


def _sole(counts: Tensor, partner: Tensor, size: int) -> Tensor:
    """For each partner, the number of those that have no other."""
    return torch.bincount(partner[counts == 1].long(), minlength=size).double()


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
