import shutil

import pytest
import torch
from mmengine.registry import init_default_scope
from scoring import PIPELINE

from i2ilr_mm.datasets import PairedPool
from i2ilr_mm.evaluation.real import gather_by_index, real_features


def pool(root, size=32) -> PairedPool:
    init_default_scope('mmagic')
    return PairedPool(str(root), 'val', pipeline=PIPELINE, img_size=size, lr_size=8)


class Network:
    """Mean colours, counting the pictures seen."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, images):
        self.seen += len(images)
        return images.float().mean((2, 3))


def features(of, cache, identity='colours') -> tuple[torch.Tensor, int]:
    network = Network()
    rows = real_features(of, network, identity, 4, cache and str(cache))
    return rows, network.seen


def test_every_picture_once_by_the_pools_own_transforms(heads):
    rows, seen = features(pool(heads), None)
    dataset = pool(heads)
    images = torch.stack([dataset[i]['inputs']['img'] for i in range(6)])
    assert seen == 6 and torch.allclose(rows, images.float().mean((2, 3)))


def test_kept_on_disk(heads, tmp_path):
    rows, seen = features(pool(heads), tmp_path / 'deep/cache')
    again, more = features(pool(heads), tmp_path / 'deep/cache')
    assert (seen, more) == (6, 0) and torch.equal(rows, again)
    assert [p.suffix for p in (tmp_path / 'deep/cache').iterdir()] == ['.pt']


@pytest.mark.parametrize('what', ['content', 'size', 'identity', 'transforms'])
def test_anything_else_is_another_file(what, heads, tmp_path):
    cache = tmp_path / 'cache'
    features(pool(heads), cache)
    other, options = pool(heads, 64 if what == 'size' else 32), {}
    if what == 'content':
        shutil.copytree(heads, tmp_path / 'changed')
        victim = next((tmp_path / 'changed/val').rglob('*.jpg'))
        shutil.copy(next((heads / 'train').rglob('*.jpg')), victim)  # the same name
        other = pool(tmp_path / 'changed')
    elif what == 'identity':
        options = dict(identity='other weights')
    elif what == 'transforms':
        other.pipeline.transforms[1].fit = 'crop'
    assert features(other, cache, **options)[1] == 6
    assert len(list(cache.iterdir())) == 2


def test_the_place_of_the_files_does_not_matter(heads, tmp_path):
    features(pool(heads), tmp_path / 'cache')
    shutil.copytree(heads, tmp_path / 'moved')
    assert features(pool(tmp_path / 'moved'), tmp_path / 'cache')[1] == 0


def test_a_damaged_file_is_made_anew(heads, tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr('i2ilr_mm.evaluation.real.print_log', lambda text, *_: lines.append(text))
    rows, _ = features(pool(heads), tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    again, seen = features(pool(heads), tmp_path)
    assert seen == 6 and torch.equal(rows, again) and f"'{path}' cannot be read" in lines[-1]
    assert features(pool(heads), tmp_path)[1] == 0


def test_a_folder_that_cannot_be_made_is_no_end(heads, tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr('i2ilr_mm.evaluation.real.print_log', lambda text, *_: lines.append(text))
    (tmp_path / 'file').write_text('')
    assert features(pool(heads), tmp_path / 'file/cache')[1] == 6
    assert 'are not kept' in lines[-1]


def test_gather_sorts_by_index():
    assert list(gather_by_index({2: 'b', 0: 'a'}).items()) == [(0, 'a'), (2, 'b')]
