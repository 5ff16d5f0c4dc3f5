"""From any of Pillow's pictures to upright 8-bit sRGB."""

import io
import struct
import threading
import warnings
import zlib
from contextlib import ExitStack
from functools import lru_cache
from logging import WARNING
from typing import Any

import numpy as np
from mmengine.logging import print_log
from PIL import Image, ImageCms

# What Pillow's decoders raise for damaged pictures.
UNDECODABLE = (
    *(OSError, EOFError, SyntaxError, ValueError, RuntimeError, TypeError, LookupError),
    *(ArithmeticError, AttributeError, AssertionError, MemoryError, struct.error, zlib.error),
    Image.DecompressionBombError,
)


class _WithoutWarnings:
    """No warnings of odd metadata: whoever asks for the picture says what matters.

    Python's filters are those of the process. So the first thread that comes in puts them aside,
    and the last one that leaves puts them back.
    """

    def __init__(self) -> None:
        self.lock, self.inside, self.filters = threading.Lock(), 0, ExitStack()

    def __enter__(self) -> None:
        with self.lock:
            if not self.inside:
                self.filters.enter_context(warnings.catch_warnings())
                warnings.simplefilter('ignore')
            self.inside += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside:
                self.filters.close()


without_warnings = _WithoutWarnings()


def to_rgb(image: Image.Image, name: str = 'the picture') -> Image.Image:
    """An upright 8-bit sRGB picture of any picture.

    Greyscale, palette, CMYK, Lab and 16-bit pictures are converted, a colour profile is applied,
    transparency is laid over white, and the orientation is applied.

    Args:
        image: Any picture of Pillow's.
        name: What warnings call it.

    Raises:
        OSError: If the pixels cannot be decoded.
        ValueError: If they are neither 8-bit nor up to 16-bit unsigned integers.
    """
    with without_warnings:
        return convert(image, name)


def convert(image: Image.Image, name: str) -> Image.Image:
    """The same as :func:`to_rgb`, for callers that have switched warnings off already."""
    colours, alpha = layers(image, name)
    if alpha is None:
        return colours
    return Image.composite(colours, Image.new('RGB', colours.size, 'white'), alpha)


def layers(image: Image.Image, name: str) -> tuple[Image.Image, Image.Image | None]:
    """Colours as :func:`convert` gives them, and what lets white through: alpha, if there is one.

    Returns:
        Pictures of 8 bits, RGB and L, upright.
    """
    image.load()
    clear = image.info.get('transparency')
    if isinstance(clear, tuple) and max(clear) > 255:
        raise ValueError(
            'one of its 16-bit colours is transparent, and Pillow reads 8 bits of each: save it '
            'with an alpha channel'
        )
    turn = turn_of(image)
    profile = image.info.get('icc_profile')
    image, alpha = _without_alpha(_to_8_bits(image))
    if alpha is not None and image.format == 'BMP' and not alpha.getbbox():
        print_log(f"'{name}': its alpha channel is empty, and left out", 'current', WARNING)
        alpha = None
    image = _in_srgb(image, profile)
    if turn is None:
        return image, alpha
    return image.transpose(turn), None if alpha is None else alpha.transpose(turn)


TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what turns the picture upright."""


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """What turns a picture upright; None if nothing has to, or the entry cannot be read."""
    try:
        return TURNS.get(int(image.getexif().get(0x0112, 1)))
    except UNDECODABLE:
        return None


def _to_8_bits(image: Image.Image) -> Image.Image:
    """The same picture in a mode of 8 bits a channel."""
    if not is_deep_grey(image):
        return image
    share, opaque = grey_shares(image)
    grey = Image.fromarray((share * 255).round().astype(np.uint8))
    if opaque is not None:
        grey.putalpha(Image.fromarray(opaque * np.uint8(255)))
    grey.format = image.format
    return grey


def is_deep_grey(image: Image.Image) -> bool:
    """Whether it is one of Pillow's pictures of one channel of more than 8 bits."""
    return image.mode.startswith('I') or image.mode == 'F'


def grey_shares(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Read a picture of one channel of up to 16 bits.

    Returns:
        (H, W) from 0 (black) to 1 (white), float64; and which pixels are opaque, None if all are.

    Raises:
        ValueError: If its pixels are no unsigned integers of 8 to 16 bits.
    """
    tags = getattr(image, 'tag_v2', {})
    bits = max(tags.get(258, (16,)))
    values = np.asarray(image, dtype=np.float64)
    full = 2.0**bits - 1
    is_integer = image.mode.startswith('I;16') or (image.mode == 'I' and image.format == 'PNG')
    if not is_integer or bits > 16 or values.min() < 0 or values.max() > full:
        raise ValueError(
            f"its pixels ('{image.mode}') are no unsigned integers of 8 to 16 bits, so that "
            f'nothing says which values are black and white: save it with 8 or 16 bits'
        )
    shown = values if tags.get(262) != 0 else full - values  # 0: white is zero
    opaque = values != image.info['transparency'] if 'transparency' in image.info else None
    return shown / full, opaque  # transparency is one 16-bit value


def _without_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colours and opacity, as two pictures; the opacity is None where there is no alpha channel."""
    kind = image.format
    alpha = None
    if image.mode in ('RGBA', 'LA', 'PA', 'RGBa', 'La') or 'transparency' in image.info:
        # La and RGBa hold colours times alpha; converting divides.
        image = image.convert('RGBA' if image.mode != 'LA' else 'LA')
        alpha = image.getchannel('A')
        image = image.convert('RGB' if image.mode == 'RGBA' else 'L')
    elif image.mode in ('P', '1', 'HSV', 'YCbCr', 'RGBX'):
        image = image.convert('L' if image.mode == '1' else 'RGB')
    image.format = kind
    return image, alpha


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """L, RGB, CMYK or LAB as sRGB; ignores a profile that is damaged or of another kind."""
    if image.mode == 'LAB' or profile:
        transform = _transform(profile if image.mode != 'LAB' else None, image.mode)
        if transform is not None:
            return transform.apply(image)
    return image if image.mode == 'RGB' else image.convert('RGB')


def is_srgb(profile: bytes | None, mode: str) -> bool:
    """Whether a profile leaves colours (RGB) or greys (L) as sRGB has them, or is of no use."""
    transform = _transform(profile, mode) if profile else None
    if transform is None or mode != 'L':
        return transform is None
    ramp = np.arange(256, dtype=np.uint8)[None]
    moved = np.asarray(transform.apply(Image.fromarray(ramp)), dtype=int)
    return bool(np.abs(moved - ramp[..., None]).max() <= 1)


@lru_cache(maxsize=64)
def _transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile (None: Lab's own) to sRGB; None if there is nothing to do or it is of no use.

    A profile says sRGB by its colours, whatever it is called: if it moves no colour of a grid by
    more than one level, it is left out.
    """
    try:
        lab = ImageCms.createProfile('LAB')
        own = lab if profile is None else ImageCms.ImageCmsProfile(io.BytesIO(profile))
        srgb = ImageCms.createProfile('sRGB')
        # littleCMS's shortcut for one channel is ten levels off where the curve is steep.
        flags: Any = 0x0100 if mode == 'L' else 0  # cmsFLAGS_NOOPTIMIZE
        transform = ImageCms.buildTransform(own, srgb, mode, 'RGB', flags=flags)
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None
    if mode == 'RGB':
        levels = np.linspace(0, 255, 18).round().astype(np.uint8)
        grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(18, -1, 3)
        moved = np.asarray(transform.apply(Image.fromarray(grid)), dtype=int)
        if np.abs(moved - grid).max() <= 1:
            return None
    return transform
