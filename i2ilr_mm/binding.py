"""What of an LR target binds: all of it, some of its cells, or its luma alone.

A target that binds in part carries its binding behind its three colours, (B, 4, s, s): channel 3 is
the share m of each cell that binds, 0 leaves it free. A target of three channels binds whole. A
target that gives its luma alone gets the colours of the source, and is an ordinary one then.
"""

import math

import numpy as np
import torch
from torch import Tensor

from .lr import down, match, up

LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G and B in luma (ITU-R BT.601, which Pillow's mode 'L' uses); their sum is 1."""

SOFT = 0.25
"""Share of the drawn masks whose cells bind in part, all by one share."""

FADING = 0.05
"""Weight of binding cells, 1 among them and 0 far away, at which a free cell goes half along."""


def luma(image: Tensor) -> Tensor:
    """Luma (B, 1, H, W) of RGB pictures (B, 3, H, W)."""
    red, green, blue = (image[:, i : i + 1] * weight for i, weight in enumerate(LUMA))
    return red + green + blue


def luma_target(own: Tensor, lr: Tensor) -> Tensor:
    """LR targets with the luma of one LR picture and the colours of another.

    Args:
        own: (B, 3, s, s) in [-1, 1], whose colours they have: the source's LR picture.
        lr: (B, 3, s, s), whose luma they have, clamped to [-1, 1].

    Returns:
        (B, 3, s, s) in [-1, 1]. All three channels of ``own`` move by the same amount; where that
        leaves [-1, 1], colours fade until they fit, and the luma stays.
    """
    # With Y the luma, a linear map with Y(1) = 1:  t = o + Y(l - o),  so  Y(t) = Y(l)
    return _faded(own + luma(lr - own))


def split(lr: Tensor) -> tuple[Tensor, Tensor | None]:
    """The colours (B, 3, s, s) of LR targets, and the shares (B, 1, s, s) that bind or None."""
    return (lr[:, :3], lr[:, 3:]) if lr.shape[1] == 4 else (lr, None)


def join(lr: Tensor, share: Tensor | None = None) -> Tensor:
    """LR targets (B, 4, s, s) that bind in part.

    Args:
        lr: (B, 3, s, s), in [-1, 1].
        share: Share m of each cell that binds, in [0, 1], broadcast to (B, 1, s, s); None is 1.
    """
    whole = torch.ones_like(lr[:, :1])
    return torch.cat([lr, whole if share is None else share.to(lr).expand_as(whole)], dim=1)


def network_input(lr: Tensor) -> Tensor:
    """What a network sees of LR targets (B, 3 or 4, s, s): nothing of what does not bind.

    Returns:
        (B, 4, s, s): m l and m.
    """
    lr, share = split(lr)
    return join(lr) if share is None else join(share * lr, share)


def bound(own: Tensor, lr: Tensor) -> Tensor:
    """The whole LR picture that a target asks of a picture: its own where nothing binds.

    Args:
        own: (B, 3, s, s), the LR picture of the picture as it is.
        lr: (B, 3 or 4, s, s), see this module.

    Returns:
        (B, 3, s, s): o + m (l - o).
    """
    lr, share = split(lr)
    return lr if share is None else own + share * (lr - own)


def _faded(image: Tensor) -> Tensor:
    """Colours within [-1, 1] of the same luma, as long as that lies there; none else is changed."""
    # Y + f (x - Y), f the largest share of at most 1 that keeps all channels within:
    #   x > 1 asks for f <= (1 - Y) / (x - Y),  x < -1 for f <= (-1 - Y) / (x - Y)
    grey = luma(image).clamp(-1, 1)
    distance = image - grey
    room = torch.where(distance > 0, 1 - grey, 1 + grey)
    fits = (room / distance.abs().clamp(min=1e-6)).clamp(max=1).amin(dim=1, keepdim=True)
    return torch.where(image.abs().amax(dim=1, keepdim=True) > 1, grey + fits * distance, image)


def binding_whole(lr: Tensor) -> Tensor:
    """LR targets of which only those cells bind that bind whole.

    A generator has moved the other cells by their share. Once it has, their target is not known any
    more: it lies between this one and what the generator would have shown.
    """
    lr, share = split(lr)
    return lr if share is None else join(lr, share == 1)


def continued(own: Tensor, lr: Tensor) -> Tensor:
    """LR pictures whose free cells go along with the binding cells near them.

    Without it, a picture that is moved to a target in some cells has a step where they end.

    Args:
        own: (B, 3, s, s), the LR picture of a picture as it is.
        lr: (B, 3 or 4, s, s), see this module.

    Returns:
        (B, 3, s, s), the same where a cell binds whole. Free cells move by the mean of what their
        neighbours would move by; three cells away from the last binding cell it has faded.
    """
    # e = G (m d) / (G m + eps),  d = bound(o, l) - o,  G the Gaussian of one cell: normalised
    # convolution (Knutsson & Westin 1993), which eps lets fade where G m does.
    _, share = split(lr)
    if share is None:
        return own
    change = bound(own, lr) - own
    rows, columns = (_gaussian(n, own) for n in own.shape[2:])
    weight = rows @ share @ columns
    return own + (1 - share) * (rows @ (share * change) @ columns) / (weight + FADING)


def _gaussian(size: int, like: Tensor) -> Tensor:
    place = torch.arange(size, dtype=like.dtype, device=like.device)
    return torch.exp(-((place[:, None] - place) ** 2) / 2) / math.sqrt(2 * math.pi)


def shown(lr: Tensor) -> Tensor:
    """LR targets as pictures (B, 3, s, s): free cells are white."""
    colours, share = split(lr)
    return colours if share is None else share * colours + (1 - share)


def distance(shrunk: Tensor, lr: Tensor) -> Tensor:
    """How far LR pictures are from what a target binds, (B, 3, s, s), in their own units.

    Args:
        shrunk: (B, 3, s, s).
        lr: (B, 3 or 4, s, s), see this module. Cells count that :func:`bind whole <binding_whole>`.
    """
    lr, share = split(binding_whole(lr))
    difference = (shrunk - lr).abs()
    return difference if share is None else share * difference


def match_part(image: Tensor, lr: Tensor, method: str = 'box') -> Tensor:
    """The 8-bit picture near ``image`` that meets what a target binds whole, see :func:`lr.match`.

    Args:
        image: (B, 3, H, W) in [-1, 1].
        lr: (B, 3 or 4, s, s).
        method: The LR operator, see :func:`i2ilr_mm.lr.down`.

    Returns:
        (B, 3, H, W) uint8.
    """
    return match(image, bound(down(image, lr.shape[-1], method), binding_whole(lr)), method)


def draw_mask(random: np.random.RandomState, size: int) -> np.ndarray:
    """A mask (s, s) as in training: 1 where a cell binds, 0 where it is free.

    A half plane, blobs or cells by themselves, each as often, of which a fifth to four fifths bind;
    or, once in four, a single cell that binds or is free. Some masks bind by a share.
    """
    kind = random.randint(4)
    if kind == 3:
        single = np.zeros(size * size)
        single[random.randint(size * size)] = 1
        mask = np.abs(random.randint(2) - single).reshape(size, size)
    else:
        heights = (_slope, _blobs, _noise)[kind](random, size)
        mask = (heights >= np.quantile(heights, random.uniform(0.2, 0.8))).astype(float)
    return mask * random.uniform(0, 1) if random.random_sample() < SOFT else mask


def draw_free(random: np.random.RandomState, size: int, free: float) -> np.ndarray:
    """A mask (s, s) with a share of free cells: a half plane, or blobs, each as often."""
    heights = (_slope, _blobs)[random.randint(2)](random, size).ravel()
    mask = np.ones(size * size)
    mask[np.argsort(heights, kind='stable')[: round(free * size * size)]] = 0
    return mask.reshape(size, size)


def _slope(random: np.random.RandomState, size: int) -> np.ndarray:
    angle, (y, x) = random.uniform(0, 2 * np.pi), np.mgrid[:size, :size]
    return np.cos(angle) * x + np.sin(angle) * y


def _blobs(random: np.random.RandomState, size: int) -> np.ndarray:
    noise = torch.from_numpy(random.standard_normal((1, 1, 4, 4)))
    return up(noise, size, 'bilinear')[0, 0].numpy()


def _noise(random: np.random.RandomState, size: int) -> np.ndarray:
    return random.random_sample((size, size))
