import logging
import os
import shutil

import numpy as np
import pytest
import torch
from mmagic.registry import DATASETS
from mmengine.registry import init_default_scope
from PIL import Image

from i2ilr_mm.datasets import ImagePool, PairedPool, PictureError, pools

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


def test_what_is_left_out_is_told(heads, tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(pools, 'print_log', lambda line, _, level: lines.append((line, level)))
    folder = tmp_path / 'set'
    shutil.copytree(heads, folder)
    (folder / 'attributes.json').write_text('{}')  # which scores of rendered heads read
    pool(folder), pool(folder, 'val')
    assert lines == []
    (folder / 'notes.txt').write_text('x')
    pool(folder)
    assert (
        lines == [(lines[0][0], logging.INFO)]
        and "1 x .txt ('notes.txt'); pictures are .avif" in lines[0][0]
    )
    for name in ('train/male/a.HEIC', 'train/male/b.heic', 'c'):
        (folder / name).write_bytes(b'x')
    Image.new('RGB', (64, 64)).save(folder / 'beside.png')
    pool(folder)
    line, level = lines[1]
    assert level == logging.WARNING and "2 x .heic (first 'train/male/a.HEIC')" in line
    assert "1 x no suffix ('c'), 1 x picture outside the split folders ('beside.png')" in line
    os.mkfifo(folder / 'train/pipe.png')
    (folder / 'train/again').symlink_to(folder)
    pool(folder)
    line, _ = lines[2]
    assert "1 x pipe ('train/pipe.png')" in line and "already ('train/again')" in line


def test_held_out_pictures_in_one_folder_are_told(heads, tmp_path, monkeypatch):
    """By their names alone they may be anything, so that they are used."""
    lines = []
    monkeypatch.setattr(pools, 'print_log', lambda line, *_: lines.append(line))
    for i, path in enumerate(sorted(heads.rglob('*.jpg'))):
        shutil.copy(path, tmp_path / f'{"contest" if i < 12 else "test"}_{i}.jpg')
    names = map(os.path.basename, pool(tmp_path).real_pictures())
    count = sum(name.startswith('test_') for name in names)
    assert [line.partition(';')[0] for line in lines] == [
        f'{count} pictures that are trained on have names that speak of val or test'
    ]


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
    many = [f'{i}.png' for i in range(30)]
    for name in many:
        (folder / 'train' / name).write_text('text')
    with pytest.raises(PictureError, match='33 of 45') as caught:
        pool(folder)
    for name in ('empty.jpg', 'text.png', 'tiny.png', *many):
        assert f'/{name}' in str(caught.value)


def test_enlarged_pictures_are_reported(heads, monkeypatch):
    lines = []
    monkeypatch.setattr('i2ilr_mm.datasets.pools.print_log', lambda text, *_: lines.append(text))
    assert len(pool(heads, img_size=64)) == 12 and not lines
    assert len(pool(heads, img_size=128)) == 12
    assert '12 of 12' in lines[0] and '64 x 64' in lines[0]


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
