"""Translate files into a folder: what tools/translate.py does."""

import glob
import json
import os
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from ..datasets.pictures import list_pictures, picture_path, read_picture, resolve_root
from ..evaluation.grid import sample_grid
from ..files import replacing
from ..lr import down, from_uint8
from .translator import Translation, Translator

REPORT = 'report.jsonl'
MOST_ROWS = 100
"""Rows that a grid has at most."""


class Task:
    """One pair and the file that its result goes to."""

    def __init__(self, source: tuple[str, str], target: tuple[str, str], folder: str) -> None:
        (self.source, name), (self.target, other) = source, target
        self.file = os.path.join(folder, f'{name}__{os.path.basename(other)}.png')


def find_pictures(places: list[str]) -> list[tuple[str, str]]:
    """Pictures and their names for results (without suffix; with the folders inside a root).

    Args:
        places: Files, folders, zips, 'archive.zip::member', or patterns.

    Raises:
        FileNotFoundError: If a place does not exist, or holds no pictures.
    """
    found: list[tuple[str, str]] = []
    for place in places:
        is_one = os.path.exists(place) or '::' in place
        paths = [place] if is_one else sorted(glob.glob(os.path.expanduser(place), recursive=True))
        if not paths:
            raise FileNotFoundError(f"there is nothing at '{place}'")
        for path in paths:
            if os.path.isdir(path) or path.lower().endswith('.zip'):
                root = resolve_root(path)
                names = list_pictures(root)
                if not names:
                    raise FileNotFoundError(f"there are no pictures in '{path}'")
                found += [(picture_path(root, n), os.path.splitext(n)[0]) for n in names]
            else:
                found.append((path, os.path.splitext(os.path.basename(path))[0]))
    return found


def read_mask(path: str, lr_size: int) -> np.ndarray:
    """Shares (s, s) in [0, 1] from a greyscale picture of the LR size.

    Raises:
        ValueError: If the picture has another size.
    """
    picture = read_picture(path)
    if picture.shape[:2] != (lr_size, lr_size):
        raise ValueError(
            f"--mask: '{path}' is {picture.shape[1]} x {picture.shape[0]}; it needs one pixel for "
            f'each of {lr_size} x {lr_size} cells'
        )
    return picture.mean(axis=2) / 255


def translate_files(
    translator: Translator,
    sources: list[str],
    targets: list[str],
    out: str,
    *,
    all_pairs: bool = False,
    project: bool = False,
    strength: float = 1.0,
    mask: str | None = None,
    grid: str | None = None,
    overwrite: bool = False,
) -> int:
    """Translate files; results are named SOURCE__TARGET.png.

    Results that are there already are left alone; so a stopped run goes on where it was. A line
    per pair, with the figures or with what was wrong, is added to ``out/report.jsonl``.

    Args:
        translator: The model.
        sources: Files, folders, zips or patterns.
        targets: The same.
        out: Folder for the results.
        all_pairs: Every source with every target, not one by one.
        project: See :meth:`Translator.translate`; so are ``strength`` and ``mask``.
        strength: Share of the target.
        mask: Greyscale picture of the LR size.
        grid: PNG of the first rows; must not exist, unless ``overwrite``.
        overwrite: Make results anew that exist.

    Returns:
        Number of pairs that could not be translated.

    Raises:
        FileExistsError: If a result exists that was made with other settings, or the grid exists.
        FileNotFoundError: If there are no pictures.
        ValueError: If a dial is out of range, or two results would have one name.
    """
    if grid and os.path.exists(grid) and not overwrite:
        raise FileExistsError(f"--grid: '{grid}' exists; give another name, or --overwrite")
    pairs = translator.pair_up(
        find_pictures(sources), find_pictures(targets), 'all' if all_pairs else 'zip'
    )
    tasks = [Task(source, target, out) for source, target in pairs]
    _check_names(tasks)
    cells = None if mask is None else read_mask(mask, translator.lr_size)
    settings = _settings(translator, project, strength, cells)
    done = {t.file for t in tasks if not overwrite and _is_done(t, settings)}
    todo = [task for task in tasks if task.file not in done]
    if done:
        print(f'{len(done)} of {len(tasks)} results are there already')
    os.makedirs(out, exist_ok=True)
    failed, worst = 0, 0.0
    rows: list[tuple[Tensor, Translation]] = []
    read = _Reader(translator)
    with (
        open(os.path.join(out, REPORT), 'a', encoding='utf-8') as report,
        tqdm(total=len(todo), unit='picture', disable=None) as bar,
    ):
        for block in _blocks(todo, translator.batch_size):
            good = []
            for task in block:
                try:
                    good.append((task, read.source(task.source), read.target(task.target)))
                except ValueError as error:
                    failed += 1
                    read.tell(bar, str(error))
                    _add(report, dict(source=task.source, target=task.target, error=str(error)))
            if good:
                source = torch.stack([image for _, image, _ in good])
                lr = torch.stack([target for _, _, target in good])
                lr = translator.dial(source, lr, strength, cells)
                made = translator.batch(source, lr, project)
                for (task, image, _), result in zip(good, made):
                    result.source_name, result.target_name = task.source, task.target
                    result.about = settings
                    result.save(task.file)
                    _add(report, dict(file=task.file, **result.report()))
                    worst = max(worst, result.lr_worst)
                    if grid and len(rows) < MOST_ROWS:
                        rows.append((image, result))
            bar.update(len(block))
    if grid and rows:
        with replacing(grid) as partial:
            draw_grid(rows, translator.lr_method).save(partial, 'png')
    print(
        f'{len(todo) - failed} of {len(tasks)} pairs translated into {out}'
        + (f', {failed} could not be' if failed else '')
        + (f'; worst LR error {worst:.2f} grey levels' if len(todo) > failed else '')
    )
    return failed


class _Reader:
    """Reads every picture once while it is needed again soon; tells every problem once."""

    def __init__(self, translator: Translator) -> None:
        self.source = lru_cache(256)(translator.source)
        self.target = lru_cache(4096)(translator.target)
        self.told: set[str] = set()

    def tell(self, bar: tqdm, problem: str) -> None:
        if problem not in self.told:
            self.told.add(problem)
            bar.write(f'passed over: {problem}')


def _blocks(tasks: list[Task], size: int) -> Iterator[list[Task]]:
    for start in range(0, len(tasks), size):
        yield tasks[start : start + size]


def _settings(
    translator: Translator, project: bool, strength: float, cells: np.ndarray | None
) -> dict[str, str]:
    """What a result depends on besides its two pictures; kept in its PNG."""
    mask = '' if cells is None else json.dumps(np.round(cells, 3).tolist())
    return dict(translator.about, strength=f'{strength:g}', mask=mask, project=str(project))


def _is_done(task: Task, settings: dict[str, str]) -> bool:
    """Whether a task's result is there.

    Raises:
        FileExistsError: If what is there came from other pictures or settings.
    """
    if not os.path.exists(task.file):
        return False
    try:
        with Image.open(task.file) as image:
            text = {str(k).removeprefix('i2ilr_mm:'): v for k, v in image.info.items()}
    except OSError:
        text = {}
    expected = dict(settings, source=task.source, target=task.target)
    other = [name for name, value in expected.items() if text.get(name) != value]
    if other:
        raise FileExistsError(
            f"'{task.file}' exists, and was made with another {' and '.join(other)}: choose "
            f'another --out, or --overwrite it'
        )
    return True


def _check_names(tasks: list[Task]) -> None:
    seen: dict[str, Task] = {}
    for task in tasks:
        other = seen.setdefault(task.file.lower(), task)
        if other is not task:
            raise ValueError(
                f"two results would be '{task.file}': of '{other.source}' with '{other.target}' "
                f"and of '{task.source}' with '{task.target}'; translate them into two folders"
            )


def _add(report: Any, line: dict) -> None:
    report.write(json.dumps(line, ensure_ascii=False) + '\n')
    report.flush()


def draw_grid(rows: list[tuple[Tensor, Translation]], lr_method: str) -> Image.Image:
    """Lay results out: source, LR target, result, the result shrunk, its error.

    Args:
        rows: Sources (3, H, H) in [-1, 1] and what became of them.
        lr_method: The operator of the LR targets.
    """
    target = torch.stack([result.target for _, result in rows])
    made = [torch.from_numpy(np.array(result.image)).permute(2, 0, 1) for _, result in rows]
    image = from_uint8(torch.stack(made))
    shrunk = down(image, target.shape[-1], lr_method)
    return sample_grid(
        {
            'source': torch.stack([source for source, _ in rows]),
            'LR target': target,
            'result': image,
            'result downscaled': shrunk,
            'LR error x 8': (shrunk - target).abs() * 8 - 1,
        },
        notes=[f'{r.lr_mae:.2f}, worst {r.lr_worst:.2f}' for _, r in rows],
    )
