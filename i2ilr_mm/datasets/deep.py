"""Decoding pictures as they are to be written again: at their own depth, with their alpha channel.

Pillow keeps 8 bits of a colour; OpenCV reads colours of 16 bits.
"""

from typing import Any

import cv2
import numpy as np
from PIL import Image

from .decode import PictureError, read_with, without_metadata
from .rgb import grey_shares, is_deep_grey, is_srgb, layers, turn_of
from .tiffs import BITS, deep_shares, numbers_of


def decode_deep(data: bytes, name: str) -> np.ndarray:
    """Decode a picture of 8 or 16 bits; 10 to 14 bits become 16.

    Args:
        data: The whole file.
        name: What messages call it.

    Returns:
        (H, W, 3) RGB or (H, W, 4) RGBA, uint8 or uint16, sRGB and upright. Colours are those
        stored, whatever their alpha.

    Raises:
        PictureError: If it is damaged, no picture, or stored in a way that is not read.
    """
    pixels, problem = read_with(data, name, lambda image: _pixels(image, data, name))
    if pixels is None:
        raise PictureError(f"'{name}' {problem}")
    return pixels


def pixels_of(image: Image.Image, name: str = 'the picture') -> np.ndarray:
    """The same of a picture of Pillow's, which has 8 bits unless it is grey.

    Raises:
        OSError: And others of :data:`~i2ilr_mm.datasets.rgb.UNDECODABLE`, if the pixels cannot be
            decoded.
        ValueError: If they are neither 8-bit nor up to 16-bit unsigned integers, or of 16 bits with
            a profile other than sRGB.
    """
    pixels, problem = _pixels(image, b'', name)
    if pixels is None:
        raise ValueError(f'{name} {problem}')
    return pixels


def _pixels(image: Image.Image, data: bytes, name: str) -> tuple[np.ndarray | None, str]:
    """Pixels, or what is wrong with a picture that no other way of reading it would mend."""
    deep_grey = is_deep_grey(image)
    if deep_grey or _is_deep_colour(image, data):
        if not is_srgb(image.info.get('icc_profile'), 'L' if deep_grey else 'RGB'):
            return None, 'has 16 bits and a profile other than sRGB: convert it to sRGB'
        # Pillow turns a TIFF as it loads it, and forgets the entry; OpenCV gives it as stored.
        as_stored = turn_of(image)
        pixels = _grey(image) if deep_grey else _colour(image, data)
        turn = turn_of(image) if deep_grey else as_stored
        if pixels is None:
            return None, 'has 16 bits in an unusual layout: save it as RGB or RGBA, in one plane'
        return _upright(pixels, turn), ''
    channels = [np.array(layer) for layer in layers(image, name) if layer is not None]
    return np.dstack(channels), ''


def _is_deep_colour(image: Any, data: bytes) -> bool:
    if image.format == 'PNG' and data[12:16] == b'IHDR':
        return data[24] == 16
    return image.format == 'TIFF' and max(numbers_of(data).get(BITS, (1,))) > 8


def _grey(image: Image.Image) -> np.ndarray:
    image.load()
    share, opaque = grey_shares(image)
    grey = (share * 65535).round().astype(np.uint16)
    alpha = [] if opaque is None else [opaque * np.uint16(65535)]
    return np.dstack([grey, grey, grey, *alpha])


def _colour(image: Any, data: bytes) -> np.ndarray | None:
    """RGB or RGBA of 16 bits; None of a layout that OpenCV reads wrongly or not at all."""
    image.load()  # finds damage that OpenCV passes over
    if image.format == 'TIFF':
        share = deep_shares(data)
        return None if share is None else (share * 65535).round().astype(np.uint16)
    stored = np.frombuffer(without_metadata(data), np.uint8)
    values = cv2.imdecode(stored, cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.ndim != 3:
        return None
    return values[..., [2, 1, 0, 3][: values.shape[2]]]  # OpenCV has BGR


def _upright(pixels: np.ndarray, turn: Image.Transpose | None) -> np.ndarray:
    if turn is None:
        return pixels
    channels = [Image.fromarray(np.ascontiguousarray(c)) for c in np.moveaxis(pixels, -1, 0)]
    return np.dstack([np.array(channel.transpose(turn)) for channel in channels])
