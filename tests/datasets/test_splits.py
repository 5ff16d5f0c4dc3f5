import re

import pytest

from i2ilr_mm.datasets import PictureError
from i2ilr_mm.datasets.splits import split_names


def test_a_root_without_splits_is_split_by_name():
    names = [f'{i:04d}.jpg' for i in range(1000)]
    train, val = split_names(names, 'train'), split_names(names, 'val')
    assert not train.keys() & val.keys() and len(train) + len(val) == 1000
    assert 60 < len(val) < 140
    assert split_names(names, 'test') == val
    grown = split_names([*names, 'new.jpg'], 'val')
    assert val.keys() <= grown.keys()
    assert len(split_names(names[:5], 'val')) == 2


def test_one_folder_around_everything_is_looked_into():
    names = ['set/train/cat/a.png', 'set/train/b.png', 'set/val/c.png']
    assert split_names(names, 'train') == {names[0]: 'cat/a.png', names[1]: 'b.png'}
    assert split_names(names, 'test') == {names[2]: 'c.png'}
    with pytest.raises(PictureError, match=r"'one/train/a.png'.*as data_root"):
        split_names(['one/train/a.png', 'two/train/a.png'], 'train')


@pytest.mark.parametrize(
    'folders, train, held_out',
    [
        (('trainA', 'trainB', 'testA', 'testB'), {'A/x.png', 'B/x.png'}, {'A/x.png', 'B/x.png'}),
        (('train_A', 'val_A'), {'A/x.png'}, {'A/x.png'}),
        (('Train', 'TEST'), {'x.png'}, {'x.png'}),
        (('training', 'validation'), {'x.png'}, {'x.png'}),
        (('set/train', 'set/valid'), {'x.png'}, {'x.png'}),
    ],
)
def test_splits_under_other_names(folders, train, held_out):
    names = [f'{folder}/x.png' for folder in folders]
    for split, expected in (('train', train), ('val', held_out), ('test', held_out)):
        chosen = split_names(names, split)
        assert set(chosen.values()) == expected
        word = 'train' if split == 'train' else '(val|test)'
        assert all(re.search(f'(^|/){word}', name, re.I) for name in chosen)


def test_no_held_out_picture_is_trained_on():
    """What may be a split is refused; what only begins like one is a class."""
    for folder in ('train_images', 'test2017', 'val-set', 'TrainSet', 'testAB'):
        with pytest.raises(PictureError, match=f"'{folder}' looks like a split"):
            split_names([f'{folder}/x.png', 'other/x.png'], 'train')
    names = [f'{folder}/{i}.png' for folder in ('trains', 'testudo') for i in range(40)]
    names += ['train.png', 'test_1.png']  # files
    train, val = split_names(names, 'train'), split_names(names, 'val')
    assert not train.keys() & val.keys() and train.keys() | val.keys() == set(names)
