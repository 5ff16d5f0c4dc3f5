"""Which pictures of a root are trained on, and which are held out."""

import re
import zlib

from .decode import PictureError

SPLITS = ('train', 'val', 'test')

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
    splits = {top: split_of(top) for top in sorted(tops)}
    folders = {top: place for top, place in splits.items() if place}
    if not folders:
        deep = [n for n in names if set(n.split('/')[:-1]) & set(SPLITS)]
        if deep:
            raise PictureError(
                f"'{deep[0]}' lies in a train, val or test folder that is not at the top of the "
                f'data root: give the folder that holds train and val as data_root'
            )
        held_out = _held_out(names)
        return {n: n for n in names if (n in held_out) == (split != 'train')}
    for candidate in (split, *(('val', 'test') if split != 'train' else ())):
        if chosen := _in_folders(inner, folders, candidate):
            return chosen
    return {}


def _in_folders(
    inner: dict[str, str], folders: dict[str, tuple[str, str]], split: str
) -> dict[str, str]:
    """Pictures in the folders of a split, by their names below the folder and its class."""
    chosen = {}
    for name, within in inner.items():
        top, _, rest = within.partition('/')
        if rest and top in folders and folders[top][0] == split:
            own_class = folders[top][1]
            chosen[name] = f'{own_class}/{rest}' if own_class else rest
    return chosen


def _held_out(names: list[str]) -> set[str]:
    hashes = {name: zlib.crc32(name.encode()) for name in names}
    chosen = {name for name in names if hashes[name] % HELD_OUT == 0}
    if len(chosen) < 2:  # a tiny folder; one pair takes two pictures
        chosen = set(sorted(names, key=hashes.__getitem__)[: min(2, len(names) // 2)])
    return chosen
