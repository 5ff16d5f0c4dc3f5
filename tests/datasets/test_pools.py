import json
import logging
import re
import shutil

import numpy as np
import pytest
import torch
from mmagic.registry import DATASETS
from mmengine.registry import init_default_scope
from PIL import Image

from i2ilr_mm.datasets import ImagePool, PairedPool, PictureError, pools
from i2ilr_mm.datasets.pools import choose_targets, split_names

SIZES = dict(img_size=64, lr_size=8)


def pool(root, split='train', **options) -> ImagePool:
    return ImagePool(str(root), split, **{'pipeline': [], **SIZES, **options})


def pairs(root, **options) -> PairedPool:
    return PairedPool(str(root), 'val', pipeline=[], **{**SIZES, **options})


def test_embedded_set():
    train = ImagePool('embedded:heads64', 'train', pipeline=[], **SIZES)
    test = PairedPool('embedded:heads64', 'test', pipeline=[], n_targets=2, **SIZES)
    assert (len(train), len(test)) == (1600, 800)
    assert {train.get_data_info(i)['class_name'] for i in range(1600)} == {'female', 'male'}


def test_folder_layout(heads):
    assert len(pool(heads)) == 12
    assert len(pool(heads, 'val')) == len(pool(heads, 'test')) == 6  # they stand in for each other
    entry = pool(heads)[0]
    assert entry['class_name'] == 'female' and entry['img_size'] == 64 and entry['lr_size'] == 8


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


def test_what_is_left_out_is_told(heads, tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(pools, 'print_log', lambda line, _, level: lines.append((line, level)))
    folder = tmp_path / 'set'
    shutil.copytree(heads, folder)
    pool(folder), pool(folder, 'val')
    assert lines == []
    (folder / 'notes.txt').write_text('x')
    pool(folder)
    assert lines == [(lines[0][0], logging.INFO)] and '1 .txt; pictures are .avif' in lines[0][0]
    for name in ('train/male/a.HEIC', 'train/male/b.heic', 'c'):
        (folder / name).write_bytes(b'x')
    Image.new('RGB', (64, 64)).save(folder / 'beside.png')
    pool(folder)
    line, level = lines[1]
    assert level == logging.WARNING and '2 .heic, 1 .txt, 1 no suffix, 1 pictures outside' in line
    assert "first 'beside.png'" in line


def test_a_single_held_out_picture_makes_no_pair(tmp_path):
    for name in ('train/a', 'train/b', 'val/c'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new('RGB', (64, 64)).save(tmp_path / f'{name}.png')
    with pytest.raises(PictureError, match="a single picture for 'val', 'c.png': a pair takes two"):
        pairs(tmp_path)


def test_large_pictures_are_told(heads, monkeypatch):
    lines = []
    monkeypatch.setattr(pools, 'print_log', lambda line, *_: lines.append(line))
    monkeypatch.setattr(pools, 'LARGE', 64 * 64 - 1)
    pool(heads)
    assert len(lines) == 1 and lines[0].startswith('12 of 12 pictures have more than 0 million')


def test_missing_split_says_what_is_expected(tmp_path):
    (tmp_path / 'train').mkdir()
    Image.new('RGB', (64, 64)).save(tmp_path / 'train/a.png')
    with pytest.raises(PictureError, match=r"'val'.*val/\[class/\]"):
        pool(tmp_path, 'val')
    with pytest.raises(ValueError, match="'dev'.*train, val, test"):
        pool(tmp_path, 'dev')


def test_every_bad_file_is_named_before_work_starts(heads, tmp_path):
    folder = tmp_path / 'bad'
    shutil.copytree(heads, folder)
    (folder / 'train/empty.jpg').write_bytes(b'')
    (folder / 'train/text.png').write_text('text')
    Image.new('RGB', (7, 64)).save(folder / 'train/tiny.png')
    with pytest.raises(PictureError, match='3 of 15') as caught:
        pool(folder)
    for name in ('empty.jpg', 'text.png', 'tiny.png'):
        assert name in str(caught.value)


def test_enlarged_pictures_are_reported(heads, monkeypatch):
    lines = []
    monkeypatch.setattr('i2ilr_mm.datasets.pools.print_log', lambda text, *_: lines.append(text))
    assert len(pool(heads, img_size=64)) == 12 and not lines
    assert len(pool(heads, img_size=128)) == 12
    assert '12 of 12' in lines[0] and '64 x 64' in lines[0]


NAMES = [f'{i}.jpg' for i in range(30)]
CLASSES = ['a', 'b', 'c'] * 10


@pytest.mark.parametrize('pairing', ['any', 'same_class', 'cross_class'])
def test_targets(pairing):
    chosen = choose_targets(NAMES, CLASSES, 5, pairing, seed=0)
    for source, targets in enumerate(chosen):
        assert len(set(targets)) == 5 and source not in targets
        same = [CLASSES[t] == CLASSES[source] for t in targets]
        assert {'any': True, 'same_class': all(same), 'cross_class': not any(same)}[pairing]
    if pairing == 'any':
        assert len({t for targets in chosen for t in targets}) > 20
    assert chosen == choose_targets(NAMES, CLASSES, 5, pairing, seed=0)
    assert chosen != choose_targets(NAMES, CLASSES, 5, pairing, seed=1)


def test_the_choice_is_pinned():
    """A function of names and seed alone: the same on every machine and version."""
    assert choose_targets(NAMES[:6], ['x'] * 6, 2, 'any', seed=0) == [
        [5, 1],
        [0, 4],
        [3, 4],
        [2, 4],
        [5, 0],
        [3, 2],
    ]


def test_so_many_targets_of_each_other_class():
    names, classes = [f'{i}.jpg' for i in range(12)], list('abc') * 4
    chosen = choose_targets(names, classes, 3, 'each_class', seed=0)
    for own, targets in zip(classes, chosen):
        found = [classes[t] for t in targets]
        assert sorted(found) == sorted(3 * [c for c in 'abc' if c != own])
        assert len(set(targets)) == 6
        assert found == sorted(found)  # a class's targets follow each other


@pytest.mark.parametrize(
    'classes, pairing, message',
    [
        (['x'] * 4, 'each_class', "'0.jpg' no possible target"),
        (['x'] * 4, 'cross_class', "'0.jpg' no possible target"),
        (['x', 'x', 'x', 'y'], 'same_class', "'3.jpg' no possible target among 1 pictures"),
        (['x'] * 4, 'other', "'other'.*same_class"),
    ],
)
def test_impossible_choices_are_refused(classes, pairing, message):
    with pytest.raises(ValueError, match=message):
        choose_targets(NAMES[:4], classes, 1, pairing, seed=0)


def test_small_pools_give_fewer_targets(heads, monkeypatch):
    lines = []
    monkeypatch.setattr('i2ilr_mm.datasets.pools.print_log', lambda text, *_: lines.append(text))
    assert len(pairs(heads, n_targets=9)) == 6 * 5
    assert 'n_targets=9: some sources get 5' in lines[0]


def test_paired_pool(heads):
    dataset = pairs(heads, n_targets=3, pairing='cross_class')
    assert len(dataset) == 18
    for i in range(18):
        item = dataset[i]
        assert item['sample_idx'] == i
        assert ('female' in item['img_path']) == ('/male/' in item['target_path'])
    assert len(dataset.real_pictures()) == len(set(dataset.real_pictures())) == 6
    assert all(len(targets) == 3 for targets in dataset.pairs().values())


def test_pairs_know_their_classes(heads):
    dataset = pairs(heads, n_targets=2, pairing='each_class')
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        assert {info['class_name'], info['target_class']} == {'female', 'male'}
        assert f'/{info["target_class"]}/' in info['target_path']


def test_content_hash(heads, tmp_path):
    shutil.copytree(heads, tmp_path / 'moved')
    before = pairs(heads).content_hash
    assert len(before) == 16 and pairs(tmp_path / 'moved').content_hash == before
    first, second = sorted((tmp_path / 'moved/val').rglob('*.jpg'))[:2]
    shutil.copy(first, second)
    assert pairs(tmp_path / 'moved').content_hash != before


def test_training_pools_have_real_pictures_without_flips(heads):
    init_default_scope('mmagic')
    loaded = [dict(type='LoadPicture'), dict(type='ResizePicture')]
    flip = dict(type='Flip', keys=['img'], flip_ratio=1.0)
    plain, flipped = pool(heads, pipeline=loaded), pool(heads, pipeline=[*loaded, flip])
    assert len(flipped.real_pictures()) == 12
    path = flipped.real_pictures()[0]
    assert torch.equal(flipped.real_image(path), plain.real_image(path))


def test_pair_file_is_written_then_read(heads, tmp_path):
    path = tmp_path / 'deep/pairs.json'
    first = pairs(heads, n_targets=2, pair_file=str(path))
    stored = json.loads(path.read_text())['pairs']
    assert stored == first.pairs()
    name = next(iter(stored))
    stored[name] = list(reversed(stored[name]))
    path.write_text(json.dumps(dict(first.choice(), pairs=stored)))
    assert pairs(heads, n_targets=2, pair_file=str(path)).pairs() == stored
    with pytest.raises(ValueError, match=r"pairs.json.*'pair_seed': 0.*'pair_seed': 9"):
        pairs(heads, n_targets=2, pair_seed=9, pair_file=str(path))


def test_pair_file_of_another_set_is_refused(heads, tmp_path):
    path = tmp_path / 'pairs.json'
    choice = dict(n_targets=1, pairing='any', pair_seed=0)
    path.write_text(json.dumps(dict(choice, pairs={'other.jpg': ['x.jpg']})))
    with pytest.raises(ValueError, match='pairs.json.*does not belong'):
        pairs(heads, pair_file=str(path))


def test_reprs_tell_everything(heads):
    text = repr(pairs(heads, n_targets=2, pairing='same_class', pair_seed=5, pair_file=None))
    for part in (str(heads), 'val', '64', '8', 'n_targets=2', 'same_class', 'pair_seed=5'):
        assert part in text


@pytest.mark.parametrize('name', ['ImagePool', 'PairedPool'])
def test_registered(name):
    assert DATASETS.get(name).__name__ == name


def test_flat_folder_of_ones_own(heads, tmp_path):
    for i, path in enumerate(sorted((heads / 'train').rglob('*.jpg'))):
        shutil.copy(path, tmp_path / f'{i}.jpg')
    train, val = pool(tmp_path), pairs(tmp_path)
    assert len(train) + len(val.real_pictures()) == 12
    assert np.all([entry['class_name'] == '' for entry in val.pictures])
