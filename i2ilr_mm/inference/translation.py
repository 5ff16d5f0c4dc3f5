"""One result, how well it meets its target, and the file it is kept in."""

import io
import os
import struct
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from i2ilr.files import at_home, replacing

from ..binding import distance
from ..lr import GREY_LEVELS, down
from .inputs import in_range

REACHED = 1.0
"""Grey levels of worst LR error up to which a target counts as met."""


@dataclass
class Translation:
    """One result.

    Attributes:
        pixels: (H, W, 3) RGB or (H, W, 4) RGBA, uint8 or uint16, as they are written.
        target: (3, r, s) LR target in [-1, 1], dials applied; (4, r, s) if only a part of it binds,
            see :mod:`i2ilr_mm.binding`.
        error: (r, s) distance of the shrunk picture from the target in grey levels of 255, the
            largest of the three channels.
        lr_mae: Mean distance over cells and channels, grey levels.
        lr_worst: Largest distance, grey levels.
        projected: Whether the picture was moved to the target.
        before: The figures of the picture that was matched, as it was given; empty for a network's.
        source_name: Where the source came from, '' if it was no file.
        target_name: The same of the target.
        metadata: Further text entries of the file: weights, settings.
    """

    pixels: np.ndarray
    target: Tensor
    error: np.ndarray
    lr_mae: float
    lr_worst: float
    projected: bool
    before: dict[str, float] = field(default_factory=dict)
    source_name: str = ''
    target_name: str = ''
    metadata: dict[str, str] = field(default_factory=dict)

    @cached_property
    def image(self) -> Image.Image:
        """The picture, of 8 bits; a 16-bit result is rounded, and its file is not."""
        if self.pixels.dtype == np.uint8:
            return Image.fromarray(self.pixels)
        return Image.fromarray((self.pixels / 257).round().astype(np.uint8))

    @property
    def reached(self) -> bool:
        """Whether every cell is within one grey level of the target."""
        return self.lr_worst <= REACHED

    def report(self) -> dict[str, Any]:
        """The figures and names, as plain data."""
        return dict(
            source=self.source_name,
            target=self.target_name,
            lr_mae=round(self.lr_mae, 4),
            lr_worst=round(self.lr_worst, 4),
            projected=self.projected,
            reached=self.reached,
            **{f'{name}_before': round(value, 4) for name, value in self.before.items()},
        )

    def save(self, path: str | os.PathLike) -> None:
        """Write a PNG whose text entries hold the report.

        Raises:
            ValueError: If the name does not end in .png: other formats would change the pixels, and
                with them what the report says.
        """
        name = at_home(path)
        if not name.lower().endswith('.png'):
            raise ValueError(f"'{name}' must end in .png, which keeps every pixel as it is")
        with replacing(name) as partial, open(partial, 'wb') as file:
            file.write(self.png())

    def png(self) -> bytes:
        """The file that :meth:`save` writes."""
        text, buffer = PngInfo(), io.BytesIO()
        for key, value in {**self.report(), **self.metadata}.items():
            text.add_text(f'i2ilr_mm:{key}', str(value))
        if self.pixels.dtype == np.uint16:
            return _deep_png(self.pixels, text)
        self.image.save(buffer, 'png', pnginfo=text)
        return buffer.getvalue()


def _deep_png(pixels: np.ndarray, text: PngInfo) -> bytes:
    """A PNG of 16 bits with text entries: OpenCV writes no entries, Pillow no 16-bit colours."""
    _, encoded = cv2.imencode('.png', pixels[..., [2, 1, 0, 3][: pixels.shape[2]]])
    data, end = encoded.tobytes(), 33  # of the signature and the header
    entries = b''.join(_chunk(kind, content) for kind, content, *_ in text.chunks)
    return data[:end] + entries + data[end:]


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack('>I', zlib.crc32(kind + content))
    return struct.pack('>I', len(content)) + kind + content + check


@dataclass
class Failure:
    """A pair that could not be translated.

    Attributes:
        error: What was wrong.
        source_name: Where the source came from, '' if it was no file.
        target_name: The same of the target.
    """

    error: Exception
    source_name: str = ''
    target_name: str = ''


def lr_error(pixels: np.ndarray, lr: Tensor, lr_method: str) -> Tensor:
    """Distance of a shrunk picture from an LR target in grey levels of 255, (3, r, s).

    Args:
        pixels: (H, W, 3) or (H, W, 4), uint8 or uint16; alpha is passed over.
        lr: (3 or 4, r, s) in [-1, 1].
        lr_method: The LR operator, see :func:`i2ilr_mm.lr.down`.
    """
    # One channel at a time: large pictures are a third as large.
    shrunk = [down(channel(pixels, c), lr.shape[-2:], lr_method) for c in range(3)]
    return distance(torch.cat(shrunk, dim=1), lr[None])[0] * GREY_LEVELS


def channel(pixels: np.ndarray, index: int) -> Tensor:
    """One channel of a picture (H, W, C), uint8 or uint16, as (1, 1, H, W) in [-1, 1]."""
    half = np.iinfo(pixels.dtype).max / 2
    values = torch.from_numpy(pixels[..., index].astype(np.float32))
    return values[None, None].div_(half).sub_(1)


def measured(
    images: Tensor, lr: Tensor, lr_method: str, projected: bool, metadata: dict[str, str]
) -> list[Translation]:
    """Results with their distance from their targets, of the pictures as they are written.

    Args:
        images: (B, 3, H, W) uint8.
        lr: (B, 3 or 4, r, s), the LR targets in [-1, 1].
        lr_method: The LR operator, see :func:`i2ilr_mm.lr.down`.
        projected: Whether the pictures were moved to their targets.
        metadata: What else their files say.
    """
    return [
        certified(image.permute(1, 2, 0).numpy(), target, lr_method, projected, metadata)
        for image, target in zip(images, lr)
    ]


def certified(
    pixels: np.ndarray,
    lr: Tensor,
    lr_method: str,
    projected: bool,
    metadata: dict[str, str],
    before: dict[str, float] | None = None,
) -> Translation:
    """One such result, of pixels (H, W, C) and an LR target (3 or 4, r, s)."""
    error = lr_error(pixels, lr, lr_method)
    return Translation(
        pixels=pixels,
        target=in_range(lr),
        error=error.amax(dim=0).numpy(),
        lr_mae=error.mean().item(),
        lr_worst=error.max().item(),
        projected=projected,
        before=before or {},
        metadata=dict(metadata),
    )
