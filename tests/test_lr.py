import numpy as np
import pytest
import torch
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
