"""What lies between a source's LR picture and the target's, and between several targets."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..lr import down


def dial(source: Tensor, lr: Tensor, lr_method: str, strength: float, mask: Any = None) -> Tensor:
    """LR targets between the sources' LR pictures and the given ones.

    The result is own + strength * mask * (lr - own), where own is the source's LR picture.

    Args:
        source: (B, 3, H, H) in [-1, 1].
        lr: (B, 3, s, s).
        lr_method: The LR operator, see :func:`i2ilr_mm.lr.down`.
        strength: From 0 (source) to 1 (target).
        mask: (s, s) in [0, 1]; None is 1 everywhere.

    Raises:
        ValueError: If the strength or the mask is out of range.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f'strength is {strength}; it goes from 0 (source) to 1 (target)')
    size = lr.shape[-1]
    share = torch.full((size, size), float(strength))
    if mask is not None:
        try:
            cells = torch.as_tensor(np.asarray(mask, dtype=np.float32))
        except (ValueError, TypeError, OverflowError):
            cells = torch.zeros(0)
        if cells.shape != share.shape or not ((cells >= 0) & (cells <= 1)).all():
            raise ValueError(
                f'the mask is {tuple(cells.shape)}; it must have one share from 0 to 1 for each of '
                f'{size} x {size} cells'
            )
        share = share * cells
    own = down(source, size, lr_method)
    return own + share * (lr - own)


def shares(count: int, weights: Sequence[float] | None = None) -> list[float]:
    """Weights of ``count`` LR targets that sum to 1; None weighs all alike.

    Raises:
        ValueError: If there are no targets, if the numbers of targets and weights differ, or if no
            weight is positive.
    """
    weights = [1.0] * count if weights is None else list(weights)
    if not count or len(weights) != count:
        raise ValueError(f'{count} pictures and {len(weights)} weights: one for each')
    if not all(0 <= w < float('inf') for w in weights) or sum(weights) <= 0:
        raise ValueError(f'weights are {weights}; none may be negative, and not all zero')
    return [w / sum(weights) for w in weights]
