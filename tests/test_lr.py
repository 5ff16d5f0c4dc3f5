import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from i2ilr_mm import lr as ops


def image(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(dtype) * 2 - 1


@pytest.mark.parametrize(
    'height, width, size', [(64, 64, 8), (24, 40, 8), (12, 12, 12), (50, 10, 5)]
)
def test_box_is_the_mean_of_every_cell(height, width, size):
    x = image(2, 3, height, width)
    cells = x.double().numpy().reshape(2, 3, size, height // size, size, width // size)
    np.testing.assert_allclose(ops.down(x, size), cells.mean((3, 5)), atol=1e-6)


def test_bicubic_is_pillows():
    x = image(1, 1, 64, 64)
    picture = Image.fromarray(x[0, 0].numpy(), mode='F')
    shrunk = np.asarray(picture.resize((8, 8), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(ops.down(x, 8, 'bicubic')[0, 0], shrunk, atol=1e-5)


@pytest.mark.parametrize('method', ops.UP_METHODS)
def test_up_keeps_constant_pictures_and_size(method):
    enlarged = ops.up(torch.full((1, 3, 8, 8), 0.3), (32, 64), method)
    assert enlarged.shape == (1, 3, 32, 64)
    assert torch.allclose(enlarged, torch.tensor(0.3))
    x = image(1, 3, 8, 8)
    assert torch.equal(ops.up(x, 32, method), ops.up(x, (32, 32), method))


@pytest.mark.parametrize('height, width, size', [(60, 64, 8), (64, 60, 8), (4, 4, 8), (8, 8, 0)])
def test_other_sizes_are_refused_by_name(height, width, size):
    with pytest.raises(ValueError, match=f'{height} x {width}.*multiples'):
        ops.down(image(1, 3, height, width), size)


def test_unknown_methods_are_refused_by_name():
    with pytest.raises(ValueError, match="'lanczos'.*box, bicubic"):
        ops.down(image(1, 3, 16, 16), 8, 'lanczos')
    with pytest.raises(ValueError, match="'area'.*nearest, bilinear, bicubic"):
        ops.up(image(1, 3, 8, 8), (16, 16), 'area')


@pytest.mark.parametrize('method', ops.DOWN_METHODS)
@pytest.mark.parametrize('up_method', ops.UP_METHODS)
@pytest.mark.parametrize('height, width', [(64, 64), (32, 48)])
def test_projection_meets_the_target(method, up_method, height, width):
    x, y = image(2, 3, height, width), image(2, 3, 8, 8).flip(0)
    projected = ops.project(x, y, method, up_method)
    worst = (ops.down(projected, 8, method) - y).abs().max()
    assert worst <= 1e-6


@pytest.mark.parametrize('size, lr_size', [(256, 8), (512, 4), (1024, 8)])
@pytest.mark.parametrize('up_method', ops.UP_METHODS)
def test_projection_is_exact_at_large_cells_too(size, lr_size, up_method):
    x, y = image(1, 3, size, size), image(1, 3, lr_size, lr_size).flip(0)
    projected = ops.project(x, y, 'box', up_method)
    assert (ops.down(projected, lr_size) - y).abs().max() <= 1e-6


def test_projection_keeps_what_the_target_cannot_see():
    x, y = image(1, 3, 64, 64), image(1, 3, 8, 8).flip(-1)
    detail = x - ops.up(ops.down(x, 8), (64, 64))
    assert torch.allclose(ops.project(x, y), detail + ops.up(y, (64, 64)), atol=1e-6)
    again = ops.project(ops.project(x, y), y)
    assert torch.allclose(again, ops.project(x, y), atol=1e-6)


def test_residual_is_in_bins_of_four_levels():
    level = 1 / 127.5
    x = torch.zeros(1, 3, 8, 8)
    for levels, expected in [(0, 0), (1.9, 0), (2.1, 4), (5.9, 4), (6.1, 8), (-9.9, 8)]:
        y = torch.full_like(x, levels * level)
        residual = ops.residual(x, y)
        assert torch.allclose(residual, torch.tensor(expected * level), atol=1e-7)


def test_residual_of_a_real_picture_is_exactly_zero():
    x = image(2, 3, 64, 64)
    assert ops.residual(x, ops.down(x, 8)).count_nonzero() == 0


def test_residual_passes_the_gradient_straight_through():
    x = image(1, 3, 16, 16, dtype=torch.float64).requires_grad_()
    y = image(1, 3, 8, 8, dtype=torch.float64).flip(-1)
    weights = torch.arange(192.0, dtype=torch.float64).view(1, 3, 8, 8)
    (ours,) = torch.autograd.grad((ops.residual(x, y) * weights).sum(), x)
    (plain,) = torch.autograd.grad(((ops.down(x, 8) - y).abs() * weights).sum(), x)
    assert torch.allclose(ours, plain)


def test_uint8_round_trip():
    values = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(ops.to_uint8(ops.from_uint8(values)), values)
    assert ops.to_uint8(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]


def hard_case(size: int = 64, lr_size: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy pictures, and targets among whose cells many are black or white."""
    x = (image(4, 3, size, size) * 1.5).clamp(-1, 1)
    lr = (ops.up(image(4, 3, lr_size // 2, lr_size // 2), lr_size) * 2).clamp(-1, 1)
    return x, lr


@pytest.mark.parametrize('size, lr_size', [(64, 8), (16, 8), (256, 8)])
def test_matched_pictures_meet_their_targets_as_8_bit_files(size, lr_size):
    x, lr = hard_case(size, lr_size)
    picture = ops.match(x, lr)
    assert picture.dtype == torch.uint8
    error = (ops.down(ops.from_uint8(picture), lr_size) - lr).abs() * 127.5
    assert error.max() < (1 if size == 16 else 0.5)  # 4 pixels a cell round to half a level each


def test_matching_by_bicubic_shrinking_too():
    x = ops.up(image(4, 3, 8, 8), 64, 'bilinear') * 0.5
    lr = ops.down(x.flip(0), 8, 'bicubic')
    picture = ops.match(x, lr, 'bicubic')
    assert (ops.down(ops.from_uint8(picture), 8, 'bicubic') - lr).abs().max() * 127.5 < 1


def test_small_differences_leave_no_blocks():
    """Steps between cells are little larger than within them, as they are where cells are moved."""
    x, lr = torch.zeros(1, 3, 64, 64), ops.up(image(1, 3, 4, 4), 8, 'bilinear') * (8 / 127.5)

    def blockiness(picture: torch.Tensor) -> float:
        steps = picture.diff(dim=-1).abs()
        return (steps[..., 7::8].mean() / steps.mean()).item()

    assert blockiness(ops.shift_cells(x, lr)) == pytest.approx(63 / 7)  # all steps are at borders
    assert blockiness(ops.matched(x, lr)) < 2


def test_one_painted_cell_leaves_its_neighbours_alone():
    lr = torch.zeros(1, 3, 8, 8)
    lr[0, :, 3, 4] = torch.tensor([-1.0, 1.0, -1.0])
    picture = ops.match(torch.zeros(1, 3, 64, 64), lr).float()
    cell = picture[0, :, 24:32, 32:40].clone()
    assert torch.equal(cell, torch.tensor([0.0, 255.0, 0.0]).view(3, 1, 1).expand_as(cell))
    picture[0, :, 24:32, 32:40] = 128
    assert (picture - 128).abs().max() < 6


def test_results_of_matching_do_not_depend_on_the_batch():
    x, lr = hard_case()
    assert torch.equal(ops.match(x, lr)[1:2], ops.match(x[1:2], lr[1:2]))


def test_targets_beyond_black_and_white_are_met_as_nearly_as_can_be():
    x, lr = image(1, 3, 64, 64), torch.zeros(1, 3, 8, 8)
    lr[0, 0, 2, 3] = 1.5
    picture = ops.match(x, lr)
    assert (picture[0, 0, 16:24, 24:32] == 255).all()


# Grids of any shape, and 16 bits


grids = st.tuples(*[st.integers(1, 5)] * 4).map(lambda n: (n[0] * n[2], n[1] * n[3], n[0], n[1]))
"""Height, width, rows and columns."""


def mean_of_cells(picture: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """(C, H, W) shrunk in float64."""
    height, width = picture.shape[1:]
    cells = picture.reshape(-1, rows, height // rows, columns, width // columns)
    return cells.astype(np.float64).mean(axis=(2, 4))


@pytest.mark.parametrize('height, width, rows, columns', [(64, 64, 8, 1), (64, 2, 8, 1)])
def test_bicubic_of_one_column_is_pillows(height, width, rows, columns):
    x = image(2, 3, height, width)
    for down, picture in zip(
        ops.down(x, (rows, columns), 'bicubic').flatten(0, 1), x.flatten(0, 1)
    ):
        shrunk = Image.fromarray(picture.numpy()).resize((columns, rows), Image.Resampling.BICUBIC)
        np.testing.assert_allclose(down, shrunk, atol=1e-5)


@pytest.mark.parametrize('method', ops.DOWN_METHODS)
def test_projection_meets_targets_of_any_shape(method):
    x, y = image(1, 3, 36, 64), image(1, 3, 12, 16).flip(0)
    projected = ops.project(x, y, method, 'bilinear')
    assert (ops.down(projected, (12, 16), method) - y).abs().max() <= 1e-6
    assert ops.residual(projected, y, method).count_nonzero() == 0


@settings(max_examples=60, deadline=None)
@given(grids, st.sampled_from([torch.uint8, torch.uint16]), st.integers(0, 999))
def test_matched_files_are_within_half_a_level_of_their_depth(shape, dtype, seed):
    height, width, rows, columns = shape
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.uniform(-1.2, 1.2, (1, 2, height, width))).float()
    lr = torch.from_numpy(rng.uniform(-1.2, 1.2, (1, 2, rows, columns))).float()
    levels = torch.iinfo(dtype).max
    picture = ops.match(x, lr, dtype=dtype)
    assert picture.dtype == dtype
    shrunk = mean_of_cells(picture[0].numpy(), rows, columns)
    wanted = (lr[0].double().clamp(-1, 1).numpy() + 1) * levels / 2  # black and white are limits
    assert np.abs(shrunk - wanted).max() <= 0.5 + levels * 1e-6


def test_half_a_level_is_that_of_the_depth():
    x, lr = hard_case()
    wanted = (lr[0].double().numpy() + 1) / 2
    coarse, fine = (ops.match(x, lr, dtype=kind)[0] for kind in (torch.uint8, torch.uint16))
    errors = [
        np.abs(mean_of_cells(picture.numpy(), 8, 8) / levels - wanted).max()
        for picture, levels in ((coarse, 255), (fine, 65535))
    ]
    assert errors[1] < errors[0] / 50
    with pytest.raises(ValueError, match=r'torch\.int16.*torch\.uint8, torch\.uint16'):
        ops.match(x, lr, dtype=torch.int16)


@settings(max_examples=60, deadline=None)
@given(grids, st.floats(0, 0.5, allow_subnormal=False), st.integers(0, 999))
def test_pixels_of_a_cell_go_the_same_share_of_their_way(shape, beyond, seed):
    height, width, rows, columns = shape
    rng = np.random.default_rng(seed)
    x = rng.uniform(-0.99, 0.99, (1, height, width))
    lr = rng.uniform(-0.99, 0.99, (1, rows, columns))
    moved = ops.shift_cells(torch.from_numpy(x)[None], torch.from_numpy(lr)[None], beyond)
    change = moved[0].numpy() - x
    share = np.where(change > 0, change / (1 - x), change / (1 + x))
    cells = share.reshape(rows, height // rows, columns, width // columns)
    assert np.ptp(cells, axis=(1, 3)).max() < 1e-9
    left = np.abs(mean_of_cells(x + change, rows, columns) - lr)
    distance = np.abs(mean_of_cells(x, rows, columns) - lr)
    np.testing.assert_allclose(left, np.minimum(distance, beyond), atol=1e-12)
