"""Match picture files with LR targets: what `i2ilr match` does."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain

from i2ilr.files import at_home

from ..datasets.pictures import EXTENSIONS
from ..inference.matching import checked_grid, match, settings
from ..inference.places import find_pictures
from ..inference.translation import Failure, Translation
from ..lr import DOWN_METHODS, check_choice
from .results import summary, write_results
from .tasks import Inputs, Task, check_places, tasks_of, unfinished

Named = tuple[str, str]
"""A picture's path, and its name in the place that it comes from."""


def match_files(
    images: list[str],
    targets: list[str],
    out: str,
    *,
    lr_size: int | Sequence[int] = 8,
    lr_method: str = 'box',
    overwrite: bool = False,
) -> tuple[int, int]:
    """Match files, see :func:`i2ilr_mm.match`; results have the names of the images.

    Results that are there already are left alone; so a stopped run goes on where it was. A line
    per picture, with the figures or with what was wrong, is added to ``out/report.jsonl``.

    Args:
        images: Files, folders, zips or patterns.
        targets: The same: one for all, or one of the same name for each.
        out: Folder for the results; of one image also a .png file, which comes without a report.
        lr_size: Side of the LR pictures, or their rows and columns.
        lr_method: How they are made, 'box' or 'bicubic'.
        overwrite: Make results again that exist.

    Returns:
        Number of pictures whose result is there, and of those that could not be matched.

    Raises:
        FileExistsError: If a result exists that was made with other pictures or settings.
        FileNotFoundError: If there are no pictures.
        ValueError: If an image has no target of its own, an option is out of range, or a result
            would take the place of a picture.
    """
    check_choice('lr_method', lr_method, DOWN_METHODS)
    grid, out = checked_grid(lr_size), at_home(out)
    tasks = _tasks(images, targets, out)
    made_with, inputs = settings(grid, lr_method), Inputs()
    todo = unfinished(tasks, made_with, inputs, overwrite)
    before: list[float] = []
    results = zip(todo, _stream(todo, grid, lr_method, before))
    folder = None if _is_file(out) else out
    failed, worst = write_results(results, len(todo), folder, made_with, inputs)
    line = summary(f'pictures matched into {out}', len(todo) - failed, len(tasks), failed, worst)
    print(line + (f', {max(before):.2f} before' if before else ''))
    return len(tasks) - failed, failed


def _is_file(out: str) -> bool:
    return out.lower().endswith(EXTENSIONS) and not os.path.isdir(out)


def _tasks(images: list[str], targets: list[str], out: str) -> list[Task]:
    """What is to be done, checked before anything is."""
    if _is_file(out) and not out.lower().endswith('.png'):
        raise ValueError(
            f"--out: '{out}' must end in .png, which keeps every pixel as it is, or be a folder"
        )
    folder = '' if _is_file(out) else out
    pictures = find_pictures(images, folder), find_pictures(targets, folder)
    pairs = pair_by_name(*pictures)
    if _is_file(out) and len(pairs) > 1:
        raise ValueError(f"--out: '{out}' is one file for {len(pairs)} images; give a folder")
    own = [(image, (target, '')) for image, (target, _) in pairs]
    tasks = [Task(*pair, '', out) for pair in own] if _is_file(out) else tasks_of(own, out)
    check_places(tasks, None, [path for path, _ in chain(*pictures)], [])
    return tasks


def pair_by_name(images: list[Named], targets: list[Named]) -> list[tuple[Named, Named]]:
    """Each image with the target of its name, whatever its suffix; one target alone serves for all.

    Raises:
        ValueError: If an image has no such target, or several.
    """
    if len(targets) == 1:
        return [(image, targets[0]) for image in images]
    by_name: dict[str, set[Named]] = defaultdict(set)
    for target in targets:
        by_name[target[1].casefold()].add(target)
        by_name[_stem(target[1])].add(target)
    partners = [by_name[_key(name, by_name)] for _, name in images]
    lacking = [name for (_, name), partner in zip(images, partners) if len(partner) != 1]
    if lacking:
        listed = ', '.join(lacking[:3]) + (', ...' if lacking[3:] else '')
        raise ValueError(
            f'--target: {len(lacking)} of {len(images)} images have no target of their name, or '
            f'several ({listed}); give one of the same name for each, or one for all'
        )
    return [(image, next(iter(partner))) for image, partner in zip(images, partners)]


def _key(name: str, names: dict[str, set[Named]]) -> str:
    return name.casefold() if name.casefold() in names else _stem(name)


def _stem(name: str) -> str:
    """A name without the suffix that it still has if another picture has it, too."""
    stem, suffix = os.path.splitext(name.casefold())
    return stem if suffix in EXTENSIONS else name.casefold()


def _stream(
    tasks: list[Task], grid: tuple[int, int], lr_method: str, before: list[float]
) -> Iterator[Translation | Failure]:
    """Results one by one; the worst LR errors of the images as given go into ``before``."""
    for task in tasks:
        try:
            result = match(task.source, task.target, grid, lr_method)
        except (ValueError, MemoryError) as error:
            yield Failure(error)
        else:
            before.append(result.before['lr_worst'])
            yield result
