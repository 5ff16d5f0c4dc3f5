"""TIFF files that Pillow does not read, or reads wrongly; and what the others are."""

import io
import os
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import cv2
import numpy as np
from PIL import Image, TiffImagePlugin

from .rgb import UNDECODABLE, without_warnings

WIDTH, BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION = 256, 258, 259, 262, 274
PLANES, EXTRA, FORMAT, ICC = 284, 338, 339, 34675

COMPRESSIONS = {
    1: '',
    5: 'LZW',
    7: 'JPEG',
    8: 'Deflate',
    **dict.fromkeys((33003, 33004, 33005, 34712), 'JPEG 2000'),
    32773: 'PackBits',
    32946: 'Deflate',
    34887: 'LERC',
    34933: 'PNG',
    34934: 'JPEG XR',
    50001: 'WebP',
    **dict.fromkeys((50002, 52546), 'JPEG XL'),
}
OPENCV_READS = (1, 5, 8, 32773, 32946)

_lock = threading.RLock()
"""Held while the process is changed for a moment: stderr, and which reader Pillow takes."""


def is_tiff(data: bytes) -> bool:
    return data[:4] in (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')


@contextmanager
def collect_stderr(lines: list[str]) -> Iterator[None]:
    """Collect what libtiff and OpenCV print, for a message that names the file."""
    with _lock, tempfile.TemporaryFile() as file:
        try:
            before = os.dup(2)
        except OSError:  # there is no stderr
            yield
            return
        try:
            os.dup2(file.fileno(), 2)
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
            file.seek(0)
            text = file.read().decode('utf-8', 'replace').replace('tempfile.tif: ', '')
            lines.extend(text.splitlines())


def _directory(data: bytes) -> dict[int, Any]:
    """The tags of the first picture; {} if they cannot be read."""
    with suppress(*UNDECODABLE), without_warnings:
        tags = TiffImagePlugin.ImageFileDirectory_v2(data[:16] if data[2] == 43 else data[:8])
        stream = io.BytesIO(data)
        stream.seek(tags.next)
        tags.load(stream)
        return {tag: tags[tag] for tag in tags}
    return {}


def numbers_of(data: bytes) -> dict[int, tuple[int, ...]]:
    """The tags of the first picture that are integers; {} for other files and damaged ones."""
    tags = _directory(data) if is_tiff(data) else {}
    values = {tag: v if isinstance(v, tuple) else (v,) for tag, v in tags.items()}
    return {tag: v for tag, v in values.items() if v and all(type(n) is int for n in v)}


def what_tiff_is(data: bytes) -> str:
    """What a TIFF is that nothing here reads, as the end of a sentence; '' for other files."""
    tags = numbers_of(data)
    if not tags.get(WIDTH):
        return 'is a TIFF whose header is damaged' if is_tiff(data) else ''
    bits, kind = tags.get(BITS, (1,)), tags.get(FORMAT, (1,))[0]
    sort = {1: 'unsigned integers', 2: 'signed integers', 3: 'floats'}.get(kind, 'unknown values')
    (compression, *_) = tags.get(COMPRESSION, (1,))
    method = COMPRESSIONS.get(compression, f'method {compression}')
    return (
        f'is a TIFF of {len(bits)} x {max(bits)}-bit {sort}'
        + (f', compressed by {method}' if method else '')
        + (', each channel for itself' if tags.get(PLANES) == (2,) else '')
        + ', and not read: save it as PNG of 8 or 16 bits'
    )


def read_deep(data: bytes) -> Image.Image | None:
    """Read a TIFF of 10 to 16 bits by OpenCV, where Pillow cannot; None for any other.

    Colours get 8 bits, grey 16.

    Raises:
        OSError: If it is damaged.
    """
    share = deep_shares(data)
    if share is None:
        return None
    if share.ndim == 2:
        image = Image.fromarray((share * 65535).round().astype(np.uint16))
    else:
        image = Image.fromarray((share * 255).round().astype(np.uint8))
    tags = numbers_of(data)
    image.format = 'TIFF'
    image.getexif()[ORIENTATION] = tags.get(ORIENTATION, (1,))[0]
    if profile := _directory(data).get(ICC):
        image.info['icc_profile'] = profile
    return image


def deep_shares(data: bytes) -> np.ndarray | None:
    """Pixels of a TIFF of 10 to 16 bits, from 0 (black) to 1, as stored; None of any other.

    Returns:
        (H, W), (H, W, 3) RGB or (H, W, 4) RGBA, float64.

    Raises:
        OSError: If it is damaged.
    """
    tags = numbers_of(data)
    layout = _deep_layout(tags)
    if not layout:
        return None
    values = _by_opencv(data)
    if values is None or values.dtype != np.uint16 or values.ndim != (2 if layout == 'L' else 3):
        return None
    # OpenCV gives the values as stored, times what makes them 16 bits.
    bits = tags[BITS][0]
    share = values / ((2**bits - 1) * 2 ** (16 - bits))
    if layout == 'L':
        return share if tags[PHOTOMETRIC] == (1,) else 1 - share
    return share[..., [2, 1, 0, 3][: len(layout)]]  # OpenCV has blue first


def _by_opencv(data: bytes) -> np.ndarray | None:
    lines: list[str] = []
    try:
        with collect_stderr(lines):
            values = cv2.imdecode(_as_stored(data), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if errors := [line for line in lines if 'ERROR' in line]:  # it goes on, with zeros
        raise OSError(errors[0].rpartition('TIFF_Error ')[2])
    return values


def _as_stored(data: bytes) -> np.ndarray:
    """The file as upright: OpenCV turns some pictures by their orientation, and others not."""
    changed, order = bytearray(data), '<' if data[:2] == b'II' else '>'
    # Offset of the directory, number of entries, their length, the place of a value in one.
    at, kinds, length, value = (8, 'QQ', 20, 12) if 43 in data[2:4] else (4, 'IH', 12, 8)
    (start,) = struct.unpack_from(order + kinds[0], data, at)
    (count,) = struct.unpack_from(order + kinds[1], data, start)
    start += struct.calcsize(order + kinds[1])
    for entry in range(start, start + length * count, length):
        if data[entry : entry + 2] == struct.pack(f'{order}H', ORIENTATION):
            struct.pack_into(f'{order}H', changed, entry + value, 1)
    return np.frombuffer(changed, np.uint8)


def _deep_layout(tags: dict[int, tuple[int, ...]]) -> str:
    """'L', 'RGB' or 'RGBA', if OpenCV reads it rightly; else ''."""
    bits, photometric = tags.get(BITS, (1,)), tags.get(PHOTOMETRIC)
    is_plain = tags.get(FORMAT, (1,))[0] == 1 and tags.get(COMPRESSION, (1,))[0] in OPENCV_READS
    if not is_plain or len(set(bits)) > 1 or bits[0] not in (10, 12, 14, 16):
        return ''
    if len(bits) == 1:
        return 'L' if photometric in ((0,), (1,)) else ''
    if photometric != (2,) or tags.get(PLANES, (1,)) != (1,):
        return ''
    return {3: 'RGB', 4: 'RGBA' if tags.get(EXTRA) == (2,) else ''}.get(len(bits), '')


def is_deep_planar(image: Any) -> bool:
    """Whether red, green and blue lie one after the other, with more than 8 bits each."""
    bits = image.tag_v2.get(BITS, (1,))
    return image.tag_v2.get(PLANES) == 2 and len(bits) > 1 and max(bits) > 8


def open_by_libtiff(image: Any) -> Image.Image:
    """Open a TIFF by libtiff: Pillow's own reader takes the bytes of such planes apart."""
    file = image.fp
    file.seek(0)
    with _lock:
        before, TiffImagePlugin.READ_LIBTIFF = TiffImagePlugin.READ_LIBTIFF, True
        try:
            return Image.open(file, formats=['TIFF'])
        finally:
            TiffImagePlugin.READ_LIBTIFF = before
