"""One result, how well it meets its target, and the file it is kept in."""

import io
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from i2ilr.files import at_home, replacing

from ..binding import distance
from ..lr import GREY_LEVELS, down, from_uint8
from .inputs import in_range

REACHED = 1.0
"""Grey levels of worst LR error up to which a target counts as met."""


@dataclass
class Translation:
    """One result.

    Attributes:
        image: (H, H) RGB picture, 8 bits.
        target: (3, s, s) LR target in [-1, 1], dials applied; (5, s, s) if only a part of it binds,
            see :mod:`i2ilr_mm.binding`.
        error: (s, s) distance of the shrunk picture from the target in grey levels of 255, the
            largest of the three channels.
        lr_mae: Mean distance over cells and channels, grey levels.
        lr_worst: Largest distance, grey levels.
        projected: Whether the picture was moved to the target.
        source_name: Where the source came from, '' if it was no file.
        target_name: The same of the target.
        metadata: Further text entries of the file: weights, settings.
    """

    image: Image.Image
    target: Tensor
    error: np.ndarray
    lr_mae: float
    lr_worst: float
    projected: bool
    source_name: str = ''
    target_name: str = ''
    metadata: dict[str, str] = field(default_factory=dict)

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
        self.image.save(buffer, 'png', pnginfo=text)
        return buffer.getvalue()


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


def measured(
    images: Tensor, lr: Tensor, lr_method: str, projected: bool, metadata: dict[str, str]
) -> list[Translation]:
    """Results with their distance from their targets, of the pictures as they are written.

    Args:
        images: (B, 3, H, H) uint8.
        lr: (B, 3 or 5, s, s), the LR targets in [-1, 1].
        lr_method: The LR operator, see :func:`i2ilr_mm.lr.down`.
        projected: Whether the pictures were moved to their targets.
        metadata: What else their files say.
    """
    shrunk = down(from_uint8(images), lr.shape[-1], lr_method)
    errors = distance(shrunk, lr) * GREY_LEVELS
    return [
        Translation(
            image=Image.fromarray(image.permute(1, 2, 0).numpy()),
            target=in_range(target),
            error=error.amax(dim=0).numpy(),
            lr_mae=error.mean().item(),
            lr_worst=error.max().item(),
            projected=projected,
            metadata=dict(metadata),
        )
        for image, target, error in zip(images, lr, errors)
    ]
