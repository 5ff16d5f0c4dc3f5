"""Grids of pictures, for people to look at."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..binding import distance, shown
from ..lr import GREY_LEVELS, down, to_uint8, up

CELL = 128
"""Smallest side of a cell in pixels; smaller pictures are enlarged by whole factors."""
COLUMNS = ('source', 'LR target', 'result', 'result downscaled', 'LR error x 8')
"""What :func:`result_columns` calls its columns."""


def load_pairs(model: Any, dataset: Any, indices: Iterable[int]) -> tuple[Tensor, Tensor]:
    """Sources (B, 3, H, W) and LR targets (B, 3 or 4, s, s) of a dataset's pairs, on the device."""
    items = [dataset[i] for i in indices]
    batch = {key: [item['inputs'][key] for item in items] for key in ('img', 'lr')}
    inputs = model.data_preprocessor(dict(inputs=batch))['inputs']
    return inputs['img'], inputs['lr']


def result_columns(
    source: Tensor, lr: Tensor, result: Tensor, lr_method: str
) -> tuple[dict[str, Tensor], Tensor]:
    """The columns that show results (B, 3, H, W) of sources and LR targets (B, 3 or 4, s, s).

    Returns:
        :data:`COLUMNS` -> pictures, for :func:`sample_grid`; and the error (B, 3, s, s) in grey
        levels.
    """
    shrunk = down(result, lr.shape[-1], lr_method)
    error = distance(shrunk, lr)
    pictures = (source, shown(lr), result, shrunk, error * 8 - 1)
    return dict(zip(COLUMNS, pictures, strict=True)), error * GREY_LEVELS


def sample_grid(
    columns: Mapping[str, Tensor | Sequence[Tensor]], notes: Sequence[str] = ()
) -> Image.Image:
    """Lay pictures out with one named column per entry and one row per sample.

    Args:
        columns: Title -> pictures (3, h, w) in [-1, 1], stacked or not. The sizes may differ (LR
            targets among full pictures): the smaller ones are enlarged as blocks, so that their
            cells can be seen.
        notes: One line of text per row, to its right.

    Returns:
        An RGB image with the titles on top.
    """
    side = max(max(p.shape[-2:]) for pictures in columns.values() for p in pictures)
    side *= -(-CELL // side)
    gap, header = 4, 22
    rows = len(next(iter(columns.values())))
    width = len(columns) * (side + gap) + gap + (90 if notes else 0)
    grid = Image.new('RGB', (width, rows * (side + gap) + header), 'white')
    draw = ImageDraw.Draw(grid)
    font = ImageFont.load_default()
    for i, (title, pictures) in enumerate(columns.items()):
        left = gap + i * (side + gap)
        draw.text((left + 2, 6), title, fill='black', font=font)
        for j, picture in enumerate(pictures):
            block = to_uint8(up(picture[None].detach().float().cpu(), side))[0]
            tile = Image.fromarray(block.permute(1, 2, 0).numpy())
            grid.paste(tile, (left, header + j * (side + gap)))
    for j, note in enumerate(notes):
        top = header + j * (side + gap) + side // 2
        draw.text((len(columns) * (side + gap) + 2 * gap, top), note, fill='black', font=font)
    return grid
