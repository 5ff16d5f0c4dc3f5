"""Pools of pictures: for training, and paired for validation and test."""

import hashlib
import json
import os
import re
import zlib
from functools import cached_property
from itertools import chain
from logging import INFO, WARNING
from typing import Any

import numpy as np
import torch
from mmagic.datasets.transforms import Flip, PackInputs
from mmagic.registry import DATASETS
from mmengine.dataset import BaseDataset
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from torch import Tensor

from i2ilr.files import write_json

from ..lr import check_choice
from .decode import LARGE, OTHER_PICTURES, PictureError
from .draws import Draw, seeded
from .pictures import (
    EMBEDDED,
    EXTENSIONS,
    left_out,
    list_pictures,
    picture_path,
    picture_size,
    read_bytes,
    resolve_root,
)

SPLITS = ('train', 'val', 'test')
PAIRINGS = ('any', 'same_class', 'cross_class', 'each_class')
HELD_OUT = 10
"""Of a root without split folders, every tenth picture (by a hash of its name) is held out."""


def split_of(folder: str) -> tuple[str, str] | None:
    """The split that a top folder stands for, and the class that its name adds.

    'train', 'Training' and 'valid' are splits; 'trainA' is the class A of one, as CycleGAN's sets
    have it. None is a folder of another name.

    Raises:
        PictureError: If it looks like a split, but may be another thing, such as 'train_images'.
    """
    match = re.fullmatch(r'(training|train|validation|valid|val|testing|test)(.*)', folder, re.I)
    if not match:
        return None
    split = {'t': 'train', 'v': 'val'}[folder[0].lower()]
    if match[1].lower().startswith('test'):
        split = 'test'
    rest = match[2]
    if rest == '' or re.fullmatch(r'[ _-]?[A-Z]', rest):
        return split, rest.strip(' _-')
    if rest[0].isalpha() and rest[0].islower():  # 'trains', 'testudo'
        return None
    raise PictureError(
        f"the folder '{folder}' looks like a split under another name, and pictures that are held "
        f"out must not be trained on: call it '{split}' (or '{split}A' for a class A), or put all "
        f'pictures into folders whose names do not begin with train, val or test'
    )


def split_names(names: list[str], split: str) -> dict[str, str]:
    """Choose the pictures of a split; keys are names in the root, values names in the split.

    With split folders (train, val, test, see :func:`split_of`) the split is that folder; val and
    test stand in for each other. Without any, the split is made by name: about one picture in ten
    is held out for val and test, always the same ones. One folder around everything, as zips often
    have it, is looked into.

    Raises:
        PictureError: If there are split folders, but deeper down; or folders that look like splits
            under other names.
    """
    tops = {name.split('/')[0] for name in names if '/' in name}
    loose = [name for name in names if '/' not in name]
    around = f'{tops.pop()}/' if len(tops) == 1 and not loose and not split_of(*tops) else ''
    inner = {name: name.removeprefix(around) for name in names}
    tops = {within.split('/')[0] for within in inner.values() if '/' in within}
    found = {top: split_of(top) for top in sorted(tops)}
    folders = {top: place for top, place in found.items() if place}
    if not folders:
        deep = [n for n in names if set(n.split('/')[:-1]) & set(SPLITS)]
        if deep:
            raise PictureError(
                f"'{deep[0]}' lies in a train, val or test folder that is not at the top of the "
                f'data root: give the folder that holds train and val as data_root'
            )
        held_out = _held_out(names)
        return {n: n for n in names if (n in held_out) == (split != 'train')}
    for wanted in (split, *(('val', 'test') if split != 'train' else ())):
        chosen = {}
        for name, within in inner.items():
            top, _, rest = within.partition('/')
            if rest and top in folders and folders[top][0] == wanted:
                own_class = folders[top][1]
                chosen[name] = f'{own_class}/{rest}' if own_class else rest
        if chosen:
            return chosen
    return {}


def _held_out(names: list[str]) -> set[str]:
    hashes = {name: zlib.crc32(name.encode()) for name in names}
    chosen = {name for name in names if hashes[name] % HELD_OUT == 0}
    if len(chosen) < 2:  # a tiny folder; one pair takes two pictures
        chosen = set(sorted(names, key=hashes.__getitem__)[: min(2, len(names) // 2)])
    return chosen


@DATASETS.register_module()
class ImagePool(BaseDataset):
    """All pictures of one split of a folder tree or zip; any two can form a pair.

    The layout is ``root/{train,val,test}/[class/]picture``, as StarGAN v2's sets have it; a root
    without split folders is split by name. Classes are the first sub-folders.

    Items are asked for by index or by :class:`Draw`, whose seed decides every random choice of the
    transforms.

    Args:
        data_root: A folder, a zip file, or 'embedded:heads64'.
        split: 'train', 'val' or 'test'.
        pipeline: Transforms; they get ``img_path``.
        img_size: Side of the pictures that the transforms make; smaller files are reported once.
        lr_size: Side of the LR pictures; smaller files are refused.

    Raises:
        FileNotFoundError: If the root does not exist.
        PictureError: If there are no pictures, or any is empty, unreadable or too small; the
            message names them.
    """

    METAINFO: dict = dict(dataset_type='i2ilr')

    def __init__(
        self,
        data_root: str,
        split: str,
        pipeline: list,
        img_size: int,
        lr_size: int,
        **kwargs: Any,
    ) -> None:
        check_choice('split', split, SPLITS)
        self.split, self.img_size, self.lr_size = split, img_size, lr_size
        self.resolved_root = resolve_root(data_root, 'data_root')
        super().__init__(data_root=data_root, pipeline=pipeline, **kwargs)

    def __getitem__(self, idx: int | Draw) -> dict:
        if not isinstance(idx, Draw):
            return super().__getitem__(idx)
        with seeded(idx.seed):
            return super().__getitem__(idx.picture)

    def _join_prefix(self) -> None:
        """Paths are made in load_data_list; BaseDataset's joining does not know zips."""

    def load_data_list(self) -> list[dict]:
        """One entry per picture: ``img_path``, its name in the split and its class."""
        chosen = split_names(list_pictures(self.resolved_root), self.split)
        if not chosen:
            raise PictureError(
                f"'{self.data_root}' has no pictures for '{self.split}'; expected are "
                f'{self.split}/[class/]*.jpg (or png, webp, tiff, bmp), or pictures without '
                f'train/val/test folders, which are split by name'
            )
        self.pictures = [
            dict(
                img_path=picture_path(self.resolved_root, name),
                name=inner,
                class_name=inner.split('/')[0] if '/' in inner else '',
            )
            for name, inner in chosen.items()
        ]
        if is_main_process():
            self._tell_of_others()
            self._check_pictures(self.real_pictures())
        return list(self.pictures)  # the dataset empties the list it is given

    def get_data_info(self, idx: int) -> dict:
        """The entry of one item, with the sizes that the transforms work to."""
        return dict(super().get_data_info(idx), img_size=self.img_size, lr_size=self.lr_size)

    def _tell_of_others(self) -> None:
        """Say what the root holds that is in no split: other files, pictures beside the folders."""
        if self.split != 'train' or self.data_root.startswith(EMBEDDED):
            return
        names = list_pictures(self.resolved_root)
        used = {name for split in SPLITS for name in split_names(names, split)}
        others = left_out(self.resolved_root)
        about = [f'{n} {suffix}' for suffix, n in sorted(others.items())]
        if beside := [name for name in names if name not in used]:
            about.append(f"{len(beside)} pictures outside the split folders, first '{beside[0]}'")
        if about:
            is_picture = beside or any(suffix in OTHER_PICTURES for suffix in others)
            print_log(
                f"'{self.data_root}' has files that are left out: {', '.join(about)}; pictures are "
                f'{", ".join(EXTENSIONS)}',
                'current',
                WARNING if is_picture else INFO,
            )

    def _check_pictures(self, paths: list[str]) -> None:
        """Read every header before work starts; all bad files are named at once."""
        bad, enlarged, large = [], [], []
        for path in paths:
            try:
                size = picture_size(path)
            except PictureError as error:
                bad.append(str(error))
                continue
            if min(size) < self.lr_size:
                bad.append(f"'{path}' is too small: {size[0]} x {size[1]}, LR {self.lr_size}")
            elif min(size) < self.img_size:
                enlarged.append(f"'{path}' ({size[0]} x {size[1]})")
            elif size[0] * size[1] > LARGE:
                large.append(f"'{path}' ({size[0]} x {size[1]})")
        if bad:
            raise PictureError(
                f'{len(bad)} of {len(paths)} pictures cannot be used; mend or remove them: '
                + '; '.join(bad[:10])
                + ('; ...' if len(bad) > 10 else '')
            )
        if enlarged:
            print_log(
                f'{len(enlarged)} of {len(paths)} pictures are smaller than img_size='
                f'{self.img_size} and will be enlarged, which teaches blur; first: {enlarged[0]}',
                'current',
                WARNING,
            )
        if large:
            print_log(
                f'{len(large)} of {len(paths)} pictures have more than {LARGE // 10**6} million '
                f'pixels and are decoded anew at every visit, which slows training down: shrink '
                f'them once; first: {large[0]}',
                'current',
                WARNING,
            )

    @cached_property
    def content_hash(self) -> str:
        """Hash of the pool's names and pictures, 16 digits."""
        key = hashlib.sha256()
        for picture in self.pictures:
            key.update(f'{picture["name"]}\n'.encode())
            key.update(hashlib.sha256(read_bytes(picture['img_path'])).digest())
        return key.hexdigest()[:16]

    def real_pictures(self) -> list[str]:
        """Every picture of the pool once; the real side of distribution scores."""
        return [picture['img_path'] for picture in self.pictures]

    def real_image(self, path: str) -> Tensor:
        """One of them, (3, H, W) uint8, by the pipeline: all that works on 'img' but flips.

        Raises:
            ValueError: If the pipeline does not leave uint8 of three channels.
        """
        results: dict[str, Any] = dict(img_path=path, img_size=self.img_size, lr_size=self.lr_size)
        for transform in self.pipeline.transforms:
            if isinstance(transform, PackInputs):
                break
            keys = [*np.atleast_1d(getattr(transform, 'keys', [])), getattr(transform, 'key', None)]
            if ('img' in keys or not any(keys)) and not isinstance(transform, Flip):
                results = transform(results)
        image = results['img']
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
            raise ValueError(
                f"the pipeline makes 'img' {image.dtype} of shape {image.shape}; scores need uint8 "
                f'(height, width, 3), RGB'
            )
        return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(data_root={self.data_root!r}, split={self.split!r}, '
            f'img_size={self.img_size}, lr_size={self.lr_size}, pipeline={self.pipeline})'
        )


def choose_targets(
    names: list[str], classes: list[str], n_targets: int, pairing: str, seed: int
) -> list[list[int]]:
    """Choose targets for every source, a function of the names and the seed alone.

    Args:
        names: Names of the pictures; each is a source once.
        classes: Their classes.
        n_targets: Targets per source, all different, never the source itself; fewer where there
            are not as many candidates.
        pairing: 'any', 'same_class', 'cross_class', or 'each_class': so many of every other class.
        seed: Another seed gives another choice.

    Returns:
        Indices of the targets of each source.

    Raises:
        ValueError: If the pairing is unknown or leaves a source no candidate.
    """
    check_choice('pairing', pairing, PAIRINGS)
    by_class: dict[str, list[int]] = {c: [] for c in classes}
    for index, class_name in enumerate(classes):
        by_class[class_name].append(index)
    candidates = {own: _candidates(own, by_class, pairing) for own in by_class}
    return [
        [
            target
            for some in candidates[own]
            for target in _draw(some, i, names[i], n_targets, pairing, seed)
        ]
        for i, own in enumerate(classes)
    ]


def _candidates(own: str, by_class: dict[str, list[int]], pairing: str) -> list[list[int]]:
    """Sets of pictures, from each of which a source of class ``own`` takes its targets."""
    others = [by_class[c] for c in by_class if c != own]
    return {
        'any': [sorted(chain(*by_class.values()))],
        'same_class': [by_class[own]],
        'cross_class': [sorted(chain(*others))],
        'each_class': others or [[]],
    }[pairing]


def _draw(
    candidates: list[int], source: int, name: str, n_targets: int, pairing: str, seed: int
) -> list[int]:
    available = len(candidates) - (source in candidates)
    if not available:
        raise ValueError(
            f"pairing='{pairing}' leaves '{name}' no possible target among {len(candidates)} "
            f'pictures: choose another pairing, or check the class sub-folders'
        )
    chosen: list[int] = []
    draw = 0
    while len(chosen) < min(n_targets, available):
        digest = hashlib.sha256(f'{seed}/{name}/{draw}'.encode()).digest()
        target = candidates[int.from_bytes(digest[:8], 'big') % len(candidates)]
        if target != source and target not in chosen:
            chosen.append(target)
        draw += 1
    return chosen


@DATASETS.register_module()
class PairedPool(ImagePool):
    """Every picture of a pool as a source, each with its fixed targets of the same pool.

    Args:
        data_root: See :class:`ImagePool`; so are the other arguments not named here.
        split: 'train', 'val' or 'test'.
        pipeline: Transforms; they get ``img_path`` (the source) and ``target_path``.
        n_targets: Targets per source.
        pairing: 'any', 'same_class', 'cross_class' or 'each_class' (``n_targets`` of every other
            class), by the class sub-folders.
        pair_seed: Seed of the choice; the choice depends on it and on the names alone.
        pair_file: JSON file of the choice: read where it exists (and refused if it was made with
            other settings), else written. None keeps the choice in memory.

    Raises:
        ValueError: If the pairing cannot be made, or the pair file names other pictures.
    """

    def __init__(
        self,
        data_root: str,
        split: str,
        pipeline: list,
        n_targets: int = 1,
        pairing: str = 'any',
        pair_seed: int = 0,
        pair_file: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.n_targets, self.pairing = n_targets, pairing
        self.pair_seed, self.pair_file = pair_seed, pair_file
        super().__init__(data_root=data_root, split=split, pipeline=pipeline, **kwargs)

    def load_data_list(self) -> list[dict]:
        """One entry per pair: the source's, with ``target_path`` and ``target_name``."""
        super().load_data_list()
        return [
            dict(
                self.pictures[source],
                target_path=self.pictures[target]['img_path'],
                target_name=self.pictures[target]['name'],
                target_class=self.pictures[target]['class_name'],
            )
            for source, targets in enumerate(self._targets())
            for target in targets
        ]

    def _targets(self) -> list[list[int]]:
        if self.pair_file and os.path.exists(self.pair_file):
            return self._read_pairs(self.pair_file)
        names = [picture['name'] for picture in self.pictures]
        if len(names) < 2:
            raise PictureError(
                f"'{self.data_root}' has a single picture for '{self.split}', '{names[0]}': a pair "
                f'takes two pictures that are held out'
            )
        classes = [picture['class_name'] for picture in self.pictures]
        targets = choose_targets(names, classes, self.n_targets, self.pairing, self.pair_seed)
        fewest = min(map(len, targets))
        if fewest < self.n_targets:
            print_log(
                f"'{self.data_root}' ({self.split}) has too few pictures for n_targets="
                f'{self.n_targets}: some sources get {fewest}',
                'current',
                WARNING,
            )
        if self.pair_file and is_main_process():
            pairs = {names[i]: [names[j] for j in chosen] for i, chosen in enumerate(targets)}
            write_json(self.pair_file, dict(**self.choice(), pairs=pairs))
        return targets

    def _read_pairs(self, path: str) -> list[list[int]]:
        index = {picture['name']: i for i, picture in enumerate(self.pictures)}
        with open(path, encoding='utf-8') as file:
            stored = json.load(file)
        made_by = {name: stored.get(name) for name in self.choice()}
        if made_by != self.choice():
            raise ValueError(
                f"pair file '{path}' was made with {made_by}, and the config asks for "
                f'{self.choice()}: use those settings, or delete the file to choose pairs anew'
            )
        pairs = stored['pairs']
        unknown = {n for s, ts in pairs.items() for n in (s, *ts)} - index.keys()
        if unknown or pairs.keys() != index.keys():
            first = min(unknown or index.keys() - pairs.keys())
            raise ValueError(
                f"pair file '{path}' does not belong to '{self.data_root}' ({self.split}): "
                f"'{first}' is only in one of them; delete the file to choose pairs anew"
            )
        return [[index[target] for target in pairs[p['name']]] for p in self.pictures]

    def choice(self) -> dict[str, Any]:
        """The settings that the choice of targets depends on."""
        return dict(n_targets=self.n_targets, pairing=self.pairing, pair_seed=self.pair_seed)

    def pairs(self) -> dict[str, list[str]]:
        """The names of the targets of every source."""
        result: dict[str, list[str]] = {}
        for i in range(len(self)):
            info = self.get_data_info(i)
            result.setdefault(info['name'], []).append(info['target_name'])
        return result

    def __repr__(self) -> str:
        return (
            f'{super().__repr__()[:-1]}, n_targets={self.n_targets}, pairing={self.pairing!r}, '
            f'pair_seed={self.pair_seed}, pair_file={self.pair_file!r})'
        )
