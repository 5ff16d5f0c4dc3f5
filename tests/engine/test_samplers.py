from itertools import islice

import pytest

from i2ilr_mm.engine import samplers
from i2ilr_mm.engine.samplers import PairSampler


def draw(
    monkeypatch, rank: int, world: int, count: int, size: int = 11, seed: int = 3
) -> list[int]:
    monkeypatch.setattr(samplers, 'get_dist_info', lambda: (rank, world))
    return list(islice(PairSampler(range(size), seed), count))


@pytest.mark.parametrize('world', [2, 3, 4])
def test_ranks_share_the_batch_of_one_process(monkeypatch, world):
    batch = 2 * 2 * world  # two pairs per rank
    single = draw(monkeypatch, 0, 1, 5 * batch)
    ranks = [draw(monkeypatch, r, world, 5 * 4) for r in range(world)]
    for step in range(5):
        expected = single[step * batch : (step + 1) * batch]
        given = [part[step * 4 : step * 4 + 4] for part in ranks]
        pairs = {tuple(part[i : i + 2]) for part in given for i in (0, 2)}
        assert pairs == {tuple(expected[i : i + 2]) for i in range(0, batch, 2)}


def test_epochs_are_shuffled_without_repeats(monkeypatch):
    indices = draw(monkeypatch, 0, 1, 20)
    first, second = indices[:10], indices[10:]
    assert len(set(first)) == len(set(second)) == 10 and first != second
    assert indices == draw(monkeypatch, 0, 1, 20)
    assert indices != draw(monkeypatch, 0, 1, 20, seed=4)


def test_one_picture_makes_no_pair():
    with pytest.raises(ValueError, match='1 picture'):
        PairSampler(range(1), 0)
