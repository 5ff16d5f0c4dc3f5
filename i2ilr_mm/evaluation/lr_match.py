"""Match of shrunk results with their LR targets."""

import math

import torch
from torch import Tensor

from .estimate import Estimate, Part, sample_mean

WITHIN = 2
"""Grey levels within which a cell counts as met: what the discriminator's residual cannot see."""


def lr_match(shrunk: Tensor, target: Tensor) -> dict[str, Estimate]:
    """How well shrunk results meet their LR targets.

    Args:
        shrunk: (N, 3, s, s), the uint8 results shrunk, in grey levels 0..255.
        target: (N, 3, s, s), the LR targets in grey levels.

    Returns:
        ``mae`` (mean absolute error, grey levels), ``psnr`` (dB, peak 255, of the mean squared
        error over everything; 100 at most) and ``within2`` (share of cells with every channel
        within 2 levels).

    Raises:
        ValueError: If the shapes differ or there is nothing to compare.
    """
    shrunk, target = torch.as_tensor(shrunk), torch.as_tensor(target)
    if shrunk.shape != target.shape or shrunk.ndim != 4 or not len(shrunk):
        raise ValueError(
            f'shrunk results {tuple(shrunk.shape)} and LR targets {tuple(target.shape)} must both '
            f'be (N, C, s, s), N >= 1'
        )
    difference = (shrunk.double() - target.double()).abs()
    squares = difference.square().mean(dim=(1, 2, 3))
    mse = float(squares.mean())
    psnr = min(100.0, 10 * math.log10(255**2 / mse)) if mse else 100.0
    slope = -10 / (math.log(10) * mse) if psnr < 100 else 0.0
    within = (difference <= WITHIN + 1e-4).all(dim=1).double().mean(dim=(1, 2))
    return dict(
        mae=sample_mean(difference.mean(dim=(1, 2, 3))),
        psnr=Estimate(psnr, [Part(slope * (squares - mse).cpu())]),
        within2=sample_mean(within),
    )


def diversity(features: Tensor) -> float:
    """Mean squared distance between all pairs of one source's results.

    With features of :class:`i2ilr_mm.evaluation.perceptual.LPIPS` the squared distance is LPIPS,
    and the mean over pairs the diversity that StarGAN v2 (Choi et al. 2020) reports.

    Args:
        features: (n, D), n >= 2.

    Raises:
        ValueError: If there are fewer than two results.
    """
    features = torch.as_tensor(features)
    if len(features) < 2:
        raise ValueError(
            f'{len(features)} result has no diversity: at least two targets per source are needed '
            f'(dataset option n_targets)'
        )
    centred = features.double() - features.double().mean(0)
    # Sum over pairs of |x - y|^2 is n times the sum of squares about the mean.
    return float(centred.square().sum() * 2 / (len(features) - 1))
