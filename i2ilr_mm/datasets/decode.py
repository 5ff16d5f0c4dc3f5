"""Decoding pictures: from the bytes of a file to 8-bit sRGB, as other programs show them.

Pillow decodes. What it gets wrong is put right here, each in one place: metadata that stops it,
tags of TIFF files, colour profiles, alpha channels that nobody filled.
"""

import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import lru_cache
from logging import WARNING
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from mmengine.logging import print_log
from PIL import Image, UnidentifiedImageError

from i2ilr.files import shown

from .rgb import UNDECODABLE, convert, without_warnings
from .tiffs import collect_stderr, is_deep_planar, is_tiff, open_by_libtiff, read_deep, what_tiff_is

Image.init()
FORMATS: list[str] = [
    f for f in ('AVIF', 'BMP', 'GIF', 'JPEG', 'PNG', 'TIFF', 'WEBP') if f in Image.OPEN
]
"""Formats that are decoded. Pillow knows more, but runs other programs for some of them."""

LARGE = 24_000_000
"""A JPEG of more pixels is decoded at a reduced size, if the caller needs no more."""

OTHER_PICTURES = (
    *('.heic', '.heif', '.jxl', '.jp2', '.j2k', '.psd', '.svg', '.tga', '.exr', '.hdr', '.ppm'),
    *('.pgm', '.pbm', '.cr2', '.cr3', '.nef', '.arw', '.dng', '.raf', '.orf', '.rw2', '.pdf'),
)
"""Suffixes of pictures that are not read."""

T = TypeVar('T')


class PictureError(ValueError):
    """A picture that cannot be used; the message names it and says why, on one line."""

    def __init__(self, message: str) -> None:
        super().__init__(shown(message))


def decode(data: bytes, name: str, least: int | None = None) -> np.ndarray:
    """Decode a picture to RGB, whatever it is stored as.

    Of an animation the first frame is read; for the rest see :func:`~i2ilr_mm.datasets.rgb.to_rgb`.

    Args:
        data: The whole file.
        name: What messages call it.
        least: A shorter side of this many pixels will do: large JPEGs may be decoded at half, a
            quarter or an eighth of their size, to at least four times as many.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        PictureError: If it is damaged, no picture, or stored in a way that is not read.
    """

    def pixels(image: Image.Image) -> np.ndarray:
        if least and image.format == 'JPEG' and image.width * image.height > LARGE:
            image.draft(None, (4 * least, 4 * least))
        return np.array(convert(image, name))

    return read_with(data, name, pixels)


def size_of(data: bytes, name: str) -> tuple[int, int]:
    """Width and height, as stored; the pixels may still turn out to be damaged.

    Raises:
        PictureError: If it is no picture, or its header is damaged.
    """
    return read_with(data, name, lambda image: image.size)


def read_with(data: bytes, name: str, operation: Callable[[Image.Image], T]) -> T:
    """Open a picture and run ``operation`` on it; if that fails, try without its metadata.

    Raises:
        PictureError: If it cannot be read.
    """
    lines: list[str] = []
    try:
        with without_warnings, collect_stderr(lines) if is_tiff(data) else nullcontext():
            result = _first_that_works(data, operation)
    except UnidentifiedImageError as error:
        raise PictureError(f"'{name}' {what_it_is(data)}") from error
    except UNDECODABLE as error:
        reason = lines[0] if lines else error
        raise PictureError(f"'{name}' cannot be decoded: {reason}") from error
    if lines:
        _warn_once(f"'{name}' is damaged, and read as far as it goes: {lines[0]}")
    return result


def _first_that_works(data: bytes, operation: Callable[[Image.Image], T]) -> T:
    problems: list[Exception] = []
    for bare in _without_more_and_more(data):
        try:
            with _open(io.BytesIO(bare)) as image:
                return operation(image)
        except UNDECODABLE as error:
            problems.append(error)
    raise problems[0]


@lru_cache(maxsize=4096)
def _warn_once(text: str) -> None:
    print_log(text, 'current', WARNING)


def _without_more_and_more(data: bytes) -> Iterator[bytes]:
    yield data
    if is_png(data):
        yield from (without_metadata(data, keep) for keep in ((b'iCCP', b'eXIf'), (b'eXIf',), ()))
    elif data.startswith(JPEG):
        yield without_metadata(data)


def open_picture(file: Any) -> Image.Image:
    """Read a picture's header.

    Args:
        file: A path or a binary file.

    Raises:
        UnidentifiedImageError: If it is none that Pillow knows.
        OSError: And others of :data:`UNDECODABLE`, if it is damaged.
    """
    with without_warnings:
        return _open(file)


def _open(file: Any) -> Image.Image:
    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        if isinstance(file, (str, os.PathLike)):
            file = io.BytesIO(Path(file).read_bytes())
        file.seek(0)
        deep = read_deep(file.read())
        if deep is None:
            raise
        return deep
    return open_by_libtiff(image) if image.format == 'TIFF' and is_deep_planar(image) else image


# Metadata that stops Pillow

PIXELS = (b'IHDR', b'PLTE', b'IDAT', b'IEND', b'tRNS')
"""The chunks that the pixels of a PNG are made of."""


JPEG = b'\xff\xd8\xff'


def is_png(data: bytes) -> bool:
    return data.startswith(b'\x89PNG\r\n\x1a\n')


def without_metadata(data: bytes, keep: tuple[bytes, ...] = ()) -> bytes:
    """A PNG or JPEG without the parts that its pixels do not need; other files unchanged.

    Pillow refuses a picture for a long text, a large profile, or a damaged chunk that it could pass
    over.

    Args:
        data: The file.
        keep: Chunks of a PNG to keep, besides :data:`PIXELS`.
    """
    if is_png(data):
        chunks = (*PIXELS, *keep)
        return data[:8] + b''.join(chunk for kind, chunk in _png_chunks(data) if kind in chunks)
    if data.startswith(JPEG):
        return _bare_jpeg(data)
    return data


def _png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks, at = [], 8
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], 'big')
        chunks.append((data[at + 4 : at + 8], data[at : at + 12 + length]))
        at += 12 + length
    return chunks


def _bare_jpeg(data: bytes) -> bytes:
    segments, at = [data[:2]], 2
    while data[at : at + 1] == b'\xff' and data[at + 1 : at + 2] not in (b'\xda', b''):
        marker = data[at + 1]
        size = int.from_bytes(data[at + 2 : at + 4], 'big')
        # APP14 says how the colours are stored; the other APPs and comments are metadata.
        if not (0xE1 <= marker <= 0xEF and marker != 0xEE) and marker != 0xFE:
            segments.append(data[at : at + 2 + size])
        at += 2 + size
    return b''.join([*segments, data[at:]])


# What a file is, if it is no picture that is read

_KINDS: list[tuple[str, str, str]] = [
    (r'....ftyp(hei[cxms]|hev[cxm]|mif1|msf1)', 'a HEIC picture', 'save it as JPEG or PNG'),
    (r'....ftypavi[fs]', 'an AVIF picture', 'install a Pillow that reads AVIF (11.3 or newer)'),
    (r'....ftyp', 'a film', 'save its frames as pictures'),
    (r'\xff\x0a|\x00\x00\x00\x0cJXL ', 'a JPEG XL picture', 'save it as JPEG or PNG'),
    (r'\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51', 'a JPEG 2000 picture', 'save it as JPEG or PNG'),
    (r'8BPS', 'a Photoshop file', 'save it as PNG or TIFF'),
    (r'version https://git-lfs', 'a pointer of Git LFS, not the picture', 'run `git lfs pull`'),
    (r'(\.\./)*\.git/annex/|/annex/objects', 'a pointer of git-annex', 'run `git annex get`'),
    (r'%PDF-', 'a PDF file', 'save its pages as pictures'),
    (r'%!PS', 'a PostScript file', 'save it as PNG'),
    (r'Rar!\x1a\x07', 'a RAR archive', 'unpack it'),
    (r'7z\xbc\xaf\x27\x1c', 'a 7z archive', 'unpack it'),
    (r'PK\x03\x04', 'a zip archive', 'give it as a folder, by a name that ends in .zip'),
    (r'\x1f\x8b', 'a gzip archive', 'unpack it'),
    (r'BZh', 'a bzip2 archive', 'unpack it'),
    (r'.{257}ustar', 'a tar archive', 'unpack it'),
    (r'\x76\x2f\x31\x01|#\?RADIANCE', 'a high-dynamic-range picture', 'save it with 8 or 16 bits'),
    (r'RIFF....(WAVE|AVI )', 'a sound or a film', 'leave it out'),
    (r'\s*(<!DOCTYPE html|<html|<head|<body)', 'a web page', 'fetch the picture itself again'),
    (r'\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<svg', 'an SVG drawing', 'save it as PNG'),
    (r'\s*<\?xml', 'an XML file', 'fetch the picture itself again'),
    (r'\s*[{\[]', 'a text file, JSON perhaps', 'fetch the picture itself again'),
]
"""How a file begins, what it is, and what to do."""


def what_it_is(data: bytes, unknown: str = f'is no picture ({", ".join(FORMATS)} are read)') -> str:
    """What a file is that holds no picture, as the end of a sentence after the file's name."""
    for pattern, kind, remedy in _KINDS:
        if re.match(pattern.encode('latin-1'), data[:1024], re.IGNORECASE | re.DOTALL):
            return f'is {kind}, and not read: {remedy}'
    return what_tiff_is(data) or unknown
