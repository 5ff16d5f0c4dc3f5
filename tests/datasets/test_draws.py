import copy
import random
from itertools import islice

import numpy as np
import pytest
import torch
from mmagic.registry import TRANSFORMS
from mmengine.dataset import ConcatDataset, RepeatDataset, pseudo_collate
from torch.utils.data import DataLoader

from i2ilr_mm.datasets import ImagePool, LoadPicture
from i2ilr_mm.datasets.draws import Draw, seeded
from i2ilr_mm.engine import samplers
from i2ilr_mm.engine.samplers import PairSampler


@pytest.fixture
def pool(heads) -> ImagePool:
    flip = TRANSFORMS.build(dict(type='Flip', keys=['img'], flip_ratio=0.5))
    pipeline = [LoadPicture('img'), flip, TRANSFORMS.build(dict(type='PackInputs', keys=['img']))]
    return ImagePool(str(heads), 'train', pipeline, img_size=64, lr_size=8)


def chance() -> list[float]:
    """A number of every global generator."""
    return [random.random(), np.random.random(), torch.rand(()).item()]


def picture(item: dict) -> bytes:
    return item['inputs'].numpy().tobytes()


def test_seeds_decide_and_nothing_outside_notices(pool):
    with seeded(5):
        first = chance()
    assert len({round(number, 3) for number in first}) == 3
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = chance()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    with pytest.raises(RuntimeError), seeded(5):
        assert chance() == first
        raise RuntimeError
    pool[Draw(0, 7)]
    assert chance() == expected


def test_a_draw_decides_the_flip(pool):
    items = [[picture(pool[Draw(2, seed)]) for seed in range(20)] for _ in range(2)]
    assert items[0] == items[1] and len(set(items[0])) == 2
    assert picture(pool[2]) in items[0]  # a plain index, as validation asks for it


def test_workers_and_ranks_change_no_flip(pool, monkeypatch):
    """Two and a half epochs; the same picture is flipped in some and not in others."""

    def read(rank: int, world: int, workers: int) -> list[bytes]:
        monkeypatch.setattr(samplers, 'get_dist_info', lambda: (rank, world))
        sampler, size = PairSampler(pool, 0), 6 // world
        loader = DataLoader(pool, size, False, sampler, None, workers, pseudo_collate)
        batches = [batch['inputs'] for batch in islice(loader, 5)]
        return [image.numpy().tobytes() for batch in batches for image in batch]

    alone = read(0, 1, 0)
    assert alone == read(0, 1, 2)
    parts = [read(rank, 3, workers) for rank, workers in ((0, 0), (1, 2), (2, 0))]
    assert sorted(alone) == sorted(image for part in parts for image in part)
    assert 12 < len(set(alone)) <= 24


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize(
    'wrap', [lambda pool: ConcatDataset([pool, copy.deepcopy(pool)]), lambda p: RepeatDataset(p, 2)]
)
def test_pools_that_are_wrapped_keep_the_seeds(pool, wrap, workers):
    data = wrap(pool)
    sampler = PairSampler(data, 0)
    loader = DataLoader(data, 6, False, sampler, None, workers, pseudo_collate)
    batches = [batch['inputs'] for batch in islice(loader, 4)]  # an epoch
    images = [image.numpy().tobytes() for batch in batches for image in batch]
    draws = sampler.draws(0, 24)
    assert sorted(map(int, draws)) == list(range(24))
    assert images == [picture(pool[Draw(draw % 12, draw.seed)]) for draw in draws]
    assert len(set(images)) > 12


def test_a_draw_is_an_index():
    draw = Draw(3, 7)
    assert [0, 1, 2, 3][draw] == 3 and draw == 3 and repr(draw) == 'Draw(3, seed=7)'
    assert draw != Draw(3, 8) and draw == Draw(3, 7) != Draw(2, 7)
    assert len({draw, Draw(3, 8), Draw(3, 7)}) == 2
