"""Which pictures of a root are trained on, and which are held out."""

import re
import unicodedata
import zlib
from itertools import pairwise

from .decode import PictureError

SPLITS = ('train', 'val', 'test')

HELD_OUT = 10
"""Of a root without split folders, every tenth picture (by a hash of its name) is held out."""

_SPLIT_OF_WORD = {
    **dict.fromkeys(('train', 'training', 'trainval'), 'train'),
    **dict.fromkeys(('val', 'valid', 'validation', 'eval', 'evaluation', 'dev', 'holdout'), 'val'),
    **dict.fromkeys(('test', 'testing'), 'test'),
}
_THING = r'(?:data|file|image|img|photo|pic|picture|sample|set|split)s?|datasets?'
_SPLIT_WORD = re.compile(rf'(?:{_THING})?({"|".join(_SPLIT_OF_WORD)})(?:{_THING})?')
_SPLIT = re.compile(
    r'((?i:training|train|validation|valid|val|testing|test))(?:[ _-]?([A-Z])|[ _-]([a-z]))?'
)


def split_of(folder: str) -> tuple[str, str] | None:
    """The split that a folder stands for, and the class that its name adds.

    'train', 'Training' and 'valid' are splits; 'trainA' is the class A of one, as CycleGAN's sets
    have it. None is a folder of another name.
    """
    match = _SPLIT.fullmatch(folder)
    return match and (_SPLIT_OF_WORD[match[1].lower()], match[2] or match[3] or '')


def splits_named(folder: str) -> set[str]:
    """The splits that a folder's name speaks of, as 'testset', 'face-val' and 'Val2017' do.

    Whole words count, alone or joined with words such as 'set' and 'images'. So 'trains', 'contest'
    and 'latest' name none. Nor does 'train station': 'train' counts only if the name says no more.
    """
    name = unicodedata.normalize('NFC', folder)
    parted = re.sub(r'(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])', ' ', name)  # testSetA
    return _splits_in(re.findall(r'[^\W\d_]+', parted.lower())) | _splits_in(
        re.findall(r'[^\W\d_]+', name.lower())
    )


def _splits_in(words: list[str]) -> set[str]:
    matches = [_SPLIT_WORD.fullmatch(word) for word in words]
    named = {_SPLIT_OF_WORD[match[1]] for match in matches if match}
    if {('held', 'out'), ('hold', 'out')} & set(pairwise(words)):
        named.add('val')
    others = [word for word, match in zip(words, matches) if not match and len(word) > 1]
    return named if all(re.fullmatch(_THING, word) for word in others) else named - {'train'}


def split_names(names: list[str], split: str) -> dict[str, str]:
    """Choose the pictures of a split; keys are names in the root, values names in the split.

    With split folders (train, val, test, see :func:`split_of`) the split is that folder; val and
    test stand in for each other. Without any, the split is made by name: about one picture in ten
    is held out for val and test, always the same ones. Folders around everything, as zips often
    have them, are looked into.

    Raises:
        PictureError: If held-out pictures could be trained on: there are folders that look like
            splits under other names, that lie deeper down, or that lie in another split.
    """
    around = _around(names)
    inner = {name: name.removeprefix(around) for name in names}
    folders = {within.rpartition('/')[0] for within in inner.values()}
    tops = {folder.split('/')[0] for folder in folders}
    splits = {top: place for top in sorted(tops) if (place := split_of(top))}
    if not splits:
        _check_names(folders | {around.rstrip('/')})
        held_out = _held_out(names)
        return {n: n for n in names if (n in held_out) == (split != 'train')}
    if len({place == 'train' for place, _ in splits.values()}) < 2:  # what of the others?
        _check_names(tops - splits.keys())
    _check_train(folders, splits)
    for candidate in (split, *(('val', 'test') if split != 'train' else ())):
        if chosen := _in_folders(inner, splits, candidate):
            return chosen
    return {}


def _around(names: list[str]) -> str:
    """The folders that all pictures lie in, down to the splits: 'set/pictures/' or ''."""
    around = ''
    while names:
        tops = {name.removeprefix(around).partition('/')[:2] for name in names}
        top, separator = tops.pop()
        if tops or not separator or split_of(top):
            break
        around += f'{top}/'
    return around


def _check_names(folders: set[str]) -> None:
    """Refuse folders that look like splits, where none is known to be one."""
    parts = {part for folder in folders for part in folder.split('/')}
    named = {part: splits_named(part) or _paired(part, parts) for part in parts}
    for folder in sorted(folders):
        for part in folder.split('/'):
            if named[part]:
                split = min(named[part])
                raise PictureError(
                    f"the folder '{folder}' looks like a split under another name or in another "
                    f'place, and pictures that are held out must not be trained on: give the '
                    f'folder that holds train and val as data_root, and call this one '
                    f"'{split}' (or '{split}A' for a class A) there; if '{part}' is no split, "
                    f'give it a name without train, val and test'
                )


def _paired(part: str, parts: set[str]) -> set[str]:
    """{'train'} if another folder has the same name but for the split: 'catstrain', 'catstest'."""
    name, others = part.casefold(), {other.casefold() for other in parts}
    swaps = [('training', 'testing'), ('training', 'validation')]
    swaps += [('train', word) for word, split in _SPLIT_OF_WORD.items() if split != 'train']
    is_pair = any(old in name and name.replace(old, new) in others for old, new in swaps)
    return {'train'} if is_pair else set()


def _check_train(folders: set[str], splits: dict[str, tuple[str, str]]) -> None:
    """Refuse a held-out folder within a training folder; a class is in both, whatever its name."""
    held_out: set[str] = set()
    train: set[str] = set()
    for folder in folders:
        top, _, rest = folder.partition('/')
        if top in splits:
            (train if splits[top][0] == 'train' else held_out).update(rest.split('/'))
    for part in sorted(train - held_out):
        if splits_named(part) - {'train'}:
            raise PictureError(
                f"the folder '{part}' lies in a training folder and looks held out: move it to the "
                f'top of the data root, or rename it to something without val or test'
            )


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
    hashes = {name: zlib.crc32(name.encode('utf-8', 'surrogatepass')) for name in names}
    chosen = {name for name in names if hashes[name] % HELD_OUT == 0}
    if len(chosen) < 2:  # a tiny folder; one pair takes two pictures
        chosen = set(sorted(names, key=hashes.__getitem__)[: min(2, len(names) // 2)])
    return chosen
