"""Where a user's pictures are: files, folders, zips, patterns; and which go together."""

import glob
import os
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from i2ilr.files import at_home, shown

from ..datasets.pictures import (
    EMBEDDED,
    EXTENSIONS,
    in_words,
    left_out,
    list_pictures,
    natural,
    picture_path,
    resolve_root,
)
from ..lr import check_choice
from .inputs import in_range, is_in_range, name_of


def expand(pictures: Any) -> list:
    """One picture, several, or all of a folder or zip, as a list.

    Raises:
        FileNotFoundError: If a folder or zip has no pictures.
    """
    if isinstance(pictures, (np.ndarray, Tensor)) and pictures.ndim == 4:
        return list(map(in_range, pictures)) if is_in_range(pictures) else list(pictures)
    if isinstance(pictures, Iterable) and not isinstance(
        pictures, (str, os.PathLike, Image.Image, np.ndarray, Tensor)
    ):
        return list(pictures)
    name = name_of(pictures)
    return [path for path, _ in pictures_in(name)] if is_root(name) else [pictures]


def is_root(name: str) -> bool:
    """Whether a name stands for several pictures: a folder, a zip or an embedded set."""
    if name.startswith(EMBEDDED):
        return True
    return '::' not in name and (os.path.isdir(name) or name.lower().endswith('.zip'))


def pictures_in(root: str) -> list[tuple[str, str]]:
    """All pictures of a folder, zip or embedded set, and their names in it, in natural order.

    Raises:
        FileNotFoundError: If there is no such place, or no picture in it.
    """
    place = resolve_root(root)
    names = sorted(list_pictures(place), key=natural)
    pictures = [(picture_path(place, name), name) for name in names]
    if not pictures:
        raise FileNotFoundError(f"there are no pictures in '{root}'")
    return pictures


def find_pictures(places: list[str], out: str = '') -> list[tuple[str, str]]:
    """Pictures and their names for results: as in their root, without suffix where that is clear.

    Args:
        places: Files, folders, zips, 'archive.zip::member', embedded sets, or patterns.
        out: A folder whose pictures do not count, for the results are written there.

    Raises:
        FileNotFoundError: If a place does not exist, or holds no pictures.
        ValueError: If ``out`` is one of the places.
    """
    expanded = map(at_home, places)
    pictures = [picture for place in expanded for picture in _pictures_at(place, out)]
    if not pictures:
        raise FileNotFoundError(f'there are no pictures in {", ".join(places)}, results apart')
    stems = [os.path.splitext(name)[0].lower() for _, name in pictures]
    stem_counts = Counter(stem for stem, _ in set(zip(stems, (path for path, _ in pictures))))
    return [
        (path, os.path.splitext(name)[0] if stem_counts[stem] == 1 else name)
        for (path, name), stem in zip(pictures, stems)
    ]


def _pictures_at(place: str, out: str) -> list[tuple[str, str]]:
    """Pictures of one place, without those in ``out``, and their names."""
    if is_root(place):
        pictures = pictures_in(place)
        _report_left_out(place)
        return _outside(pictures, place, out) if out and os.path.isdir(place) else pictures
    if os.path.exists(place) or '::' in place:
        return [(place, os.path.basename(place.rpartition('::')[2]))]
    matches = sorted(glob.glob(place, recursive=True), key=natural)
    pictures = [(path, os.path.basename(path)) for path in matches if os.path.isfile(path)]
    if not pictures:
        raise FileNotFoundError(f"there is no picture at '{place}'")
    others = [path for path in matches if not os.path.isfile(path)]
    if '**' in place:  # which looks into folders itself
        others = [path for path in others if not os.path.isdir(path)]
    if others:
        what = in_words({'folder, pipe or the like': others})
        print(f"left out of what '{shown(place)}' matches: {what}")
    return pictures


def _outside(pictures: list[tuple[str, str]], root: str, out: str) -> list[tuple[str, str]]:
    """The pictures of a folder that do not lie in ``out``."""
    inside = os.path.realpath(out) + os.sep
    if os.path.realpath(root) + os.sep == inside:
        raise ValueError(f"--out: '{out}' holds the pictures; give a folder of its own")
    return [p for p in pictures if not os.path.realpath(p[0]).startswith(inside)]


def _report_left_out(root: str) -> None:
    """Say what else is in a folder or zip, by kind."""
    others = left_out(resolve_root(root))
    others.pop('.jsonl', None)  # reports of earlier calls
    if others and not root.startswith(EMBEDDED):
        print(
            f"left out of '{shown(root)}': {in_words(others)}; pictures are {', '.join(EXTENSIONS)}"
        )


def pair_up(sources: list, targets: list, pairs: str = 'zip') -> list[tuple]:
    """Pairs of sources and targets, see ``Translator.translate``.

    Raises:
        ValueError: If the numbers do not fit.
    """
    check_choice('pairs', pairs, ('zip', 'all'))
    if pairs == 'all':
        return [(s, t) for s in sources for t in targets]
    if len(sources) == 1:
        sources = sources * len(targets)
    if len(targets) == 1:
        targets = targets * len(sources)
    if len(sources) != len(targets):
        raise ValueError(
            f'{len(sources)} sources and {len(targets)} targets cannot be taken in order; give '
            f"as many of both, or one of either, or take all pairs (pairs='all', --all-pairs)"
        )
    return list(zip(sources, targets))
