"""Derivatives against PyTorch's own, in float64."""

import pytest
import torch
import torch.nn.functional as F

from i2ilr_mm.models import functional


def r1_gradients(conv, x, weight, bias, options):
    """Gradients of a loss with an R1 term, through two convolutions."""
    x = x.clone().requires_grad_()
    y = F.leaky_relu(conv(x, weight, bias, *options), 0.2)
    output = conv(y, weight.flip(0).transpose(0, 1), None, 1, 1).square().sum()
    gradient = functional.input_gradient(output, x)
    (output + gradient.square().sum()).backward()
    result = [weight.grad, bias.grad, x.grad]
    weight.grad = bias.grad = None
    return result


@pytest.mark.parametrize('size, stride', [(3, 1), (4, 2), (1, 1)])
def test_second_derivative_of_conv2d(size, stride):
    torch.manual_seed(0)
    x = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    weight = torch.randn(5, 4, size, size, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(5, dtype=torch.float64, requires_grad=True)
    options = (stride, (size - 1) // 2)
    expected = r1_gradients(F.conv2d, x, weight, bias, options)
    with functional.twice_differentiable():
        actual = r1_gradients(functional.conv2d, x, weight, bias, options)
    for a, e in zip(actual, expected):
        assert torch.allclose(a, e, rtol=1e-10)


def test_r1_computes_no_weight_gradients_that_nobody_asks_for(monkeypatch):
    calls = []
    original = functional._gradient
    monkeypatch.setattr(
        functional,
        '_gradient',
        lambda *a, of_weight: calls.append(of_weight) or original(*a, of_weight),
    )
    x = torch.randn(1, 3, 4, 4, requires_grad=True)
    weight = torch.randn(2, 3, 3, 3, requires_grad=True)
    with functional.twice_differentiable():
        gradient = functional.input_gradient(functional.conv2d(x, weight, None, 1, 1).sum(), x)
    assert calls == [False]
    gradient.square().sum().backward()
    assert calls == [False, True]


def test_derivative_of_positional_norm():
    x = torch.randn(2, 5, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: functional.PositionalNorm.apply(x, 1e-5), x)


def test_derivative_of_the_normalised_weight():
    weight = torch.randn(4, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    u, v = (F.normalize(torch.randn(n, dtype=torch.float64), dim=0) for n in (4, 12))
    assert torch.autograd.gradcheck(lambda w: functional.DivideBySigma.apply(w, u, v), weight)
