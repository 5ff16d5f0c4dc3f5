"""The low-resolution operator: everything that shrinks an image or compares it with an LR target.

Images are float tensors (B, C, H, W) in [-1, 1]; LR images are (B, C, r, s), H and W multiples of r
and s. Networks have r = s. One grey level of an 8-bit picture is 1 / 127.5 in these units.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

GREY_LEVELS = 127.5
"""Grey levels (of 255) in one unit of the [-1, 1] range."""

RESIDUAL_BIN = 4.0
"""Width in grey levels of one bin of the residual that the discriminator sees."""

DOWN_METHODS = ('box', 'bicubic')
UP_METHODS = ('nearest', 'bilinear', 'bicubic')

WORST_CONDITION = 1e3
"""Condition of D U above which its inverse would lose the digits that an exact match needs."""


def grid_of(lr_size: int | Sequence[int]) -> tuple[int, int]:
    """Rows and columns of an LR picture of that size; a number is the side of a square."""
    return (lr_size, lr_size) if isinstance(lr_size, int) else (lr_size[0], lr_size[1])


def check_multiple(height: int, width: int, lr_size: int | Sequence[int]) -> None:
    """Refuse image sizes that the grid of an LR picture does not divide.

    Raises:
        ValueError: If H or W is not a positive multiple of the LR picture's.
    """
    rows, columns = grid_of(lr_size)
    if not all(0 < n <= side and side % n == 0 for n, side in ((rows, height), (columns, width))):
        raise ValueError(
            f'an image of {height} x {width} has no LR picture of {rows} x {columns}: its sides '
            f'must be multiples of the LR size; resize the image or choose another lr_size'
        )


def check_choice(name: str, value: str, accepted: tuple[str, ...]) -> None:
    if value not in accepted:
        raise ValueError(f'{name} is {value!r}; accepted are {", ".join(accepted)}')


def to_uint8(image: Tensor) -> Tensor:
    """Round images in [-1, 1] to the levels that a file of 8 bits holds; clamps."""
    return to_levels(image, torch.uint8)


def from_uint8(image: Tensor) -> Tensor:
    """Bring uint8 images to floats (torch's default dtype) in [-1, 1]."""
    return image.to(torch.get_default_dtype()) / GREY_LEVELS - 1


def to_levels(image: Tensor, dtype: torch.dtype) -> Tensor:
    """Round images in [-1, 1] to the levels that a file of uint8 or uint16 holds; clamps."""
    # level = (x + 1) L / 2, 0 to L
    return image.clamp(-1, 1).add_(1).mul_(torch.iinfo(dtype).max / 2).round_().to(dtype)


def down(image: Tensor, lr_size: int | Sequence[int], method: str = 'box') -> Tensor:
    """Shrink images to their LR picture (down(x) of I2I-LR, section 'Task').

    Args:
        image: (B, C, H, W), H and W multiples of the LR picture's.
        lr_size: Side s of the LR picture, or its height and width.
        method: 'box' (area average, the method's own operator) or 'bicubic' (antialiased).

    Returns:
        (B, C, s, s) or (B, C, r, s), in the range of ``image`` ('bicubic' can overshoot it).

    Raises:
        ValueError: If the size is no multiple of ``lr_size`` or the method is unknown.

    Examples:
        >>> import torch
        >>> image = torch.tensor([[0.0, 1.0], [0.5, 0.5]])[None, None]
        >>> down(image, 1)
        tensor([[[[0.5000]]]])
    """
    height, width = image.shape[-2:]
    rows, columns = grid_of(lr_size)
    check_multiple(height, width, lr_size)
    check_choice('method', method, DOWN_METHODS)
    # box: l[i, j] = 1 / (k_h k_w) sum of the k_h x k_w pixels of cell (i, j), k = H / s.
    if method == 'box':
        # A mean sums in a tree; avg_pool2d adds one by one and loses digits in large cells.
        cells = image.unflatten(-1, (columns, -1)).unflatten(-3, (rows, -1))
        return cells.mean(dim=(-3, -1))
    if columns == 1 < rows:  # PyTorch's kernel is wrong there, and right for one row
        return down(image.mT, (1, rows), method).mT
    return F.interpolate(image, size=(rows, columns), mode='bicubic', antialias=True)


def up(lr: Tensor, size: int | Sequence[int], method: str = 'nearest') -> Tensor:
    """Enlarge LR pictures to ``size``, pixel centres aligned.

    Args:
        lr: (B, C, r, s).
        size: Height and width of the result, or the side of a square; multiples of r and s.
        method: 'nearest', 'bilinear' or 'bicubic'.

    Returns:
        (B, C, H, W).

    Raises:
        ValueError: If ``size`` is no multiple of the LR size or the method is unknown.
    """
    size = grid_of(size)
    check_multiple(*size, lr.shape[-2:])
    check_choice('method', method, UP_METHODS)
    if method == 'nearest':
        return F.interpolate(lr, size=size, mode='nearest')
    return F.interpolate(lr, size=size, mode=method, align_corners=False)


def residual(image: Tensor, lr: Tensor, method: str = 'box') -> Tensor:
    """Quantised distance of an image from its LR target, as the discriminator sees it.

    |down(image) - lr| in bins of 4 grey levels, rounded to whole bins in the forward pass and with
    the gradient of the unrounded value (straight-through estimator). A difference of at most 2 grey
    levels gives exactly 0. Source: LAG (Berthelot et al. 2020), I2I-LR.

    Args:
        image: (B, 3, H, W) in [-1, 1].
        lr: (B, 3, s, s) in [-1, 1].
        method: The operator that made ``lr``, see :func:`down`.

    Returns:
        (B, 3, s, s), multiples of 4 / 127.5, at least 0.

    Raises:
        ValueError: If the image size is no multiple of the LR size.
    """
    # STE(v) = round(v r) / r forwards and v backwards, r = 127.5 / 4 (Berthelot et al. 2020), of
    # v = |down(x) - l|. A difference of 2 levels is v r = 0.5, which rounds to the even 0.
    difference = (down(image, lr.shape[-2:], method) - lr).abs()
    bins = GREY_LEVELS / RESIDUAL_BIN
    quantised = (difference.detach() * bins).round() / bins
    # The brackets matter: v - v is 0 exactly, and (q + v) - v is not.
    return quantised + (difference - difference.detach())


@lru_cache(maxsize=64)
def shrinking_matrix(size: int, lr_size: int, method: str) -> Tensor:
    """The (s, size) matrix D of one axis: down(x) is D x D^T; float64.

    Raises:
        ValueError: If the size is no multiple of ``lr_size`` or the method is unknown.
    """
    # The operators are separable: from a picture of one column, e_j, they make D e_j, D's column j.
    unit = torch.eye(size, dtype=torch.float64)[:, None, :, None]
    return down(unit, (lr_size, 1), method)[:, 0, :, 0].T.contiguous()


@lru_cache(maxsize=64)
def right_inverse(size: int, lr_size: int, method: str, up_method: str) -> Tensor:
    """A (size, s) matrix U (D U)^-1 of one axis, so that D of it is the identity; float64.

    Raises:
        ValueError: If there is none: D sees nothing of some pictures of U's shape.
    """
    # V: the enlargement itself. U = V (D V)^-1 has its shape, and D U = 1.
    # For box and nearest, D V = 1 and U = k D^T, the pseudo-inverse of D.
    unit = torch.eye(lr_size, dtype=torch.float64)[:, None, :, None]
    upscale = up(unit, (size, 1), up_method)[:, 0, :, 0].T
    product = shrinking_matrix(size, lr_size, method) @ upscale
    if not torch.linalg.cond(product) < WORST_CONDITION:  # nan if all is zero
        raise ValueError(
            f"there is no correction of shape '{up_method}' for LR pictures made by '{method}' at "
            f"{size} px and LR {lr_size}; 'bilinear' fits both operators"
        )
    return upscale @ torch.linalg.inv(product)


def project(image: Tensor, lr: Tensor, method: str = 'box', up_method: str = 'nearest') -> Tensor:
    """Move an image to the nearest match of an LR target: y + up(lr - down(y)).

    ``up`` is the named enlargement followed by the small linear correction that makes it a right
    inverse of ``down`` (with 'box' and 'nearest' there is nothing to correct), so down(result)
    equals ``lr`` exactly, up to float rounding. The null-space part of the image, its detail inside
    the cells, is kept. Source: range/null-space decomposition (DDNM, Wang et al. 2023).

    Args:
        image: (B, C, H, W), H and W multiples of r and s.
        lr: (B, C, r, s).
        method: The operator that made ``lr``, see :func:`down`.
        up_method: Shape of the correction, see :func:`up`; 'nearest' is piecewise constant.

    Returns:
        (B, C, H, W). Values can leave [-1, 1] where the target asks for it.

    Raises:
        ValueError: If the sizes do not fit or a method is unknown.
    """
    # z = y + U_h (l - D_h y D_w^T) U_w^T, so D_h z D_w^T = l. No other picture that differs from y
    # in the shape of U does that; for box and nearest, U D is an orthogonal projection, so z is
    # the nearest of all pictures that do.
    difference = lr - down(image, lr.shape[-2:], method)
    if (method, up_method) == ('box', 'nearest'):
        return image + up(difference, image.shape[-2:])
    rows = right_inverse(image.shape[-2], lr.shape[-2], method, up_method).to(image.device)
    columns = right_inverse(image.shape[-1], lr.shape[-1], method, up_method).to(image.device)
    # In float64: (D V)^-1 multiplies the rounding of the difference by its condition.
    return image + (rows @ difference.double() @ columns.T).to(image.dtype)


SMOOTH_ROUNDS = 4
LARGE_DIFFERENCE = 8.0
"""Grey levels beyond which :func:`match` corrects a cell by itself."""


def match(
    image: Tensor,
    lr: Tensor,
    method: str = 'box',
    rounds: int = 20,
    dtype: torch.dtype = torch.uint8,
) -> Tensor:
    """The 8-bit picture near ``image`` whose LR picture is the target's as nearly as 8 bits allow.

    With 'box', differences of up to 8 grey levels are corrected smoothly, across the borders of
    cells, in four rounds of y + up(lr - down(y)) with a bilinear ``up``; what is beyond, and what
    is left, within each cell (:func:`shift_cells`). A smooth correction of large differences would
    overshoot in the neighbours. With 'bicubic', whose cells overlap, :func:`project` and clipping
    take turns. Picture files: :func:`i2ilr_mm.match`.

    Args:
        image: (B, C, H, W) in [-1, 1], H and W multiples of r and s.
        lr: (B, C, r, s); what lies outside [-1, 1] cannot be met.
        method: The operator that made ``lr``, see :func:`down`.
        rounds: Rounds with 'bicubic'.
        dtype: torch.uint16 for the picture of 16 bits.

    Returns:
        (B, C, H, W) of ``dtype``.

    Raises:
        ValueError: If the sizes do not fit, or the method or the type is unknown.

    Examples:
        >>> import torch
        >>> image, lr = torch.linspace(-1, 1, 3072).view(1, 3, 32, 32), torch.zeros(1, 3, 8, 8)
        >>> result = match(image, lr)
        >>> result.dtype, result.shape
        (torch.uint8, torch.Size([1, 3, 32, 32]))
        >>> bool(((down(from_uint8(result), 8) - lr).abs() * GREY_LEVELS).max() <= 0.5)  # rounding
        True
    """
    check_choice('dtype', str(dtype), ('torch.uint8', 'torch.uint16'))
    return to_levels(matched(image, lr, method, rounds), dtype)


def matched(image: Tensor, lr: Tensor, method: str = 'box', rounds: int = 20) -> Tensor:
    """:func:`match` before it is rounded, (B, C, H, W) in [-1, 1]."""
    image, lr, size = image.clamp(-1, 1), lr.clamp(-1, 1), image.shape[-2:]
    # bicubic: projections in turns, onto the pictures that match and onto [-1, 1].
    if method != 'box':
        for _ in range(rounds):
            image = project(image, lr, method, 'bilinear').clamp(-1, 1)
        return image
    image = shift_cells(image, lr, beyond=LARGE_DIFFERENCE / GREY_LEVELS)
    # A round takes the error e = l - D x D^T to e - (D V) e (D V)^T. For bilinear V, D V has rows
    # (1/8, 3/4, 1/8) and eigenvalues between 1/2 and 1: 0 of the mean and at most 3/4 of any other
    # component are left, so four rounds leave a third or less. What is then moved within cells is
    # small, and shows no borders. (Where pixels are clipped, more is left.)
    for _ in range(SMOOTH_ROUNDS):
        image = up(lr - down(image, lr.shape[-2:]), size, 'bilinear').add_(image).clamp_(-1, 1)
    return shift_cells(image, lr)


def shift_cells(image: Tensor, lr: Tensor, beyond: float = 0.0) -> Tensor:
    """Bring the mean of every cell to the target's by moving all its pixels towards white or black.

    Each pixel goes the same share of its way, so that none is clipped and the mean is exact.

    Args:
        image: (B, C, H, W) in [-1, 1].
        lr: (B, C, r, s).
        beyond: Leave this much of the difference.
    """
    # Upwards, each pixel goes the share t = (l - m) / (1 - m) of its way to 1:
    #   x' = x + t (1 - x)        m' = m + t (1 - m) = l        x' <= 1, as l <= 1 makes t <= 1
    # and downwards, with t = (m - l) / (1 + m):  x' = x - t (1 + x),  m' = m - t (1 + m) = l.
    # Where m is 1 (or -1) the numerator is 0; the floor of 1e-6 only keeps 0 / 0 away.
    # Together x' = (1 - t_up - t_down) x + (t_up - t_down); one t at least is 0.
    mean = down(image, lr.shape[-2:])
    difference = lr - mean - (lr - mean).clamp(-beyond, beyond)
    whiter = (difference.clamp(min=0) / (1 - mean).clamp(min=1e-6)).clamp(max=1)
    blacker = ((-difference).clamp(min=0) / (1 + mean).clamp(min=1e-6)).clamp(max=1)
    scale, offset = 1 - whiter - blacker, whiter - blacker
    cells = image.unflatten(-1, (lr.shape[-1], -1)).unflatten(-3, (lr.shape[-2], -1))
    cells = torch.addcmul(offset[..., None, :, None], cells, scale[..., None, :, None])
    return cells.reshape(image.shape).clamp_(-1, 1)
