"""What a user may hand in as a source, an LR target or a mask."""

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from i2ilr.files import at_home

from ..datasets.decode import PictureError, decode, size_of
from ..datasets.pictures import read_picture
from ..datasets.rgb import UNDECODABLE, to_rgb
from ..datasets.transforms import fit_picture, shrink
from ..lr import from_uint8, to_uint8

MOST_PIXELS = 50_000_000
"""Of a picture that is uploaded to the web page; a small file can hold very many."""

Picture = str | os.PathLike | Image.Image | np.ndarray | Tensor
"""What a source or a target can be given as, see :meth:`Translator.source` and ``target``."""


def name_of(picture: Any) -> str:
    return at_home(picture) if isinstance(picture, (str, os.PathLike)) else ''


def named(picture: Any) -> str:
    return f"'{name_of(picture)}' " if name_of(picture) else 'the LR target '


def to_array(picture: Picture, least: int) -> np.ndarray:
    """(H, W, 3) uint8 of a picture in any accepted form.

    Raises:
        ValueError: If the shape, type or range is another.
    """
    if isinstance(picture, (str, os.PathLike)):
        return read_picture(os.fspath(picture), least)
    if isinstance(picture, Tensor):
        return _from_tensor(picture)
    if isinstance(picture, np.ndarray):
        picture = _from_array(picture)
    if isinstance(picture, Image.Image):
        try:
            return np.array(to_rgb(picture))
        except UNDECODABLE as error:
            raise ValueError(f'the picture cannot be decoded: {error}') from error
    raise ValueError(
        f'a {type(picture).__name__} was given; accepted are paths, PIL images, uint8 arrays and '
        f'tensors'
    )


def _from_array(picture: np.ndarray) -> Image.Image:
    return Image.fromarray(checked(picture, 'uint8'))


def checked(picture: np.ndarray, *types: str) -> np.ndarray:
    """The same array, if it is a picture of one of these types.

    Raises:
        ValueError: If it is not.
    """
    if picture.dtype.name not in types or picture.ndim not in (2, 3) or 0 in picture.shape:
        raise ValueError(
            f'an array of {picture.dtype} {picture.shape} was given; accepted are '
            f'{" and ".join(types)} arrays (H, W), (H, W, 3) and (H, W, 4)'
        )
    if picture.ndim == 3 and picture.shape[2] not in (3, 4):
        raise ValueError(f'an array of {picture.shape} was given; the last axis has 3 or 4')
    return picture


def _from_tensor(picture: Tensor) -> np.ndarray:
    image = picture[0] if picture.ndim == 4 and len(picture) == 1 else picture
    if image.ndim != 3 or len(image) != 3 or 0 in image.shape:
        raise ValueError(
            f'a tensor of shape {tuple(picture.shape)} was given; accepted is (3, H, W)'
        )
    if image.is_floating_point():
        _check_range(in_range(image) if is_in_range(picture) else image, 1.001)
        image = to_uint8(image)
    if image.dtype != torch.uint8:
        raise ValueError(f'a tensor of {image.dtype} was given; accepted are uint8 and floats')
    return image.detach().cpu().permute(1, 2, 0).numpy()


def _check_range(image: Tensor, most: float) -> None:
    """Refuse floats that are not in [-1, 1], or may be meant in [0, 1].

    Raises:
        ValueError: With what to give in their place.
    """
    low, high = image.min().item(), image.max().item()
    if not image.isfinite().all() or max(-low, high) > most:
        raise ValueError(
            f'a float tensor with values {low:g} to {high:g} was given; floats go from -1 to 1 '
            f'(i2ilr_mm.lr.from_uint8)'
        )
    if low > SURELY_SIGNED and not is_in_range(image):
        raise ValueError(
            f'a float tensor with values from {low:g} to {high:g} was given: floats go from -1 to '
            f'1, and these may be meant from 0 to 1, as ToTensor makes them; give uint8, which is '
            f'(x * 255).round().byte() if they are, and i2ilr_mm.lr.to_uint8(x) if not'
        )


SURELY_SIGNED = -0.2
"""Bicubic shrinking can bring a picture in [0, 1] down to here, but hardly further."""

MOST_OF_LR = 2.0
"""LR targets may leave [-1, 1], as bicubic shrinking does; levels of 255 do not pass for them."""


def in_range(tensor: Tensor) -> Tensor:
    """Note on a tensor that it is meant in [-1, 1], so that it is taken back as it is.

    The note does not outlive a change, and no operation hands it on.
    """
    if not tensor.is_inference():  # whose changes are not counted
        tensor.i2ilr_version = tensor._version  # type: ignore[attr-defined]
    return tensor


def is_in_range(tensor: Any) -> bool:
    """Whether :func:`in_range` noted it, and nothing has changed it since."""
    noted = getattr(tensor, 'i2ilr_version', None)
    return noted is not None and noted == tensor._version


def to_lr(tensor: Tensor, grid: tuple[int, ...]) -> Tensor:
    """An LR target given as floats, (3, rows, columns) of its grid.

    Raises:
        ValueError: If the shape is another, or the values are not meant in [-1, 1] for sure.
    """
    lr = tensor[0] if tensor.ndim == 4 and len(tensor) == 1 else tensor
    if tuple(lr.shape) != (3, *grid):
        raise ValueError(f'an LR target is a tensor of {tuple(lr.shape)}; it must be {(3, *grid)}')
    _check_range(in_range(lr) if is_in_range(tensor) else lr, MOST_OF_LR)
    return in_range(lr.detach().float().cpu())


def to_tensor(array: np.ndarray) -> Tensor:
    return in_range(from_uint8(torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1)))


def read_target(
    picture: Picture, img_size: int, lr_sizes: Sequence[int], lr_size: int, fit: str, lr_method: str
) -> Tensor:
    """An LR target (3, s, s), see ``Translator.target``.

    Args:
        picture: What was given.
        img_size: Side of the model's pictures.
        lr_sizes: Sides of the LR pictures that are accepted as they are.
        lr_size: Side that whole pictures are shrunk to.
        fit: How pictures come to the model's size.
        lr_method: The LR operator.

    Raises:
        ValueError: If it cannot be read, or is an LR picture of another size.
    """
    if isinstance(picture, Tensor) and picture.is_floating_point():
        side = picture.shape[-1]
        if side in lr_sizes:
            return to_lr(picture, (side, side))
    array = to_array(picture, img_size)
    height, width = array.shape[:2]
    if height == width and height in lr_sizes:
        return to_tensor(array)
    if min(height, width) < img_size // 2:
        sizes = ' or '.join(f'{s} x {s}' for s in lr_sizes)
        raise ValueError(
            f'{named(picture)}is {width} x {height}: this model is asked for LR targets of '
            f'{sizes}, and no others can stand for them; give one of that size, or a whole picture '
            f'(at least {img_size // 2} pixels a side), which is shrunk to it'
        )
    return in_range(shrink(fit_picture(array, img_size, fit), lr_size, lr_method))


def read_mask(path: str, lr_sizes: Sequence[int]) -> np.ndarray:
    """Shares (s, s) in [0, 1] from a greyscale picture of one of the LR sizes.

    Raises:
        ValueError: If the picture has another size.
    """
    picture = read_picture(path)
    if picture.shape[:2] not in [(s, s) for s in lr_sizes]:
        cells = ' or '.join(f'{s} x {s}' for s in lr_sizes)
        raise ValueError(
            f"--mask: '{path}' is {picture.shape[1]} x {picture.shape[0]}; it needs one pixel for "
            f'each of {cells} cells'
        )
    return picture.mean(axis=2) / 255


def read_pairs(
    pairs: Sequence[tuple[Any, Any]], reader: Any, lr_size: int | None = None
) -> tuple[list[tuple[Tensor, Tensor]], dict[int, Exception]]:
    """Read sources and targets.

    Args:
        pairs: Sources and targets.
        reader: Reads them by its methods ``source`` and ``target``.
        lr_size: Side of the LR targets, as for ``target``.

    Returns:
        The pairs that could be read, (3, H, H) and (3, s, s), and what was wrong with the others,
        by their places.
    """
    tensors: list[tuple[Tensor, Tensor]] = []
    failures: dict[int, Exception] = {}
    for i, (source, target) in enumerate(pairs):
        try:
            tensors.append((reader.source(source), reader.target(target, lr_size)))
        except (ValueError, MemoryError) as error:
            failures[i] = error
    return tensors, failures


# What the web page sends


def uploaded_picture(file: Any, what: str) -> Image.Image:
    """The picture in an uploaded file.

    Raises:
        ValueError: If there is none, or it cannot be read.
    """
    if file is None:
        raise ValueError(f'{what} is missing')
    data, name = file.read(), file.filename
    try:
        width, height = size_of(data, name)
        if width * height > MOST_PIXELS:
            raise PictureError(
                f"'{name}' is {width} x {height}; this page takes up to "
                f'{MOST_PIXELS // 10**6} million pixels'
            )
        return Image.fromarray(decode(data, name))
    except PictureError as error:
        raise ValueError(f'{what} {error}') from error


def json_list(text: str, what: str) -> list:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, list):
        raise ValueError(f'{what} must be a JSON list')
    return value


def strength_of(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"strength is '{text}'; it is a number from 0 to 1") from None


def size_of_form(text: str | None, usual: int) -> int:
    if text is None:
        return usual
    if not text.isdecimal() or len(text) > 4:
        raise ValueError(f"lr_size is '{text}'; it is a whole number of cells")
    return int(text)


def painted_target(text: str, lr_sizes: Sequence[int]) -> np.ndarray:
    """(s, s, 3) uint8 of rows of colours such as '#a0b1c2', as JSON; s is one of the sizes.

    Raises:
        ValueError: If it is anything else.
    """
    try:
        rows = [
            [bytes.fromhex(cell.removeprefix('#')) for cell in row]
            for row in json_list(text, 'the LR target')
        ]
        grid = np.array([[list(cell) for cell in row] for row in rows], dtype=np.uint8)
    except (ValueError, TypeError, AttributeError):
        grid = np.zeros(0, np.uint8)
    if grid.shape not in [(s, s, 3) for s in lr_sizes]:
        sizes = ' or '.join(f'{s} rows of {s}' for s in lr_sizes)
        raise ValueError(f"the LR target must be {sizes} colours like '#a0b1c2'")
    return grid
