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


def test_folders_around_everything_are_looked_into():
    names = ['set/train/cat/a.png', 'set/train/b.png', 'set/val/c.png']
    assert split_names(names, 'train') == {names[0]: 'cat/a.png', names[1]: 'b.png'}
    assert split_names(names, 'test') == {names[2]: 'c.png'}
    deep = [f'a/{name}' for name in names]
    assert split_names(deep, 'train') == {deep[0]: 'cat/a.png', deep[1]: 'b.png'}
    with pytest.raises(PictureError, match=r"'one/train' .*as data_root"):
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


@pytest.mark.parametrize(
    'folders',
    [
        *(
            'trainset testset',
            'train_images other',
            'test2017',
            'val-set',
            'TrainSet x',
            'testAB x',
        ),
        *('images_train images_test', 'face-train face-val', 'x/Train y/Test', 'x/trainA y/testA'),
        *('x/tEsT y', 'cat/train cat/test dog/train', 'train(1) test(1)', 'img_test img'),
        *('afhqtrain afhqtest', 'traina testa', 'catstraining catstesting', 'cats_holdout cats'),
        *('held-out rest', 'heldOut rest', 'validationData trainingData', 'train test_images'),
        *('train/a train/val', 'train/a train/test_imgs val/a', 'deep/images labels/Val'),
    ],
)
def test_what_looks_like_a_split_is_refused(folders):
    names = [f'{folder}/{i}.png' for folder in folders.split() for i in range(9)]
    with pytest.raises(PictureError, match='(looks like a split|looks held out).*name.* without'):
        split_names(names, 'train')


@pytest.mark.parametrize(
    'folders',
    [
        *(
            'trains contest',
            'latest Detest',
            'testudo protest',
            'valley valentina',
            'strain tested',
        ),
        *('d\u00e9test Valid\u00e9', 'de\u0301test Valide\u0301', 'developers devices'),
        *('train_station airport', 'TrainStation airport', 'training_dogs cats'),
    ],
)
def test_what_only_sounds_like_a_split_is_a_class(folders):
    names = [f'{folder}/{i}.png' for folder in folders.split() for i in range(40)]
    names += ['train.png', 'test_1.png']  # files
    train, val = split_names(names, 'train'), split_names(names, 'val')
    assert not train.keys() & val.keys() and train.keys() | val.keys() == set(names)
    assert {n.split('/')[0] for n in train} == {n.split('/')[0] for n in names}


def test_classes_of_both_splits_may_have_any_name():
    names = [f'{split}/{c}/x.png' for split in ('train', 'val') for c in ('train', 'test car')]
    assert set(split_names(names, 'train')) == set(names[:2])
    assert set(split_names(names, 'val')) == set(names[2:])
    more = ['test_more/x.png', 'train_extra/x.png']  # left out: the splits are known
    assert set(split_names(names + more, 'train')) == set(names[:2])


def test_names_that_are_no_text_are_split():
    names = [f'\udcff{i}.png' for i in range(50)]
    train, val = split_names(names, 'train'), split_names(names, 'val')
    assert val and train.keys() | val.keys() == set(names)
