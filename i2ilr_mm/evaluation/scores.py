"""Scores as pure functions: arrays in, numbers out, float64 inside."""

import math

import torch
from torch import Tensor

WITHIN = 2
"""Grey levels within which a cell counts as met: what the discriminator's residual cannot see."""


def frechet_distance(fake: Tensor, real: Tensor) -> float:
    """Frechet distance between Gaussians fitted to two sets of features.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), unbiased covariances. The trace of the root is the
    nuclear norm of A B^T for C1 = A^T A and C2 = B^T B. With fewer samples than dimensions A and B
    are the centred features themselves; otherwise symmetric square roots. Never complex.

    Args:
        fake: (n1, d), n1 >= 2.
        real: (n2, d), n2 >= 2.

    Raises:
        ValueError: If a set has fewer than two samples, the dimensions differ or values are not
            finite.
    """
    if min(len(fake), len(real)) < 2 or fake.shape[1:] != real.shape[1:]:
        raise ValueError(
            f'features of shape {tuple(fake.shape)} and {tuple(real.shape)} have no Frechet '
            f'distance: at least two samples each, of one dimension, are needed'
        )
    if not (fake.isfinite().all() and real.isfinite().all()):
        raise ValueError('features hold values that are not finite; check the pictures')
    fake, real = fake.double().cpu(), real.double().cpu()
    mean_term = (fake.mean(0) - real.mean(0)).square().sum()
    a, b = _covariance_root(fake), _covariance_root(real)
    trace = a.square().sum() + b.square().sum()
    root_trace = torch.linalg.svdvals(a @ b.T).sum()
    return float((mean_term + trace - 2 * root_trace).clamp(min=0))


def _covariance_root(features: Tensor) -> Tensor:
    """A with A^T A the unbiased covariance, of at most d rows."""
    count, dimension = features.shape
    centred = (features - features.mean(0)) / math.sqrt(count - 1)
    if count <= dimension:
        return centred
    values, vectors = torch.linalg.eigh(centred.T @ centred)
    return values.clamp(min=0).sqrt()[:, None] * vectors.T


def lr_scores(shrunk: Tensor, target: Tensor) -> dict[str, float]:
    """How well shrunk results meet their LR targets.

    Args:
        shrunk: (N, 3, s, s), the uint8 results shrunk, in grey levels 0..255.
        target: (N, 3, s, s), the LR targets in grey levels.

    Returns:
        ``mae`` (mean absolute error, grey levels), ``psnr`` (dB, peak 255, of the mean squared
        error over everything; 100 at most) and ``within2`` (share of cells with every channel
        within 2 levels).
    """
    difference = (shrunk.double() - target.double()).abs()
    mse = float(difference.square().mean())
    psnr = min(100.0, 10 * math.log10(255**2 / mse)) if mse else 100.0
    within = (difference <= WITHIN + 1e-4).all(dim=1).double().mean()
    return dict(mae=float(difference.mean()), psnr=psnr, within2=float(within))
