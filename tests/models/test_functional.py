"""Derivatives against PyTorch's own, in float64."""

import threading
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from i2ilr_mm.models import functional

TWICE = partial(functional.conv2d, twice_differentiable=True)


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
    actual = r1_gradients(TWICE, x, weight, bias, options)
    for a, e in zip(actual, expected):
        assert torch.allclose(a, e, rtol=1e-10)


def test_r1_computes_no_weight_gradients_that_nobody_asks_for(monkeypatch):
    calls = []
    original = functional._gradient
    monkeypatch.setattr(
        functional,
        '_gradient',
        lambda *a, wrt_weight: calls.append(wrt_weight) or original(*a, wrt_weight),
    )
    x = torch.randn(1, 3, 4, 4, requires_grad=True)
    weight = torch.randn(2, 3, 3, 3, requires_grad=True)
    output = TWICE(x, weight, None, 1, 1).sum()
    gradient = functional.input_gradient(output, x)
    assert calls == [False]
    gradient.square().sum().backward()
    assert calls == [False, True]


def test_only_the_graph_of_a_penalty_goes_without_weight_gradients():
    """Another thread goes back through another graph while R1's is under way."""

    def graph(gradient_hook=None):
        x = torch.randn(1, 3, 4, 4, requires_grad=True)
        weight = torch.randn(3, 3, 3, 3, requires_grad=True)
        hidden = TWICE(x, weight, None, 1, 1)
        if gradient_hook:
            hidden.register_hook(gradient_hook)
        return x, weight, TWICE(hidden, weight, None, 1, 1).square().sum()

    def in_a_thread(_):
        thread = threading.Thread(target=other.backward)
        thread.start()
        thread.join()

    _, other_weight, other = graph()
    expected = torch.autograd.grad(other, other_weight, retain_graph=True)[0]
    x, _, output = graph(in_a_thread)
    functional.input_gradient(output, x)
    assert torch.equal(other_weight.grad, expected)


def test_derivative_of_positional_norm():
    x = torch.randn(2, 5, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: functional.PositionalNorm.apply(x, 1e-5), x)


def test_derivative_of_the_normalised_weight():
    weight = torch.randn(4, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    u, v = (F.normalize(torch.randn(n, dtype=torch.float64), dim=0) for n in (4, 12))
    assert torch.autograd.gradcheck(lambda w: functional.DivideBySigma.apply(w, u, v), weight)


ORDERS = pytest.mark.parametrize('order', [torch.contiguous_format, torch.channels_last])


def values(*shape: int, order=torch.contiguous_format) -> torch.Tensor:
    x = torch.randn(*shape, dtype=torch.float64)
    return (x.contiguous(memory_format=order) if x.ndim == 4 else x).requires_grad_()


@ORDERS
def test_derivatives_by_hand(order):
    """Of every operation, in both memory formats."""
    torch.manual_seed(0)
    x, maps = values(2, 5, 4, 4, order=order), [values(2, 1, 4, 4) for _ in range(2)]
    weight, bias = values(5), values(5)
    check = torch.autograd.gradcheck
    assert check(lambda *a: functional.InstanceNorm.apply(*a, 1e-5), (x, weight, bias))
    assert check(lambda x: functional.InstanceNorm.apply(x, None, None, 1e-5), x)
    assert check(lambda x: functional.PositionalNorm.apply(x, 1e-5), x)
    assert check(functional.Modulate.apply, (x, *maps))
    lr = values(2, 3, 4, 4, order=order)
    assert check(functional.PixelMap.apply, (lr, values(5, 3, 1, 1), bias))
    assert check(functional.AvgPool2.apply, x)
    assert torch.autograd.gradgradcheck(functional.AvgPool2.apply, x)


@ORDERS
def test_operations_are_what_pytorch_computes_otherwise(order):
    torch.manual_seed(0)
    with torch.no_grad():
        x, (gamma, beta) = values(2, 5, 4, 4, order=order), torch.randn(2, 2, 1, 4, 4).double()
        assert torch.allclose(functional.AvgPool2.apply(x), F.avg_pool2d(x, 2))
        assert torch.allclose(functional.Modulate.apply(x, gamma, beta), x * gamma + beta)
        weight, bias = torch.randn(6, 5, 1, 1).double(), torch.randn(6).double()
        mapped = functional.PixelMap.apply(x, weight, bias)
        assert torch.allclose(mapped, F.conv2d(x, weight, bias))
        normal = functional.InstanceNorm.apply(x, None, None, 1e-5)
        assert torch.allclose(normal, F.instance_norm(x))
        for result in (functional.AvgPool2.apply(x), mapped, normal):
            assert result.is_contiguous(memory_format=order)
