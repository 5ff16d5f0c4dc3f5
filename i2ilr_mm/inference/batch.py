"""Translate files into a folder: what `i2ilr translate` does."""

import glob
import hashlib
import json
import os
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from i2ilr.files import replacing

from ..datasets.pictures import EXTENSIONS, natural, read_bytes, read_picture
from ..evaluation.grid import result_columns, sample_grid
from .translator import Translator, is_root, pictures_in

REPORT = 'report.jsonl'
MOST_ROWS = 100
"""Rows that a grid has at most."""


MOST_NAME = 180
"""Bytes of a result's name; file systems take 255, and a partial file's name is longer."""


class Task:
    """One pair and the file that its result goes to."""

    def __init__(self, source: tuple[str, str], target: tuple[str, str], folder: str) -> None:
        (self.source, name), (self.target, other) = source, target
        self.folder, self.name = folder, f'{name}__{other.replace("/", "_")}'
        inner, base = os.path.split(self.name)
        if len(os.fsencode(base)) > MOST_NAME:
            short = os.fsencode(base)[: MOST_NAME - 9].decode('utf-8', 'ignore')
            self.name = os.path.join(inner, f'{short}~{_digest(base)}')

    @property
    def file(self) -> str:
        return os.path.join(self.folder, f'{self.name}.png')

    def tell_apart(self) -> None:
        """Take a name that no other pair has; the same one in every call."""
        self.name += f'~{_digest(f"{self.source}::{self.target}")}'


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:8]


def find_pictures(places: list[str], out: str = '') -> list[tuple[str, str]]:
    """Pictures and their names for results: as in their root, without suffix where that is clear.

    Args:
        places: Files, folders, zips, 'archive.zip::member', embedded sets, or patterns.
        out: A folder whose pictures do not count, for the results are written there.

    Raises:
        FileNotFoundError: If a place does not exist, or holds no pictures.
        ValueError: If ``out`` is one of the places.
    """
    found: list[tuple[str, str]] = []
    inside = os.path.realpath(out) + os.sep if out else ''
    for place in map(os.path.expanduser, places):
        if is_root(place):
            in_root = pictures_in(place)
            _tell_of_others(place, len(in_root))
            if inside and os.path.isdir(place):
                if os.path.realpath(place) + os.sep == inside:
                    raise ValueError(f"--out: '{out}' holds the pictures; give a folder of its own")
                in_root = [p for p in in_root if not os.path.realpath(p[0]).startswith(inside)]
        elif os.path.exists(place) or '::' in place:
            in_root = [(place, os.path.basename(place.rpartition('::')[2]))]
        else:
            matches = sorted(glob.glob(os.path.expanduser(place), recursive=True), key=natural)
            in_root = [(path, os.path.basename(path)) for path in matches if os.path.isfile(path)]
            if not in_root:
                raise FileNotFoundError(f"there is no picture at '{place}'")
        found += in_root
    if not found:
        raise FileNotFoundError(f'there are no pictures in {", ".join(places)}, results apart')
    stems = [os.path.splitext(name)[0].lower() for _, name in found]
    pictures_of = Counter(stem for stem, _ in set(zip(stems, (path for path, _ in found))))
    return [
        (path, os.path.splitext(name)[0] if pictures_of[stem] == 1 else name)
        for (path, name), stem in zip(found, stems)
    ]


def _tell_of_others(place: str, pictures: int) -> None:
    """Say how many files of a folder or zip are no pictures by their names."""
    if os.path.isdir(place):
        count = sum(
            not name.startswith('.') and not name.lower().endswith((*EXTENSIONS, '.jsonl'))
            for _, _, names in os.walk(place, followlinks=True)
            for name in names
        )
    elif zipfile.is_zipfile(place):
        with zipfile.ZipFile(place) as archive:
            names = [i.filename for i in archive.infolist() if not i.is_dir()]
            count = len(names) - pictures
    else:
        return
    if count:
        print(f"{count} other files in '{place}' passed over; pictures are {', '.join(EXTENSIONS)}")


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
    blend: bool | Sequence[float] = False,
    project: bool = False,
    strength: float = 1.0,
    mask: str | None = None,
    grid: str | None = None,
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
        grid: PNG of the first rows.
        overwrite: Make results anew that exist.

    Returns:
        Number of pairs whose result is there, and of those that could not be translated.

    Raises:
        FileExistsError: If a result exists that was made with other pictures or settings.
        FileNotFoundError: If there are no pictures.
        ValueError: If a dial is out of range, ``out`` holds the pictures, or the grid would lie
            among them.
    """
    out, grid = os.path.expanduser(out), grid and os.path.expanduser(grid)
    if grid and not grid.lower().endswith('.png'):
        raise ValueError(f"--grid: '{grid}' must end in .png")
    if out.lower().endswith(EXTENSIONS) and not os.path.isdir(out):
        raise ValueError(
            f"--out: '{out}' looks like a picture, and is the folder that results go to, as "
            f'SOURCE__TARGET.png; give a folder'
        )
    read = _Reader(translator)
    found = find_pictures(targets, out)
    if blend is not False:
        weights = None if blend is True else blend
        read.blended = translator.blend([path for path, _ in found], weights)
        found = [('+'.join(os.path.basename(path) for path, _ in found), 'blend')]
    mode = 'all' if all_pairs else 'zip'
    pairs = translator.pair_up(find_pictures(sources, out), found, mode)
    tasks = _tasks(pairs, out)
    if grid:
        _check_grid(grid, tasks, [*sources, *targets])
    cells = None if mask is None else read_mask(mask, translator.lr_size)
    nothing = torch.zeros(1, 3, translator.img_size, translator.img_size)
    translator.dial(nothing, torch.zeros(()), strength, cells)  # or it would be refused later
    settings = _settings(translator, project, strength, cells)
    done = {t.file for t in tasks if not overwrite and _is_done(t, settings, read)}
    todo = [task for task in tasks if task.file not in done]
    grid_is_new = not grid or overwrite or not os.path.exists(grid)
    if done:
        print(f'{len(done)} of {len(tasks)} results are there already')
    os.makedirs(out, exist_ok=True)
    failed, worst = 0, 0.0
    with (
        open(os.path.join(out, REPORT), 'a', encoding='utf-8', errors='backslashreplace') as report,
        tqdm(total=len(todo), unit='picture', disable=None) as bar,
    ):

        def fail(task: Task, error: Exception) -> None:
            nonlocal failed
            failed += 1
            problem = str(error) or f"{type(error).__name__} at '{task.source}'"
            read.tell(bar, problem)
            _add(report, dict(source=task.source, target=task.target, error=problem))

        for block in _blocks(todo, translator.batch_size):
            good = []
            for task in block:
                try:
                    good.append((task, read.source(task.source), read.target(task.target)))
                except (ValueError, MemoryError) as error:
                    fail(task, error)
            if good:
                source = torch.stack([image for _, image, _ in good])
                lr = torch.stack([target for _, _, target in good])
                lr = translator.dial(source, lr, strength, cells)
                for (task, _, _), result in zip(good, translator.batch(source, lr, project)):
                    try:
                        # Full paths go into the report alone: pictures are passed on to others.
                        result.source_name = _shown(os.path.basename(task.source))
                        result.target_name = _shown(os.path.basename(task.target))
                        result.about = dict(settings, inputs=read.inputs(task))
                        result.save(task.file)
                    except (OSError, ValueError) as error:
                        fail(task, error)
                        continue
                    figures = dict(result.report(), source=task.source, target=task.target)
                    _add(report, dict(file=task.file, **figures))
                    worst = max(worst, result.lr_worst)
            bar.update(len(block))
    ready = [task for task in tasks if os.path.exists(task.file)]
    if grid and ready and grid_is_new:
        _draw_grid(translator, read, ready, strength, cells, grid)
    elif not grid_is_new:
        print(f'grid: {grid} exists and is left as it is; --overwrite draws it anew')
    print(
        f'{len(todo) - failed} of {len(tasks)} pairs translated into {out}'
        + (f', {failed} could not be' if failed else '')
        + (f'; worst LR error {worst:.2f} grey levels' if len(todo) > failed else '')
    )
    return len(tasks) - failed, failed


class _Reader:
    """Reads every picture once while it is needed again soon; tells every problem once."""

    def __init__(self, translator: Translator) -> None:
        self.blended: Tensor | None = None
        self.source = lru_cache(translator.batch_size)(_remembering(translator.source))
        self._target = lru_cache(4096)(_remembering(translator.target))
        self._hash = lru_cache(4096)(lambda path: hashlib.sha256(read_bytes(path)).hexdigest())
        self.told: set[str] = set()

    def target(self, path: str) -> Tensor:
        return self._target(path) if self.blended is None else self.blended

    def inputs(self, task: Task) -> str:
        """A hash of both pictures."""
        if self.blended is None:
            other = self._hash(task.target)
        else:
            other = hashlib.sha256(self.blended.numpy().tobytes()).hexdigest()
        return hashlib.sha256((self._hash(task.source) + other).encode()).hexdigest()[:16]

    def tell(self, bar: tqdm, problem: str) -> None:
        if problem not in self.told:
            self.told.add(problem)
            bar.write(f'passed over: {_shown(problem)}')


def _remembering(read: Any) -> Any:
    """``read``, which does not try again what has failed."""
    failures: dict[str, str] = {}

    def once(path: str) -> Tensor:
        if path in failures:
            raise ValueError(failures[path])
        try:
            return read(path)
        except ValueError as error:
            failures[path] = str(error)
            raise

    return once


def _shown(text: str) -> str:
    """File names need not be text; this always can be written."""
    return text.encode('utf-8', 'backslashreplace').decode()


def _blocks(tasks: list[Task], size: int) -> Iterator[list[Task]]:
    for start in range(0, len(tasks), size):
        yield tasks[start : start + size]


def _settings(
    translator: Translator, project: bool, strength: float, cells: np.ndarray | None
) -> dict[str, str]:
    """What a result depends on besides its two pictures; kept in its PNG."""
    mask = '' if cells is None else json.dumps(np.round(cells, 3).tolist())
    return dict(translator.about, strength=f'{strength:g}', mask=mask, project=str(project))


def _is_done(task: Task, settings: dict[str, str], read: _Reader) -> bool:
    """Whether a task's result is there.

    Raises:
        FileExistsError: If what is there came from other pictures or settings.
    """
    if not os.path.exists(task.file):
        return False
    try:
        with Image.open(task.file, formats=['PNG']) as image:
            text = {str(k).removeprefix('i2ilr_mm:'): v for k, v in image.info.items()}
    except OSError:
        text = {}
    try:
        expected = dict(settings, inputs=read.inputs(task))
    except ValueError:  # a picture is gone; its result is not taken back
        expected = dict(settings)
    if 'weights' not in text:
        raise FileExistsError(
            f"'{task.file}' exists, and is no result of this tool: choose another --out, or "
            f'--overwrite it'
        )
    del expected['checkpoint']  # a name; the weights tell
    other = [name for name, value in expected.items() if text.get(name) != value]
    if other:
        raise FileExistsError(
            f"'{task.file}' exists, and was made with another {' and '.join(other)}: choose "
            f'another --out, or --overwrite it'
        )
    return True


def _tasks(pairs: list[tuple], out: str) -> list[Task]:
    """The tasks of all pairs, each pair once, and no two results of one name in any case."""
    tasks = [Task(source, target, out) for source, target in dict.fromkeys(pairs)]
    taken = Counter(task.name.casefold() for task in tasks)
    for task in tasks:
        if taken[task.name.casefold()] > 1:
            task.tell_apart()
    return tasks


def _check_grid(grid: str, tasks: list[Task], places: list[str]) -> None:
    """Refuse a grid that would take a picture's place, or become a source of the next call.

    Raises:
        ValueError: Saying where it may go.
    """
    real = os.path.realpath(grid)
    if real in {os.path.realpath(path) for task in tasks for path in (task.source, task.target)}:
        raise ValueError(f"--grid: '{grid}' is one of the pictures; give a new name")
    for place in places:
        if os.path.isdir(place) and real.startswith(os.path.realpath(place) + os.sep):
            raise ValueError(
                f"--grid: '{grid}' lies among the pictures of '{place}'; put it beside"
            )


def _add(report: Any, line: dict) -> None:
    report.write(json.dumps({k: _text(v) for k, v in line.items()}, ensure_ascii=False) + '\n')
    report.flush()


def _text(value: Any) -> Any:
    return _shown(value) if isinstance(value, str) else value


def _draw_grid(
    translator: Translator,
    read: _Reader,
    tasks: list[Task],
    strength: float,
    cells: np.ndarray | None,
    path: str,
) -> None:
    """Lay results out from their files: source, LR target, result, the result shrunk, its error."""
    rows = []
    for task in tasks:
        try:
            row = read.source(task.source), read.target(task.target), translator.source(task.file)
        except ValueError:  # a result can outlive its pictures
            continue
        rows.append(row)
        if len(rows) == MOST_ROWS:
            break
    if not rows:
        return
    source, lr, image = (torch.stack(column) for column in zip(*rows))
    lr = translator.dial(source, lr, strength, cells)
    columns, error = result_columns(source, lr, image, translator.lr_method)
    notes = [f'{row.mean():.2f} (max {row.max():.2f})' for row in error.flatten(1)]
    picture = sample_grid(columns, notes)
    with replacing(path) as partial:
        picture.save(partial, 'png')
    print(
        f'grid: {path}' + (f', the first {MOST_ROWS} of {len(tasks)}' if tasks[MOST_ROWS:] else '')
    )
