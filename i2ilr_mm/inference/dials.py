"""What lies between a source's LR picture and the target's, and between several targets."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..binding import join, luma_target
from ..lr import down

LARGEST = 2
"""Side of the largest pictures, in sides of those that a model was trained on (docs/results.md)."""


@dataclass(frozen=True)
class Dials:
    """What a user can turn, see :meth:`i2ilr_mm.inference.Translator.translate`."""

    project: bool = False
    strength: float = 1.0
    mask: Any = None
    lr_size: int | None = None
    grey: bool = False


def lr_sizes_at(size: int, network: Any) -> tuple[int, tuple[int, ...]]:
    """The usual side of LR targets, and all that are taken, for pictures of a size.

    Args:
        size: Side H of the pictures, from that of the training on.
        network: A generator. Its cells keep their number of pixels.

    Raises:
        ValueError: If the pictures do not divide into cells, or are too small or too large.
    """
    trained, cell = network.img_size, network.img_size // network.lr_size
    if size not in range(trained, LARGEST * trained + 1, cell):
        raise ValueError(
            f'size is {size!r}; this model was trained at {trained} pixels and takes multiples of '
            f'{cell} from there to {LARGEST * trained}: for more, take a model of a larger img_size'
        )
    fit = tuple(s * size // trained for s in network.lr_sizes if s * size % trained == 0)
    return size // cell, fit


def dial(
    source: Tensor,
    lr: Tensor,
    lr_method: str,
    strength: float,
    mask: Any = None,
    grey: bool = False,
) -> Tensor:
    """LR targets between the sources' LR pictures and the given ones.

    The result is own + strength * mask * (lr - own), where own is the source's LR picture.

    Args:
        source: (B, 3, H, H) in [-1, 1].
        lr: (B, 3, s, s).
        lr_method: The LR operator, see :func:`i2ilr_mm.lr.down`.
        strength: From 0 (source) to 1 (target).
        mask: (s, s) in [0, 1]; None is 1 everywhere.
        grey: Whether the targets have the colours of own, and so give their luma alone.

    Raises:
        ValueError: If the strength or the mask is out of range.
    """
    if not isinstance(strength, Real) or not 0 <= strength <= 1:
        raise ValueError(f'strength is {strength!r}; it goes from 0 (source) to 1 (target)')
    size = lr.shape[-1]
    share = strength * (torch.ones(size, size) if mask is None else cells(mask, size))
    own = down(source, size, lr_method)
    lr = luma_target(own, lr) if grey else lr
    return own + share * (lr - own)


def cells(mask: Any, size: int) -> Tensor:
    """A mask as shares (s, s) in [0, 1].

    Raises:
        ValueError: If it is anything else.
    """
    try:
        with np.errstate(over='ignore'):  # infinite shares are refused below
            shares = torch.as_tensor(np.asarray(mask, dtype=np.float32))
    except (ValueError, TypeError, OverflowError):
        shares = torch.zeros(0)
    if shares.shape != (size, size) or not ((shares >= 0) & (shares <= 1)).all():
        raise ValueError(
            f'the mask is {tuple(shares.shape)}; it must have one share from 0 to 1 for each of '
            f'{size} x {size} cells'
        )
    return shares


def side_of(mask: Any, sizes: Sequence[int]) -> int | None:
    """The side of a mask, if it is one of the sizes."""
    for size in sizes:
        with suppress(ValueError):
            return len(cells(mask, size))
    return None


def partly(lr: Tensor, mask: Any) -> Tensor:
    """LR targets (B, 4, s, s) of which the mask's cells bind.

    Args:
        lr: (B, 3, s, s).
        mask: (s, s) in [0, 1], the share of each cell that binds.

    Raises:
        ValueError: If the mask is anything else, or leaves all cells free.
    """
    share = cells(mask, lr.shape[-1])
    if not share.any():
        raise ValueError('the mask leaves every cell free: let one of them bind at least')
    return join(lr, share)


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
