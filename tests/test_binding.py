"""What binds of an LR target, against Pillow's luma, float64 and properties."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter1d

from i2ilr_mm.binding import (
    bound,
    continued,
    distance,
    draw_free,
    draw_mask,
    join,
    luma,
    luma_target,
    network_input,
    shown,
)


def pictures(seed: int, count: int = 4, size: int = 8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, size, size, generator=generator, dtype=torch.float64) * 2 - 1


def chroma(image: torch.Tensor) -> np.ndarray:
    """Cb and Cr (H, W, 2) of a picture (3, H, W) in [-1, 1], by Pillow."""
    array = ((image + 1) * 127.5).round().permute(1, 2, 0).numpy().astype(np.uint8)
    return np.asarray(Image.fromarray(array).convert('YCbCr')).astype(int)[..., 1:]


def test_luma_is_that_of_pillow():
    array = np.random.RandomState(0).randint(0, 256, (16, 16, 3), np.uint8)
    image = torch.from_numpy(array).permute(2, 0, 1)[None].double()
    grey = np.asarray(Image.fromarray(array).convert('L'))
    assert np.abs(luma(image)[0, 0].numpy() - grey).max() <= 0.501  # Pillow rounds


def test_a_target_of_three_channels_binds_whole():
    own, lr = pictures(0), pictures(1)
    assert torch.equal(bound(own, lr), lr)
    assert torch.allclose(bound(own, join(lr)), lr, atol=1e-15)
    assert torch.equal(distance(own, lr), (own - lr).abs())
    assert torch.allclose(distance(own, join(lr)), (own - lr).abs(), atol=1e-15)
    assert torch.equal(shown(lr), lr) and torch.allclose(shown(join(lr)), lr, atol=1e-15)
    assert torch.allclose(network_input(lr), network_input(join(lr)), atol=1e-15)


def test_free_cells_stay_as_they_are_and_shares_lie_between():
    own, lr = pictures(0), pictures(1)
    share = torch.zeros(4, 1, 8, 8, dtype=torch.float64)
    share[..., :4], share[..., 4] = 1, 0.25
    result = bound(own, join(lr, share))
    assert torch.allclose(result[..., :4], lr[..., :4], atol=1e-15)
    assert torch.equal(result[..., 5:], own[..., 5:])
    assert torch.allclose(result[..., 4], 0.75 * own[..., 4] + 0.25 * lr[..., 4])
    # Once a cell was moved by its share, nobody knows where to: it counts as met.
    assert torch.equal(distance(own, join(lr, share))[..., 4:], torch.zeros(4, 3, 8, 4))
    assert torch.equal(distance(own, join(lr, share))[..., :4], (own - lr).abs()[..., :4])
    assert torch.equal(shown(join(lr, share))[..., 5:], torch.ones(4, 3, 8, 3))


def test_free_cells_go_along_with_their_neighbours():
    own = pictures(0, size=16) * 0.5  # nothing leaves the range
    share = torch.zeros(4, 1, 16, 16, dtype=torch.float64)
    share[..., :8] = 1
    moved = continued(own, join(own + 0.4, share)) - own
    assert torch.equal(moved[..., :8], torch.zeros(4, 3, 16, 8))
    # SciPy's Gaussian of one cell gives the weights of a half plane.
    weights = gaussian_filter1d(share[0, 0, 8].numpy(), 1.0, mode='constant')
    expected = 0.4 * weights / (weights + 0.05)
    assert np.abs(moved[0, 0, 8, 8:].numpy() - expected[8:]).max() < 2e-3
    assert moved[..., 8].min() > 0.3 and moved[..., 11:].max() < 0.06
    assert torch.equal(continued(own, join(own + 0.4, torch.ones(1))), own)
    assert torch.equal(continued(own, join(own + 0.4, torch.zeros(1))), own)


def test_grey_targets_have_the_colours_of_the_source():
    own, lr = pictures(0) * 0.2, pictures(1) * 0.2  # nothing leaves the range
    result = luma_target(own, lr)
    assert torch.allclose(luma(result), luma(lr), atol=1e-14)
    colours = own - luma(own)
    assert torch.allclose(result - luma(result), colours, atol=1e-14)
    # Pillow's YCbCr has the same luma, and colours that are blind to it.
    assert np.abs(chroma(own[0]) - chroma(result[0])).max() <= 1


def test_colours_fade_where_the_luma_leaves_them_no_room():
    own, lr = pictures(2), pictures(3)
    result = luma_target(own, lr)
    assert result.abs().max() <= 1 + 1e-12
    assert torch.allclose(luma(result), luma(lr), atol=1e-12)
    # The hue stays: what is left of the colours is a share of them, from 0 to 1.
    kept = (result - luma(result)) / (own - luma(own))
    assert torch.allclose(kept, kept[:, :1].expand_as(kept), atol=1e-8)
    assert kept.min() >= 0 and kept.max() <= 1 + 1e-9 and kept.min() < 0.9
    # Beyond white is white.
    assert torch.allclose(luma_target(own, torch.full_like(lr, 1.5)), torch.ones_like(lr))


def test_networks_are_not_told_what_does_not_bind():
    share = (torch.rand(4, 1, 8, 8, dtype=torch.float64) > 0.5).double()
    first = pictures(1)
    second = torch.where(share > 0, first, pictures(2))
    given = [network_input(join(lr, share)) for lr in (first, second)]
    assert torch.equal(*given) and not torch.equal(first, second)
    assert given[0].shape == (4, 4, 8, 8)


@pytest.mark.parametrize('size', [4, 8, 32])
def test_masks_leave_the_share_free_that_was_asked_for(size):
    for seed in range(6):
        random = np.random.RandomState(seed)
        assert draw_free(random, size, 0.5).sum() == size * size / 2
        assert draw_free(random, size, 0.25).sum() == 0.75 * size * size
        mask = draw_mask(random, size)
        assert mask.shape == (size, size) and mask.min() >= 0 and 0 < mask.max() <= 1


def test_masks_of_training_are_of_all_kinds():
    masks = [draw_mask(np.random.RandomState(seed), 8) for seed in range(400)]
    binding = np.array([(mask > 0).sum() for mask in masks])
    assert np.mean(binding == 1) > 0.05 and np.mean(binding == 63) > 0.05  # single cells
    assert np.mean((binding >= 12) & (binding <= 52)) > 0.6
    assert 0.1 < np.mean([mask.max() < 1 for mask in masks]) < 0.4  # shares between
