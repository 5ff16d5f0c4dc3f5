import copy

import pytest
import torch

from i2ilr_mm.lr import DOWN_METHODS, UP_METHODS, down, project, right_inverse, shrinking_matrix
from i2ilr_mm.models import I2ILRGenerator
from i2ilr_mm.models.exact import ExactLR

SIZES = [(8, 4), (64, 8), (128, 8), (128, 16), (256, 8), (48, 6), (80, 20), (64, 32)]


@pytest.mark.parametrize('method', DOWN_METHODS)
@pytest.mark.parametrize('up_method', UP_METHODS)
@pytest.mark.parametrize('img_size, lr_size', SIZES)
def test_the_result_shrinks_to_the_target(img_size, lr_size, method, up_method):
    torch.manual_seed(0)
    image, lr = torch.randn(2, 3, img_size, img_size), torch.rand(2, 3, lr_size, lr_size) * 2 - 1
    result = ExactLR(img_size, lr_size, method, up_method)(image, lr)
    assert result.dtype == torch.float32
    assert (down(result, lr_size, method) - lr).abs().max() < 1e-5
    expected = project(image.double(), lr.double(), method, up_method)
    assert (result - expected).abs().max() < 1e-5


@pytest.mark.parametrize('method', DOWN_METHODS)
@pytest.mark.parametrize('up_method', UP_METHODS)
def test_gradients_are_those_of_the_projection_in_float64(method, up_method):
    torch.manual_seed(0)
    image, lr, weight = torch.randn(2, 3, 32, 32), torch.randn(2, 3, 8, 8), torch.randn(3, 32, 32)
    grads = []
    for layer, dtype in (
        (lambda x, y: project(x, y, method, up_method), torch.float64),
        (ExactLR(32, 8, method, up_method), torch.float32),
    ):
        inputs = [t.to(dtype).requires_grad_() for t in (image, lr)]
        (layer(*inputs) * weight.to(dtype)).sum().backward()
        grads.append([t.grad for t in inputs])
    for expected, actual in zip(*grads):
        assert (actual - expected).abs().max() < 1e-4 * expected.abs().max()


def test_detail_is_what_the_lr_operator_cannot_see():
    layer, image = ExactLR(32, 8, 'box', 'bilinear'), torch.randn(2, 3, 32, 32)
    detail = layer.detail(image)
    assert down(detail, 8).abs().max() < 1e-5
    _, up = layer.matrices(8)
    shifted = image + up @ torch.randn(2, 3, 8, 8) @ up.T
    assert (layer.detail(shifted) - detail).abs().max() < 1e-5


@pytest.mark.parametrize('method', DOWN_METHODS)
def test_the_matrices_are_the_operator_and_its_right_inverse(method):
    image = torch.randn(1, 1, 64, 64, dtype=torch.float64)
    matrix = shrinking_matrix(64, 8, method)
    assert torch.allclose(matrix @ image @ matrix.T, down(image, 8, method), atol=1e-12)
    for up_method in UP_METHODS:
        unit = matrix @ right_inverse(64, 8, method, up_method)
        assert torch.allclose(unit, torch.eye(8, dtype=torch.float64), atol=1e-12)


def test_an_operator_without_inverse_is_refused_by_name(monkeypatch):
    blind = torch.zeros(8, 32, dtype=torch.float64)
    monkeypatch.setattr('i2ilr_mm.lr.shrinking_matrix', lambda *_: blind)
    right_inverse.cache_clear()
    with pytest.raises(ValueError, match="no correction of shape 'bicubic'.*'box' at 32 px"):
        right_inverse(32, 8, 'box', 'bicubic')
    right_inverse.cache_clear()


def build(exact_lr: str | None, **options) -> I2ILRGenerator:
    torch.manual_seed(0)
    return I2ILRGenerator(32, 8, 8, 16, exact_lr=exact_lr, **options)


@pytest.mark.parametrize('method', DOWN_METHODS)
def test_every_path_of_the_generator_is_exact(method):
    """In training, in eval mode, deployed, in channels-last order and under autocast."""
    generator = build('bilinear', lr_method=method)
    source, lr = torch.randn(2, 3, 32, 32), torch.rand(2, 3, 8, 8) * 2 - 1
    with torch.autocast('cpu', dtype=torch.bfloat16):
        autocast = generator(source, lr)
    results = dict(
        train=generator.train()(source, lr),
        eval=generator.eval()(source, lr),
        deployed=generator.deploy()(source, lr),
        copied=copy.deepcopy(generator)(source, lr),
        channels_last=generator(source.contiguous(memory_format=torch.channels_last), lr),
        autocast=autocast,
    )
    for name, result in results.items():
        assert result.dtype == torch.float32, name
        assert (down(result, 8, method) - lr).abs().max() < 1e-5, name


def test_without_it_the_network_is_the_published_one():
    """The same names in checkpoints, and with it the projection of the same result."""
    plain, exact = build(None), build('bilinear')
    assert plain.state_dict().keys() == exact.state_dict().keys()
    source, lr = torch.randn(2, 3, 32, 32), torch.randn(2, 3, 8, 8)
    expected = project(plain(source, lr), lr, 'box', 'bilinear')
    assert torch.allclose(exact(source, lr), expected, atol=1e-5)
    assert (down(plain(source, lr), 8) - lr).abs().max() > 0.1


def test_unknown_shapes_are_refused():
    with pytest.raises(ValueError, match="exact_lr is 'cubic'; accepted are nearest, bilinear"):
        build('cubic')
    with pytest.raises(ValueError, match="method is 'lanczos'"):
        build('bilinear', lr_method='lanczos')
