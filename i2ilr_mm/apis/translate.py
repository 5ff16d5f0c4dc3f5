"""Translate files into a folder: what `i2ilr translate` does."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice

from torch import Tensor

from i2ilr.files import at_home, replacing

from ..datasets.pictures import EXTENSIONS
from ..evaluation.grid import result_columns, sample_grid
from ..inference.dials import Dials
from ..inference.inputs import read_mask
from ..inference.places import find_pictures, pair_up
from ..inference.translator import Translator
from .results import summary, write_results
from .tasks import Reader, Task, check_places, settings_of, tasks_of, unfinished

MOST_ROWS = 100
"""Rows that a grid has at most."""


def translate_files(
    translator: Translator,
    sources: list[str],
    targets: list[str],
    out: str,
    *,
    all_pairs: bool = False,
    blend: bool | Sequence[float] = False,
    project: bool = False,
    strength: float = 1.0,
    mask: str | None = None,
    grid: str | None = None,
    lr_size: int | None = None,
    grey: bool = False,
    overwrite: bool = False,
) -> tuple[int, int]:
    """Translate files; results are named SOURCE__TARGET.png.

    Results that are there already are left alone; so a stopped run goes on where it was. A line
    per pair, with the figures or with what was wrong, is added to ``out/report.jsonl``.

    Args:
        translator: The model.
        sources: Files, folders, zips or patterns.
        targets: The same.
        out: Folder for the results.
        all_pairs: Every source with every target, not one by one.
        blend: One LR target, the mean of all targets' or, by one weight per target, a weighted one;
            results are named SOURCE__blend.png.
        project: See :meth:`Translator.translate`; so are ``strength`` and ``mask``.
        strength: Share of the target.
        mask: Greyscale picture of the LR size.
        lr_size: As ``project``; so is ``grey``.
        grey: Take the luma of the targets alone.
        grid: PNG of the first rows.
        overwrite: Make results again that exist.

    Returns:
        Number of pairs whose result is there, and of those that could not be translated.

    Raises:
        FileExistsError: If a result exists that was made with other pictures or settings.
        FileNotFoundError: If there are no pictures.
        ValueError: If a dial is out of range, ``out`` holds the pictures, a result or the grid
            would replace one, or the grid would lie among them.
    """
    out, grid, mask = at_home(out), grid and at_home(grid), mask and at_home(mask)
    _check_places(out, grid)
    translator.check_lr_size(lr_size)
    read = Reader(translator)
    pictures = find_pictures(sources, out), find_pictures(targets, out)
    tasks = tasks_of(_pairs(read, *pictures, all_pairs, blend, lr_size), out)
    used = [path for path, _ in chain(*pictures)] + ([mask] if mask else [])
    check_places(tasks, grid, used, [*sources, *targets])
    cells = None if mask is None else read_mask(mask, [lr_size] if lr_size else translator.lr_sizes)
    dials = Dials(project, strength, cells, lr_size, grey)
    translator.check(dials)
    settings = settings_of(translator, dials)
    todo = unfinished(tasks, settings, read, overwrite)
    grid_is_new = not grid or overwrite or not os.path.exists(grid)
    pairs = [(task.source, task.target) for task in todo]
    results = translator.stream(pairs, dials, read)
    failed, worst = write_results(zip(todo, results), len(todo), out, settings, read)
    if not grid_is_new:
        print(f'grid: {grid} exists and is left as it is; --overwrite draws it anew')
    elif grid:
        _draw_grid(translator, read, tasks, dials, grid)
    made = len(todo) - failed
    print(summary(f'pairs translated into {out}', made, len(tasks), failed, worst))
    return len(tasks) - failed, failed


def _check_places(out: str, grid: str | None) -> None:
    if grid and not grid.lower().endswith('.png'):
        raise ValueError(f"--grid: '{grid}' must end in .png")
    if out.lower().endswith(EXTENSIONS) and not os.path.isdir(out):
        raise ValueError(
            f"--out: '{out}' looks like a picture, and is the folder that results go to, as "
            f'SOURCE__TARGET.png; give a folder'
        )


def _pairs(
    read: Reader,
    sources: list[tuple[str, str]],
    targets: list[tuple[str, str]],
    all_pairs: bool,
    blend: bool | Sequence[float],
    lr_size: int | None,
) -> list[tuple]:
    """Pairs of (path, name for the result). With ``blend``, every source goes with the blend."""
    if blend is not False:
        weights = None if blend is True else blend
        read.blended = read.translator.blend([path for path, _ in targets], weights, lr_size)
        targets = [('+'.join(os.path.basename(path) for path, _ in targets), 'blend')]
    return pair_up(sources, targets, 'all' if all_pairs else 'zip')


def _draw_grid(
    translator: Translator,
    read: Reader,
    tasks: list[Task],
    dials: Dials,
    path: str,
) -> None:
    """Lay results out from their files: source, LR target, result, the result shrunk, its error."""
    ready = [task for task in tasks if os.path.exists(task.file)]
    rows = list(islice(_grid_rows(translator, read, ready, dials.lr_size), MOST_ROWS))
    if not rows:
        return
    columns: dict[str, list[Tensor]] = {}
    notes = []
    for row in rows:  # one by one, as their LR targets can differ in size
        source, lr, image = (part[None] for part in row)
        lr = translator.turned(source, lr, dials)
        pictures, error = result_columns(source, lr, image, translator.lr_method)
        for title, (picture,) in pictures.items():
            columns.setdefault(title, []).append(picture)
        notes.append(f'{error.mean():.2f} (max {error.max():.2f})')
    grid = sample_grid(columns, notes)
    with replacing(path) as partial:
        grid.save(partial, 'png')
    print(
        f'grid: {path}' + (f', the first {MOST_ROWS} of {len(ready)}' if ready[MOST_ROWS:] else '')
    )


def _grid_rows(
    translator: Translator, read: Reader, tasks: list[Task], lr_size: int | None
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Source, LR target and result of each task whose pictures can still be read."""
    for task in tasks:
        with suppress(ValueError):  # a result can outlive its pictures
            target = read.target(task.target, lr_size)
            yield read.source(task.source), target, translator.source(task.file)
