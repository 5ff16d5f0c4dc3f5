from itertools import chain
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub
from torch.utils.data import DataLoader, Dataset, RandomSampler

from i2ilr_mm.engine import loops
from i2ilr_mm.engine.loops import ResumableTrainLoop
from i2ilr_mm.engine.samplers import PairSampler


class Pool(Dataset):
    """Twenty items; counts those that were asked for."""

    metainfo: dict = {}

    def __init__(self):
        self.read = 0

    def __len__(self):
        return 20

    def __getitem__(self, draw):
        self.read += 1
        return draw


class Loader(DataLoader):
    """Counts how often it is started; with workers, that makes them read ahead."""

    started = 0

    def __iter__(self):
        self.started += 1
        return super().__iter__()


def make_loop(max_iters: int, batch_size: int = 4, seed: int = 0, sampler=None, **info):
    """A loop whose model notes its batches in ``loop.batches``, resumed where there is info."""
    pool, batches = Pool(), []
    model = SimpleNamespace(
        train=lambda: None, train_step=lambda data, optim_wrapper: batches.append(data)
    )
    runner = SimpleNamespace(
        model=model,
        optim_wrapper=None,
        visualizer=SimpleNamespace(),
        val_loop=None,
        call_hook=lambda *args, **kwargs: None,
        message_hub=MessageHub('test'),
    )
    runner.message_hub.update_info_dict(info)
    sampler = sampler or PairSampler(pool, seed)
    loader = Loader(pool, batch_size, sampler=sampler, collate_fn=list)
    loop = ResumableTrainLoop(runner, loader, max_iters=max_iters, val_interval=3)
    assert loader.started == 0  # nothing before the place is known
    loop.batches, loop.pool = batches, pool
    return loop


def whole(**options) -> list:
    loop = make_loop(8, **options)
    loop.run()
    return loop.batches


def test_a_resume_reads_only_what_comes_next():
    loop = make_loop(8, images_seen=20, sampler_seed=0)
    loop._iter = 5
    loop.run()
    assert loop.batches == whole()[5:] and loop.pool.read == 12
    assert loop.runner.message_hub.get_info('images_seen') == 32


def test_another_batch_size_goes_on_at_the_same_picture():
    loop = make_loop(7, batch_size=6, images_seen=20, sampler_seed=0)
    loop._iter = 5
    loop.run()
    assert [*chain(*loop.batches)] == [*chain(*whole())][20:32]


def test_an_older_checkpoint_counts_as_iterations():
    loop = make_loop(8)
    loop._iter = 5
    loop.run()
    assert loop.batches == whole()[5:]


def test_the_seed_of_the_run_is_kept():
    loop = make_loop(8, seed=1, images_seen=20, sampler_seed=0)
    loop._iter = 5
    loop.run()
    assert loop.batches == whole()[5:] != whole(seed=1)[5:]


def test_hooks_see_the_batch_counted():
    """They store checkpoints within the iteration; two ranks see twice as many."""
    seen = []
    loop = make_loop(3)
    hub = loop.runner.message_hub
    loop.runner.call_hook = lambda name, **_: seen.append((name, hub.get_info('images_seen')))
    loop.run()
    assert [n for name, n in seen if name == 'after_train_iter'] == [4, 8, 12]


def test_all_ranks_count(monkeypatch):
    monkeypatch.setattr(loops, 'get_world_size', lambda: 2)
    loop = make_loop(3)
    loop.run()
    assert loop.images_seen == 24


def test_validation_comes_when_due_and_at_the_end():
    loop, when = make_loop(8), []
    loop.runner.val_loop = SimpleNamespace(run=lambda: when.append(loop.iter))
    loop.run()
    assert when == [3, 6, 8]
    loop = make_loop(8)
    loop.runner.val_loop, loop.val_begin = SimpleNamespace(run=lambda: when.append(loop.iter)), 5
    when.clear()
    loop.run()
    assert when == [6, 8]


def test_other_samplers_are_refused():
    sampler = RandomSampler(torch.arange(20))
    with pytest.raises(ValueError, match=r'PairSampler.*RandomSampler.*IterBasedTrainLoop'):
        make_loop(8, sampler=sampler)


@pytest.mark.parametrize('validated, expected', [(0, [6, 9]), (6, [9])])
def test_a_validation_that_was_left_out_is_made_up_for(validated, expected):
    """A checkpoint at 6 is written before the validation there, and again after a best one."""
    loop = make_loop(9, images_seen=24, sampler_seed=0, last_validation=validated)
    loop._iter = 6
    done = []
    loop.runner.val_loop = SimpleNamespace(run=lambda: done.append(loop._iter))
    loop.run()
    assert done == expected


def test_processes_at_different_places_are_refused(monkeypatch):
    monkeypatch.setattr(loops, 'all_gather_object', lambda place: [place, (0, 0, 0)])
    loop = make_loop(9, images_seen=24, sampler_seed=0)
    loop._iter = 6
    with pytest.raises(ValueError, match=r'\(6, 24, 0\), \(0, 0, 0\).*--work-dir.*share'):
        loop.run()
