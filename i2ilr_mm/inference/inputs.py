"""What a user may hand in: pictures in any form, folders, zips, patterns."""

import glob
import os
import zipfile
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..datasets.pictures import (
    EMBEDDED,
    EXTENSIONS,
    list_pictures,
    natural,
    picture_path,
    read_picture,
    resolve_root,
)
from ..datasets.rgb import UNDECODABLE, to_rgb
from ..lr import check_choice, from_uint8, to_uint8

Picture = str | os.PathLike | Image.Image | np.ndarray | Tensor
"""What a source or a target can be given as, see :meth:`Translator.source` and ``target``."""


def name_of(picture: Any) -> str:
    return os.fspath(picture) if isinstance(picture, (str, os.PathLike)) else ''


def named(picture: Any) -> str:
    return f"'{name_of(picture)}' " if name_of(picture) else 'the LR target '


def expand(pictures: Any) -> list:
    """One picture, several, or all of a folder or zip, as a list.

    Raises:
        FileNotFoundError: If a folder or zip has no pictures.
    """
    if isinstance(pictures, (np.ndarray, Tensor)) and pictures.ndim == 4:
        return list(pictures)
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
    found = [(picture_path(place, name), name) for name in names]
    if not found:
        raise FileNotFoundError(f"there are no pictures in '{root}'")
    return found


def to_array(picture: Picture, least: int) -> np.ndarray:
    """(H, W, 3) uint8 of a picture in any accepted form.

    Raises:
        ValueError: If the shape, type or range is another.
    """
    if isinstance(picture, (str, os.PathLike)):
        return read_picture(os.fspath(picture), least)
    if isinstance(picture, Tensor):
        return _from_tensor(picture)
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or 0 in picture.shape:
            raise ValueError(
                f'an array of {picture.dtype} {picture.shape} was given; accepted are uint8 arrays '
                f'(H, W), (H, W, 3) and (H, W, 4)'
            )
        if picture.ndim == 3 and picture.shape[2] not in (3, 4):
            raise ValueError(f'an array of {picture.shape} was given; the last axis has 3 or 4')
        picture = Image.fromarray(picture)
    if isinstance(picture, Image.Image):
        try:
            return np.array(to_rgb(picture))
        except UNDECODABLE as error:
            raise ValueError(f'the picture cannot be decoded: {error}') from error
    raise ValueError(
        f'a {type(picture).__name__} was given; accepted are paths, PIL images, uint8 arrays and '
        f'tensors'
    )


def _from_tensor(picture: Tensor) -> np.ndarray:
    image = picture.detach().cpu()
    image = image[0] if image.ndim == 4 and len(image) == 1 else image
    if image.ndim != 3 or len(image) != 3 or 0 in image.shape:
        raise ValueError(
            f'a tensor of shape {tuple(picture.shape)} was given; accepted is (3, H, W)'
        )
    if image.is_floating_point():
        if not image.isfinite().all() or image.abs().max() > 1.001:
            raise ValueError(
                f'a float tensor with values {image.min():g} to {image.max():g} was given; floats '
                f'go from -1 to 1 (i2ilr_mm.lr.from_uint8)'
            )
        if image.min() >= 0:
            raise ValueError(
                f'a float tensor with values from {image.min():g} to {image.max():g} was given: '
                f'floats go from -1 to 1, and this may be a picture in [0, 1], as ToTensor makes '
                f'it; give x * 2 - 1 if it is, or uint8'
            )
        image = to_uint8(image)
    if image.dtype != torch.uint8:
        raise ValueError(f'a tensor of {image.dtype} was given; accepted are uint8 and floats')
    return image.permute(1, 2, 0).numpy()


def to_lr(tensor: Tensor, s: int) -> Tensor:
    """An LR target given as floats, (3, s, s).

    Raises:
        ValueError: If the shape is another, or values are not finite.
    """
    lr = tensor.detach().float().cpu()
    lr = lr[0] if lr.ndim == 4 and len(lr) == 1 else lr
    if tuple(lr.shape) != (3, s, s) or not lr.isfinite().all():
        raise ValueError(
            f'an LR target is a tensor of {tuple(lr.shape)}, or has values that are not finite; it '
            f'must be finite and (3, {s}, {s})'
        )
    return lr


def to_tensor(array: np.ndarray) -> Tensor:
    return from_uint8(torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1))


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
