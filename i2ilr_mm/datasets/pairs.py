"""Pairs of a pool for validation and test: every picture with its fixed targets."""

import hashlib
import json
import os
from itertools import chain
from logging import WARNING
from typing import Any

from mmagic.registry import DATASETS
from mmengine.dist import is_main_process
from mmengine.logging import print_log

from i2ilr.files import at_home, write_json

from ..lr import check_choice
from .decode import PictureError
from .pools import ImagePool

PAIRINGS = ('any', 'same_class', 'cross_class', 'each_class')


def choose_targets(
    names: list[str], classes: list[str], n_targets: int, pairing: str, seed: int
) -> list[list[int]]:
    """Choose targets for every source, a function of the names and the seed alone.

    Args:
        names: Names of the pictures; each is a source once.
        classes: Their classes.
        n_targets: Targets per source, all different, never the source itself; fewer where there
            are not as many candidates.
        pairing: 'any', 'same_class', 'cross_class', or 'each_class': that many from every other
            class.
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
    """Sets of pictures. A source of class ``own`` takes its targets from each of them."""
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
        digest = hashlib.sha256(f'{seed}/{name}/{draw}'.encode('utf-8', 'surrogatepass')).digest()
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
        self.pair_seed, self.pair_file = pair_seed, pair_file and at_home(pair_file)
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
                f"'{self.data_root}' has a single picture for '{self.split}', "
                f"'{self.pictures[0]['img_path']}': a pair takes two pictures that are held out"
            )
        classes = [picture['class_name'] for picture in self.pictures]
        targets = choose_targets(names, classes, self.n_targets, self.pairing, self.pair_seed)
        self._warn_of_few(min(map(len, targets)))
        if self.pair_file and is_main_process():
            pairs = {names[i]: [names[j] for j in chosen] for i, chosen in enumerate(targets)}
            write_json(self.pair_file, dict(**self.choice(), pairs=pairs))
        return targets

    def _warn_of_few(self, fewest: int) -> None:
        if fewest < self.n_targets:
            print_log(
                f"'{self.data_root}' ({self.split}) has too few pictures for n_targets="
                f'{self.n_targets}: some sources get {fewest}',
                'current',
                WARNING,
            )

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
