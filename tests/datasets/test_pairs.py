import json

import pytest
from PIL import Image

from i2ilr_mm.datasets import PairedPool, PictureError
from i2ilr_mm.datasets.pairs import choose_targets

SIZES = dict(img_size=64, lr_size=8)

NAMES = [f'{i}.jpg' for i in range(30)]
CLASSES = ['a', 'b', 'c'] * 10


def pairs(root, **options) -> PairedPool:
    return PairedPool(str(root), 'val', pipeline=[], **{**SIZES, **options})


def test_a_single_held_out_picture_makes_no_pair(tmp_path):
    for name in ('train/a', 'train/b', 'val/c'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new('RGB', (64, 64)).save(tmp_path / f'{name}.png')
    with pytest.raises(
        PictureError, match=r"a single picture for 'val', '.*val/c\.png': a pair takes two"
    ):
        pairs(tmp_path)


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
    monkeypatch.setattr('i2ilr_mm.datasets.pairs.print_log', lambda text, *_: lines.append(text))
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


def test_pair_file_is_written_then_read(heads, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    path = tmp_path / 'deep/pairs.json'
    first = pairs(heads, n_targets=2, pair_file=str(path))
    stored = json.loads(path.read_text())['pairs']
    assert stored == first.pairs()
    name = next(iter(stored))
    stored[name] = list(reversed(stored[name]))
    path.write_text(json.dumps(dict(first.choice(), pairs=stored)))
    assert pairs(heads, n_targets=2, pair_file=f'~/deep/{path.name}').pairs() == stored
    with pytest.raises(ValueError, match=r"pairs.json.*'pair_seed': 0.*'pair_seed': 9"):
        pairs(heads, n_targets=2, pair_seed=9, pair_file=str(path))


def test_pair_file_of_another_set_is_refused(heads, tmp_path):
    path = tmp_path / 'pairs.json'
    choice = dict(n_targets=1, pairing='any', pair_seed=0)
    path.write_text(json.dumps(dict(choice, pairs={'other.jpg': ['x.jpg']})))
    with pytest.raises(ValueError, match='pairs.json.*does not belong'):
        pairs(heads, pair_file=str(path))
