"""Move any picture to an LR target, whatever made it: an editor, a diffusion model, an upscaler."""

from collections.abc import Sequence
from itertools import product
from math import log
from operator import index

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .. import lr as ops
from ..datasets.deep import decode_deep, pixels_of
from ..datasets.pictures import read_bytes
from ..datasets.rgb import UNDECODABLE
from .inputs import Picture, checked, name_of, to_array, to_lr
from .translation import Translation, certified, channel, lr_error

MOST_ROUNDS = 20
"""Rounds of projecting and clipping with 'bicubic'; one is enough where nothing is clipped."""


def match(
    image: Picture, target: Picture, lr_size: int | Sequence[int] = 8, lr_method: str = 'box'
) -> Translation:
    """Move a picture to an LR target: shrunk to the target's size, the result equals it.

    The detail inside the cells of the grid stays the picture's. One that meets its target already,
    within half a level of its depth, is returned as it is. :func:`i2ilr_mm.lr.match` does the same
    to tensors, and says how.

    Args:
        image: A file, 'archive.zip::member', a PIL image, an array (H, W), (H, W, 3) or (H, W, 4)
            of uint8 or uint16, or a tensor (3, H, W): uint8, or floats in [-1, 1]. 16 bits and
            alpha are kept. Colours are matched as they are stored, whatever their alpha.
        target: The same. One of exactly the grid's size is the LR target itself; a larger one is
            shrunk, and must have the image's aspect. A float tensor (3, rows, columns) is taken as
            it is. Its alpha is laid over white, unless the image has alpha, too.
        lr_size: Side of the LR picture, or its rows and columns.
        lr_method: How it is made, 'box' or 'bicubic', see :func:`i2ilr_mm.lr.down`.

    Returns:
        The picture and its certificate: LR errors as written and, in ``before``, as given.

    Raises:
        ValueError: If a picture cannot be used, the grid does not divide the image, or the target
            has another aspect.

    Examples:
        >>> import numpy as np
        >>> edited, original = np.full((48, 64, 3), 90, np.uint8), np.full((96, 128), 100, np.uint8)
        >>> result = match(edited, original, lr_size=(6, 8))
        >>> result.image.getpixel((0, 0)), result.lr_worst, round(result.before['lr_worst'], 3)
        ((100, 100, 100), 0.0, 10.0)
    """
    ops.check_choice('lr_method', lr_method, ops.DOWN_METHODS)
    grid = checked_grid(lr_size)
    pixels = read_pixels(image)
    _check_divided(image, pixels, grid)
    lr = _lr_target(target, pixels, grid, lr_method)
    error = lr_error(pixels, lr, lr_method)
    before = dict(lr_mae=error.mean().item(), lr_worst=error.max().item())
    half_a_level = 0.5 * 255 / np.iinfo(pixels.dtype).max
    if before['lr_worst'] > half_a_level:
        pixels = _moved(pixels, lr, lr_method)
    result = certified(pixels, lr, lr_method, True, settings(grid, lr_method), before)
    result.source_name, result.target_name = name_of(image), name_of(target)
    return result


def settings(grid: tuple[int, int], lr_method: str) -> dict[str, str]:
    """What a result depends on besides its two pictures."""
    return dict(lr_size='{}x{}'.format(*grid), lr_method=lr_method)


def checked_grid(lr_size: int | Sequence[int]) -> tuple[int, int]:
    """Rows and columns.

    Raises:
        ValueError: If it is neither a positive integer nor two of them.
    """
    try:
        rows, columns = map(index, lr_size if isinstance(lr_size, Sequence) else [lr_size] * 2)
    except (TypeError, ValueError):
        rows = columns = 0
    if min(rows, columns) < 1:
        raise ValueError(f'lr_size is {lr_size!r}; it is a positive integer, or (rows, columns)')
    return rows, columns


def read_pixels(picture: Picture) -> np.ndarray:
    """(H, W, 3) RGB or (H, W, 4) RGBA, uint8 or uint16, of a picture in any accepted form.

    Raises:
        ValueError: If it cannot be read, or has another shape, type or range.
    """
    if name_of(picture):
        return decode_deep(read_bytes(name_of(picture)), name_of(picture))
    if isinstance(picture, np.ndarray):
        array = checked(picture, 'uint8', 'uint16')
        return array if array.ndim == 3 else np.repeat(array[..., None], 3, axis=2)
    if isinstance(picture, Image.Image):
        try:
            return pixels_of(picture)
        except UNDECODABLE as error:
            raise ValueError(f'the picture cannot be decoded: {error}') from error
    return to_array(picture, 0)


def _check_divided(image: Picture, pixels: np.ndarray, grid: tuple[int, int]) -> None:
    sides = pixels.shape[:2]
    if all(side % n == 0 for side, n in zip(sides, grid)):
        return
    (height, width), (rows, columns) = sides, grid
    options = product(*map(_nearest_divisors, sides, grid))
    nearest = sorted(options, key=lambda o: abs(log(o[0] / rows)) + abs(log(o[1] / columns)))
    listed = ', '.join('{}x{}'.format(*option) for option in nearest[:3])
    raise ValueError(
        f'{_subject(image, "the image")} is {width} x {height}, and {rows} rows x {columns} '
        f'columns do not divide it; the nearest grids that do are {listed} (rows x columns); '
        f'choose one as the LR size, or crop or resize the image to '
        f'{max(width // columns, 1) * columns} x {max(height // rows, 1) * rows}'
    )


def _nearest_divisors(side: int, wanted: int) -> list[int]:
    """The nearest divisors of a side from below and from above."""
    divisors = [n for n in range(1, side + 1) if side % n == 0]
    below, above = [n for n in divisors if n <= wanted], [n for n in divisors if n >= wanted]
    return sorted({*below[-1:], *above[:1]})


def _subject(picture: Picture, what: str) -> str:
    return f"'{name_of(picture)}'" if name_of(picture) else what


def _lr_target(target: Picture, image: np.ndarray, grid: tuple[int, int], lr_method: str) -> Tensor:
    """The LR target (3, rows, columns) in [-1, 1] for an image (H, W, C)."""
    if isinstance(target, Tensor) and target.is_floating_point() and target.shape[-2:] == grid:
        return to_lr(target, grid)
    pixels = read_pixels(target)
    if pixels.shape[:2] != grid:
        _check_aspect(_subject(target, 'the target'), pixels.shape[:2], image.shape[:2], grid)
    over_white = pixels.shape[2] == 4 and image.shape[2] == 3
    alpha = (channel(pixels, 3) + 1) / 2 if over_white else None
    shrunk = []
    for c in range(3):
        colour = channel(pixels, c)
        if alpha is not None:
            colour = alpha * colour + 1 - alpha
        shrunk.append(_shrunk(colour, grid, lr_method))
    return torch.stack(shrunk)


def _check_aspect(
    subject: str, target: tuple[int, ...], image: tuple[int, ...], grid: tuple[int, int]
) -> None:
    (rows, columns), (height, width) = grid, target
    way = f'give a picture of {columns} x {rows}, the LR target itself, or a whole picture of '
    if height < rows or width < columns:
        raise ValueError(
            f'{subject} is {width} x {height}, smaller than {rows} rows x {columns} columns: '
            f"{way}the image's aspect"
        )
    # Sides that rounding made differ by less than a pixel pass: |h / w - H / W| < 1 / w.
    if abs(height * image[1] - width * image[0]) >= max(*target, *image):
        raise ValueError(
            f'{subject} is {width} x {height}, and the image {image[1]} x {image[0]}, of another '
            f"aspect, so that cells would not lie on each other: {way}the image's aspect (crop it)"
        )


def _shrunk(colour: Tensor, grid: tuple[int, int], lr_method: str) -> Tensor:
    """The LR picture (rows, columns) of one channel (1, 1, H, W) of any size."""
    height, width = colour.shape[-2:]
    if height % grid[0] == 0 and width % grid[1] == 0:
        return ops.down(colour, grid, lr_method)[0, 0]
    if lr_method == 'bicubic':  # Pillow's is the same filter, for sides of any ratio
        picture = Image.fromarray(colour[0, 0].numpy())
        return torch.from_numpy(np.array(picture.resize(grid[::-1], Image.Resampling.BICUBIC)))
    # l = A_h x A_w^T, where cells share the pixels that their borders cut.
    rows, columns = _shares(height, grid[0]), _shares(width, grid[1])
    return (rows @ colour[0, 0].double() @ columns.T).float()


def _shares(side: int, cells: int) -> Tensor:
    """(cells, side) float64: the weight of each pixel in the mean of each cell."""
    edges = torch.arange(cells + 1, dtype=torch.float64) * side / cells
    pixel = torch.arange(side, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], pixel + 1) - torch.maximum(edges[:-1, None], pixel)
    return overlap.clamp(min=0) * cells / side


def _moved(pixels: np.ndarray, lr: Tensor, lr_method: str) -> np.ndarray:
    """The picture at its target, at the same depth; alpha is kept."""
    moved = pixels.copy()
    dtype = torch.uint16 if pixels.dtype == np.uint16 else torch.uint8
    for c in range(3):
        image, target = channel(pixels, c), lr[None, c : c + 1]
        moved[..., c] = _moved_channel(image, target, lr_method, dtype)[0, 0].numpy()
    return moved


def _moved_channel(x: Tensor, lr: Tensor, lr_method: str, dtype: torch.dtype) -> Tensor:
    if lr_method == 'box':
        return ops.match(x, lr, dtype=dtype)
    close = 0.5 / torch.iinfo(dtype).max  # a quarter of a level
    for _ in range(MOST_ROUNDS):
        x = ops.matched(x, lr, lr_method, rounds=1)
        if (ops.down(x, lr.shape[-2:], lr_method) - lr).abs().max() <= close:
            break
    return ops.to_levels(x, dtype)
