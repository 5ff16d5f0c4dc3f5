"""Frechet distance between two sets of features."""

import math

import torch
from torch import Tensor

from .estimate import Estimate, Part


def check_features(fake: Tensor, real: Tensor, at_least: int = 2) -> tuple[Tensor, Tensor]:
    """Two sets of features, arrays or tensors, as float64, if they can be scored.

    Raises:
        ValueError: If a set has too few samples, the dimensions differ or values are not finite.
    """
    fake, real = torch.as_tensor(fake), torch.as_tensor(real)
    shapes = f'{tuple(fake.shape)} (fake) and {tuple(real.shape)} (real)'
    if fake.ndim != 2 or real.ndim != 2 or fake.shape[1] != real.shape[1]:
        raise ValueError(f'features have shapes {shapes}; expected are (n1, d) and (n2, d)')
    if min(len(fake), len(real)) < at_least:
        raise ValueError(f'features have shapes {shapes}; at least {at_least} of each are needed')
    for name, features in (('fake', fake), ('real', real)):
        bad = int((~features.isfinite()).any(dim=1).sum())
        if bad:
            raise ValueError(
                f'{bad} of {len(features)} {name} features hold values that are not finite; '
                f'check the pictures and the network'
            )
    return fake.double(), real.double()


def frechet_distance(fake: Tensor, real: Tensor) -> float:
    """Frechet distance between Gaussians fitted to two sets, see :func:`frechet`."""
    return frechet(fake, real).value


def frechet(fake: Tensor, real: Tensor) -> Estimate:
    """Frechet distance between Gaussians fitted to two sets of features, never complex.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), unbiased covariances, float64. With centred
    features X1, X2 of n - 1 degrees of freedom the trace of the root is the nuclear norm of
    X1 X2^T: an n1 x n2 matrix where there are fewer samples than dimensions. Otherwise it comes
    from the symmetric C1^(1/2) C2 C1^(1/2).

    The influence of a sample is its part of the gradient; for the covariances that is I - T, T the
    optimal transport map between the Gaussians (Takatsu 2011, Wasserstein geometry of Gaussian
    measures).

    Args:
        fake: (n1, d), n1 >= 2.
        real: (n2, d), n2 >= 2.

    Returns:
        The distance, with the influence of the fakes and of the reals.

    Raises:
        ValueError: If a set has fewer than two samples, the dimensions differ or values are not
            finite.

    Examples:
        >>> import torch
        >>> real = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
        >>> estimate = frechet(real + 1, real)  # moved by 1 in each of 4 dimensions
        >>> round(estimate.value, 4), len(estimate.parts[0].influence)
        (4.0, 200)
    """
    # d^2 = |m1 - m2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2)          (Heusel et al. 2017, eq. 6)
    # With the rows x of X = (F - m) / sqrt(n - 1):  C = X^T X  and  tr C = sum of |x|^2.
    fake, real = check_features(fake, real)
    shift = fake.mean(0) - real.mean(0)
    x1, x2 = _centred(fake), _centred(real)
    if min(len(fake), len(real)) <= fake.shape[1]:
        root_trace, t1, t2 = _transport_of_few(x1, x2)
    else:
        root_trace, t1, t2 = _transport_of_many(x1, x2)
    traces = x1.square().sum(1).sum(), x2.square().sum(1).sum()
    value = shift.square().sum() + traces[0] + traces[1] - 2 * root_trace
    parts = [
        Part(_influence(x1, shift, t1), 'fake'),
        Part(_influence(x2, -shift, t2), 'real'),
    ]
    return Estimate(max(0.0, float(value)), parts)


def _influence(x: Tensor, shift: Tensor, transport: Tensor) -> Tensor:
    """Influence (n,) of the samples of one set; ``shift`` is its mean less the other's."""
    # Infinitesimal jackknife (Efron 1982): sample i gets weight 1 + e. To first order
    #   dm = e / n (f_i - m) = e sqrt(n - 1) / n x_i        dC = e x_i^T x_i
    #   d(d^2)/dm = 2 shift        d(d^2)/dC = I - T,    T C T = C' of the other set
    # with T symmetric and positive, the optimal transport. So n times the change of d^2 per e is
    #   2 sqrt(n - 1) x_i shift + n (|x_i|^2 - x_i T x_i^T)
    # Less its mean, as the weights have mean 1.
    n = len(x)
    influence = 2 * math.sqrt(n - 1) * (x @ shift) + n * (x.square().sum(1) - transport)
    return (influence - influence.mean()).cpu()


def _centred(features: Tensor) -> Tensor:
    return (features - features.mean(0)) / math.sqrt(len(features) - 1)


def _transport_of_few(x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """tr (C1 C2)^(1/2), and x_i T x_i^T of every sample, by the SVD of X1 X2^T."""
    # C1 C2 = X1^T (X1 X2^T X2) has the eigenvalues, but for zeros, of (X1 X2^T)(X2 X1^T) = A A^T,
    # A = X1 X2^T = U S V^T. So tr (C1 C2)^(1/2) = sum S, never complex.
    # From T C1 T = C2:  (X1 T X1^T)^2 = X1 C2 X1^T = A A^T = U S^2 U^T,  and so
    #   x_i T x_i^T = (U S U^T)_ii          and on the other side (V S V^T)_ii
    if len(x1) > len(x2):
        root_trace, transport2, transport1 = _transport_of_few(x2, x1)
        return root_trace, transport1, transport2
    # Where n2 > d, a d x d root R of C2 = R^T R takes the place of X2: (X1 R^T)(X1 R^T)^T = A A^T.
    # X2 = Q R with orthonormal columns Q = X2 R^+, so that X1 R^T = U S V'^T gives V = Q V'.
    many = len(x2) > x2.shape[1]
    root = _root(x2) if many else x2
    u, s, vt = torch.linalg.svd(x1 @ root.T, full_matrices=False)
    v = _solve(root, x2) @ vt.T if many else vt.T
    return s.sum(), (u.square() * s).sum(1), (v.square() * s).sum(1)


def _root(x: Tensor) -> Tensor:
    """A (d, d) with A^T A = X^T X."""
    # C = E L E^T,  R = L^(1/2) E^T,  R^T R = C; its rows are orthogonal, R R^T = L.
    values, vectors = torch.linalg.eigh(x.T @ x)
    return values.clamp(min=0).sqrt()[:, None] * vectors.T


def _solve(root: Tensor, x: Tensor) -> Tensor:
    """X A^+ for a root A made by :func:`_root`, whose rows are orthogonal."""
    # R^+ = R^T (R R^T)^-1 = R^T L^-1, without the directions in which C is zero but for rounding.
    squares = root.square().sum(1)
    positive = squares > squares.max() * 1e-12
    inverse = torch.where(positive, 1 / squares.clamp(min=1e-300), 0)
    return (x @ root.T) * inverse


def _transport_of_many(x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same by two symmetric eigenproblems of d x d."""
    # With C1 = R^T R, X1 = Q R, B = X2 R^T:  B^T B = R C2 R^T = U S^2 U^T  has the eigenvalues of
    # C1 C2, and
    #   (X1 T X1^T)^2 = X1 C2 X1^T = Q U S^2 (Q U)^T        x_i T x_i^T = (Q U S (Q U)^T)_ii
    #   B = (B U S^-1) S U^T is an SVD, so on the other side it is (B U S^-1 (B U)^T)_ii
    root = _root(x1)
    across = x2 @ root.T
    values, u = torch.linalg.eigh(across.T @ across)
    s = values.clamp(min=0).sqrt()
    positive = s > s.max() * 1e-6
    transport1 = ((_solve(root, x1) @ u).square() * s).sum(1)
    transport2 = ((across @ u).square() * torch.where(positive, 1 / s.clamp(min=1e-300), 0)).sum(1)
    return s.sum(), transport1, transport2
