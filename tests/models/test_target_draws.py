"""Draws of LR sizes and free cells: shares, and independence of processes and restarts."""

from collections import Counter

import pytest
import torch

from i2ilr_mm.lr import down
from i2ilr_mm.models import target_draws
from i2ilr_mm.models.target_draws import TargetDraws

SIZES = (4, 8, 16)


def draws(**options) -> TargetDraws:
    options = dict(partial=True, free=0.5) | options
    return TargetDraws(SIZES, 'box', **options)


def test_sizes_are_drawn_as_often_as_asked_for():
    count = Counter(draws(shares=[1, 2, 1]).size(step) for step in range(2000))
    for size, share in zip(SIZES, (0.25, 0.5, 0.25)):
        assert abs(count[size] / 2000 - share) < 0.05
    assert {draws(shares=[0, 1, 0]).size(step) for step in range(50)} == {8}


def test_targets_are_the_pictures_shrunk():
    image = torch.rand(4, 3, 32, 32) * 2 - 1
    plain = TargetDraws(SIZES, 'box', partial=False)
    for step in range(10):
        lr = plain(image, down(image, 8), step)
        assert torch.allclose(lr, down(image, plain.size(step)), atol=1e-6)
    assert {plain.size(step) for step in range(10)} == set(SIZES)


def test_pairs_bind_alike_and_as_often_as_asked_for():
    image = torch.rand(400, 3, 32, 32)
    lr = draws()(image, down(image, 8), 0)
    share = lr[:, 3]
    assert torch.equal(share[0::2], share[1::2])
    assert abs((share.amin(dim=(1, 2)) < 1).float().mean() - 0.5) < 0.1


def test_processes_share_the_draws_of_one(monkeypatch):
    """Of 8 pairs in turns, process 1 of 2 has pairs 1, 3, 5 and 7."""
    image = torch.rand(16, 3, 32, 32)
    whole = draws()(image, down(image, 8), 3)
    monkeypatch.setattr(target_draws, 'get_world_size', lambda: 2)
    monkeypatch.setattr(target_draws, 'get_rank', lambda: 1)
    mine = image.unflatten(0, (-1, 2))[1::2].flatten(0, 1)
    expected = whole.unflatten(0, (-1, 2))[1::2].flatten(0, 1)
    assert torch.equal(draws()(mine, down(mine, 8), 3), expected)


def test_a_seed_gives_other_draws():
    sizes = [[draws(seed=seed).size(step) for step in range(20)] for seed in (0, 0, 1)]
    assert sizes[0] == sizes[1] != sizes[2]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(shares=[1, 2]), r'shares is \[1, 2\].*one share.*\[4, 8, 16\]'),
        (dict(shares=[1, -1, 1]), 'none negative'),
        (dict(shares=[0, 0, 0]), 'shares is'),
        (dict(free=1.5), 'free is 1.5; it is a share from 0 to 1'),
        (dict(partial=False), 'generator.partial is False.*has to be trained'),
        (dict(free=0), 'generator.partial is True'),
    ],
)
def test_what_does_not_go_together_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        draws(**options)
