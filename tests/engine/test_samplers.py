from itertools import islice

import pytest

from i2ilr_mm.datasets.draws import Draw
from i2ilr_mm.engine import samplers
from i2ilr_mm.engine.samplers import PairSampler, SourceSampler


def draw(
    monkeypatch,
    rank: int,
    world: int,
    count: int,
    size: int = 11,
    seed: int = 3,
    start: int = 0,
) -> list[Draw]:
    monkeypatch.setattr(samplers, 'get_dist_info', lambda: (rank, world))
    sampler = PairSampler(range(size), seed)
    sampler.start = start
    return list(islice(sampler, count))


def pictures(draws: list[Draw]) -> list[int]:
    return [int(draw) for draw in draws]


@pytest.mark.parametrize('world', [2, 3, 4])
@pytest.mark.parametrize('start', [0, 34])
def test_ranks_share_the_batch_of_one_process(monkeypatch, world, start):
    batch = 2 * 2 * world  # two pairs per rank
    single = draw(monkeypatch, 0, 1, 5 * batch, start=start)
    ranks = [draw(monkeypatch, r, world, 5 * 4, start=start) for r in range(world)]
    for step in range(5):
        expected = single[step * batch : (step + 1) * batch]
        given = [part[step * 4 : step * 4 + 4] for part in ranks]
        pairs = {tuple(part[i : i + 2]) for part in given for i in (0, 2)}
        assert pairs == {tuple(expected[i : i + 2]) for i in range(0, batch, 2)}


@pytest.mark.parametrize('start', [2, 8, 10, 26])
def test_the_stream_can_start_anywhere(monkeypatch, start):
    whole = draw(monkeypatch, 0, 1, 50)
    assert draw(monkeypatch, 0, 1, 50 - start, start=start) == whole[start:]
    far = draw(monkeypatch, 0, 1, 2, start=10**15)  # at once
    assert len(far) == 2


def test_epochs_are_shuffled_without_repeats(monkeypatch):
    draws = draw(monkeypatch, 0, 1, 40)
    epochs = [pictures(draws[i : i + 10]) for i in range(0, 40, 10)]
    assert all(len(set(epoch)) == 10 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert len({draw.seed for draw in draws}) == 40
    assert draws == draw(monkeypatch, 0, 1, 40)


def test_neighbouring_seeds_have_nothing_in_common(monkeypatch):
    first, second = (draw(monkeypatch, 0, 1, 100, size=10, seed=seed) for seed in (0, 1))
    assert not {draw.seed for draw in first} & {draw.seed for draw in second}
    orders = [{tuple(pictures(d[i : i + 10])) for i in range(0, 100, 10)} for d in (first, second)]
    assert not orders[0] & orders[1]


def test_what_all_ranks_see(monkeypatch):
    together = draw(monkeypatch, 0, 1, 40)
    monkeypatch.setattr(samplers, 'get_dist_info', lambda: (1, 3))
    sampler = PairSampler(range(11), seed=3)
    assert sampler.draws(6, 12) == together[6:18]


def test_one_picture_makes_no_pair():
    with pytest.raises(ValueError, match='1 picture'):
        PairSampler(range(1), 0)


class Pairs(list):
    """Sources by name, as a paired pool tells them."""

    def get_data_info(self, index: int) -> dict:
        return dict(name=self[index])


@pytest.mark.parametrize('world', [1, 2, 3, 5])
@pytest.mark.parametrize('names', ['aaabbcdddd', 'abc', 'aaaa'])
def test_sources_stay_together(monkeypatch, world, names):
    parts = []
    for rank in range(world):
        monkeypatch.setattr(samplers, 'get_dist_info', lambda r=rank: (r, world))
        sampler = SourceSampler(Pairs(names), seed=3)
        parts.append(list(sampler))
        assert len(sampler) == len(parts[-1])
    assert [i for part in parts for i in part] == list(range(len(names)))
    owners = [{names[i] for i in part} for part in parts]
    assert sum(map(len, owners)) == len(set(names))
