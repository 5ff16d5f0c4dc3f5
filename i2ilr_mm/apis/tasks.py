"""Pairs of files, the files that their results go to, and which of them are made already."""

import fnmatch
import glob
import hashlib
import json
import os
import unicodedata
from collections import Counter
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from i2ilr.files import at_home, shown

from ..datasets.pictures import read_bytes
from ..inference.dials import Dials
from ..inference.translator import Translator

MOST_NAME = 180
"""Bytes of a result's name; file systems take 255, and a partial file's name is longer."""


class Task:
    """One pair and the file that its result goes to.

    Args:
        source: Path, and name for the result.
        target: The same; with the name '' the result has the source's alone.
        folder: Where the result goes.
        file: The result itself, if it has a name of its own.
    """

    def __init__(
        self, source: tuple[str, str], target: tuple[str, str], folder: str, file: str = ''
    ) -> None:
        self._file = file
        (self.source, source_name), (self.target, target_name) = source, target
        of_target = target_name and f'__{target_name.replace("/", "_")}'
        self.folder, self.name = folder, f'{source_name}{of_target}'
        inner, base = os.path.split(self.name)
        if len(os.fsencode(base)) > MOST_NAME:
            short = os.fsencode(base)[: MOST_NAME - 9].decode('utf-8', 'ignore')
            self.name = os.path.join(inner, f'{short}~{_digest(base)}')

    @property
    def file(self) -> str:
        return self._file or os.path.join(self.folder, f'{self.name}.png')

    def make_unique(self) -> None:
        """Take a name that no other pair has; the same one in every call."""
        self.name += f'~{_digest(f"{self.source}::{self.target}")}'


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:8]


class Inputs:
    """Tells pictures by their contents, and reports every problem with them once."""

    def __init__(self) -> None:
        self._hash = lru_cache(4096)(lambda path: hashlib.sha256(read_bytes(path)).hexdigest())
        self.reported: set[str] = set()

    def hash(self, task: Task) -> str:
        """A hash of both pictures."""
        both = self._hash(task.source) + self._target_hash(task)
        return hashlib.sha256(both.encode()).hexdigest()[:16]

    def _target_hash(self, task: Task) -> str:
        return self._hash(task.target)

    def report(self, bar: tqdm, problem: str) -> None:
        if problem not in self.reported:
            self.reported.add(problem)
            bar.write(f'passed over: {shown(problem)}')


class Reader(Inputs):
    """Reads pictures, too, and keeps those that are needed again soon."""

    def __init__(self, translator: Translator) -> None:
        super().__init__()
        self.translator = translator
        self.blended: Tensor | None = None
        self.source = lru_cache(translator.batch_size)(_remembering(translator.source))
        self._target = lru_cache(4096)(_remembering(translator.target))

    def target(self, path: str, lr_size: int | None = None) -> Tensor:
        return self._target(path, lr_size) if self.blended is None else self.blended

    def _target_hash(self, task: Task) -> str:
        if self.blended is None:
            return super()._target_hash(task)
        return hashlib.sha256(self.blended.numpy().tobytes()).hexdigest()


def tasks_of(pairs: list[tuple], out: str) -> list[Task]:
    """The tasks of all pairs, each pair once, and no two results of one name on any disk."""
    tasks = [Task(source, target, out) for source, target in dict.fromkeys(pairs)]
    name_counts = Counter(_same_name(task.name) for task in tasks)
    for task in tasks:
        if name_counts[_same_name(task.name)] > 1:
            task.make_unique()
    return tasks


def _same_name(name: str) -> str:
    """Equal for names that some file systems take for one."""
    return unicodedata.normalize('NFC', name).casefold()


def check_places(tasks: list[Task], grid: str | None, used: list[str], places: list[str]) -> None:
    """Refuse a result or grid that would take a picture's place, before work starts.

    Args:
        tasks: What will be made.
        grid: Where the grid goes, if one is drawn.
        used: All pictures that are read.
        places: Where the user said that they are.

    Raises:
        ValueError: If one would, or if the grid would become a source of the next call.
    """
    taken = set(map(os.path.realpath, used))
    results = {os.path.realpath(task.file): task.file for task in tasks}
    if both := taken & results.keys():
        raise ValueError(f"--out: the result '{results[min(both)]}' would replace a picture")
    if not grid:
        return
    real = os.path.realpath(grid)
    if real in taken | results.keys():
        raise ValueError(f"--grid: '{grid}' is one of the pictures or results; give a new name")
    for place in map(at_home, places):
        is_below = os.path.isdir(place) and real.startswith(os.path.realpath(place) + os.sep)
        if is_below or _would_match(grid, place):
            raise ValueError(
                f"--grid: '{grid}' lies among the pictures of '{place}'; put it beside"
            )


def _would_match(path: str, pattern: str) -> bool:
    """Whether a pattern would find a file that is not there yet; * may cross folders."""
    here = os.path.join(glob.escape(os.getcwd()), '')
    forms = (pattern, pattern.replace('**/', ''))
    return any(
        fnmatch.fnmatch(os.path.abspath(path), os.path.normpath(os.path.join(here, form)))
        for form in forms
        if glob.has_magic(form) and not os.path.exists(form)
    )


def settings_of(translator: Translator, dials: Dials) -> dict[str, str]:
    """What a result depends on besides its two pictures; kept in its PNG."""
    mask = '' if dials.mask is None else json.dumps(np.round(dials.mask, 3).tolist())
    return dict(
        translator.metadata,
        strength=f'{dials.strength:g}',
        mask=mask,
        project=str(dials.project),
        size=str(translator.img_size),
        lr_size=str(dials.lr_size or ''),
        grey='True' if dials.grey else '',
    )


def unfinished(
    tasks: list[Task], settings: dict[str, str], inputs: Inputs, overwrite: bool
) -> list[Task]:
    """Tasks whose results are not there, or all to ``overwrite`` them; says how many are.

    Raises:
        FileExistsError: If what is there came from other pictures or settings.
    """
    todo = [task for task in tasks if overwrite or not is_done(task, settings, inputs)]
    if todo != tasks:
        print(f'{len(tasks) - len(todo)} of {len(tasks)} results are there already')
    return todo


def is_done(task: Task, settings: dict[str, str], inputs: Inputs) -> bool:
    """Whether a task's result is there.

    Raises:
        FileExistsError: If what is there came from other pictures or settings.
    """
    if not os.path.exists(task.file):
        return False
    text = _text_entries(task.file)
    try:
        expected = dict(settings, inputs=inputs.hash(task))
    except ValueError:  # a picture is gone; its result is not taken back
        expected = dict(settings)
    if 'inputs' not in text:
        raise FileExistsError(
            f"'{task.file}' exists, and is no result of this tool: choose another --out, or "
            f'--overwrite it'
        )
    expected.pop('checkpoint', None)  # a name; the weights tell
    differing = [name for name, value in expected.items() if text.get(name, '') != value]
    if differing:
        raise FileExistsError(
            f"'{task.file}' exists, and was made with another {' and '.join(differing)}: choose "
            f'another --out, or --overwrite it'
        )
    return True


def _text_entries(path: str) -> dict[str, Any]:
    """Text entries of a PNG; none of a file that is no PNG."""
    try:
        with Image.open(path, formats=['PNG']) as image:
            return {str(k).removeprefix('i2ilr_mm:'): v for k, v in image.info.items()}
    except OSError:
        return {}


def _remembering(read: Any) -> Any:
    """Let ``read`` fail at once for a path that failed before."""
    failures: dict[str, str] = {}

    def once(path: str, *options: Any) -> Tensor:
        if path in failures:
            raise ValueError(failures[path])
        try:
            return read(path, *options)
        except ValueError as error:
            failures[path] = str(error)
            raise

    return once
