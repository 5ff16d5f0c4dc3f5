"""One generator for several LR sizes and free cells."""

import pytest
import torch
import torch.nn.functional as F

from i2ilr_mm.binding import distance, join
from i2ilr_mm.lr import DOWN_METHODS, down
from i2ilr_mm.models.generator import I2ILRGenerator

SMALL = dict(base_channels=8, max_channels=16, norm='none', exact_lr='bilinear')
SIZES = [4, 8, 16]


def build(seed: int = 0, **options) -> I2ILRGenerator:
    torch.manual_seed(seed)
    return I2ILRGenerator(32, 8, **{**SMALL, **options}).eval()


def test_a_generator_of_one_size_is_the_same_within_one_of_several():
    fixed, dial = build(), build(lr_sizes=SIZES)
    dial.load_state_dict(fixed.state_dict())
    source, lr = torch.rand(2, 3, 32, 32) * 2 - 1, torch.rand(2, 3, 8, 8) * 2 - 1
    assert torch.equal(fixed(source, lr), dial(source, lr))


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('method', DOWN_METHODS)
@pytest.mark.parametrize('partial', [False, True])
def test_targets_of_every_size_are_met(size, method, partial):
    generator = build(lr_sizes=SIZES, partial=partial, lr_method=method)
    source, lr = torch.rand(2, 3, 32, 32) * 2 - 1, torch.rand(2, 3, size, size) * 2 - 1
    assert (down(generator(source, lr), size, method) - lr).abs().max() < 1e-5


@pytest.mark.parametrize('size', SIZES)
def test_what_binds_is_met_and_what_does_not_has_no_influence(size):
    generator = build(lr_sizes=SIZES, partial=True)
    source = torch.rand(2, 3, 32, 32) * 2 - 1
    lr, other = (torch.rand(2, 3, size, size) * 2 - 1 for _ in range(2))
    share = (torch.rand(2, 1, size, size) > 0.5).float()
    result = generator(source, join(lr, share))
    shrunk = down(result, size)
    assert distance(shrunk, join(lr, share)).max() < 1e-5
    assert torch.equal(result, generator(source, join(torch.where(share > 0, lr, other), share)))


def test_blocks_are_steered_at_their_own_size():
    """Averaged where the target is finer than a block, enlarged as published where it is coarser.

    Blocks at 32 px, LR 8, work at 8 and 8, 8 and 16, 16 and 32 pixels.
    """
    generator = build(lr_sizes=SIZES)
    lr = torch.rand(1, 3, 16, 16)
    halved = F.avg_pool2d(lr, 2)
    enlarged = F.interpolate(lr, scale_factor=2, mode='bilinear', align_corners=True)
    expected = [(halved, halved), (halved, lr), (lr, enlarged)]
    for i, pair in enumerate(expected):
        for actual, picture in zip(generator._steering(lr, 16, i), pair):
            assert torch.allclose(actual, picture, atol=1e-6)
    coarse = torch.rand(1, 3, 4, 4)
    eight = F.interpolate(coarse, scale_factor=2, mode='bilinear', align_corners=True)
    sixteen = F.interpolate(eight, scale_factor=2, mode='bilinear', align_corners=True)
    actual = generator._steering(coarse, 4, 1)
    assert torch.equal(actual[0], eight) and torch.equal(actual[1], sixteen)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(lr_sizes=[4, 12]), r'lr_sizes is \[4, 12\].*powers of two from 4 to .*16'),
        (dict(lr_sizes=[8, 32]), 'half the picture, 16'),
        (dict(lr_sizes=[2, 8]), 'from 4'),
        (dict(lr_sizes=[8, 8]), 'different powers of two'),
        (dict(lr_sizes=[4, 16]), r'lr_sizes is \[4, 16\], and lr_size is 8: .* add it'),
        (dict(lr_sizes=[]), 'lr_sizes is'),
        (dict(lr_sizes=SIZES, exact_lr=None), 'set generator.exact_lr'),
        (dict(partial=True, exact_lr=None), 'set generator.exact_lr'),
        (dict(partial='yes'), 'generator.partial'),
    ],
)
def test_what_a_generator_cannot_serve_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_targets_of_another_size_or_kind_are_refused():
    source = torch.rand(2, 3, 32, 32)
    with pytest.raises(ValueError, match=r'built for .*\(B, 3, 4, 4\) or \(B, 3, 8, 8\)'):
        build(lr_sizes=[4, 8])(source, torch.rand(2, 3, 16, 16))
    for generator, channels in ((build(), 4), (build(partial=True), 5)):
        with pytest.raises(ValueError, match=rf'LR target of \(2, {channels}, 8, 8\)'):
            generator(source, torch.rand(2, channels, 8, 8))


@pytest.mark.parametrize('size', SIZES)
def test_pictures_of_other_sizes_go_through(size):
    """Any multiple of the deepest features' cell, 4 px here; cells keep their size in pixels."""
    generator = build(lr_sizes=SIZES, partial=True)
    cell = 32 // size
    source = torch.rand(1, 3, 64, 40) * 2 - 1
    lr = torch.rand(1, 3, 64 // cell, 40 // cell) * 2 - 1
    result = generator(source, lr)
    assert result.shape == source.shape
    assert (down(result, lr.shape[2:]) - lr).abs().max() < 1e-5


@pytest.mark.parametrize(
    'source, lr', [((36, 36), (8, 8)), ((34, 32), (8, 8)), ((64, 32), (8, 8)), ((64, 64), (8, 8))]
)
def test_cells_of_another_size_are_refused(source, lr):
    with pytest.raises(ValueError, match='multiples of 4 pixels with cells of that size'):
        build()(torch.rand(1, 3, *source), torch.rand(1, 3, *lr))
