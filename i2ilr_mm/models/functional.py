"""Operations with derivatives of their own, where autograd's are slow or hold much memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

_twice_differentiable = False
_weight_gradients = True


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """Inside, :func:`conv2d` is made for a penalty on input gradients, such as R1."""
    global _twice_differentiable
    before, _twice_differentiable = _twice_differentiable, True
    try:
        yield
    finally:
        _twice_differentiable = before


def input_gradient(output: Tensor, image: Tensor) -> Tensor:
    """d output / d image with a graph, without the weight gradients that nobody asks for."""
    global _weight_gradients
    _weight_gradients = False
    try:
        return torch.autograd.grad(output, image, create_graph=True)[0]
    finally:
        _weight_gradients = True


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """``F.conv2d``; inside :func:`twice_differentiable` with a fast second derivative.

    PyTorch takes the weight gradient of the input gradient as a convolution with a kernel as large
    as the picture, which is slow everywhere. Source: the idea of conv2d_gradfix in StyleGAN2-ADA
    (Karras et al. 2020).
    """
    if not (_twice_differentiable and x.requires_grad and torch.is_grad_enabled()):
        return F.conv2d(x, weight, bias, stride, padding)
    y = _Conv2d.apply(x, weight, stride, padding)
    return y if bias is None else y + bias[:, None, None]


def _gradient(
    grad: Tensor, x: Tensor, weight: Tensor, options: tuple[int, int], of_weight: bool
) -> Tensor:
    stride, padding = options
    return torch.ops.aten.convolution_backward(
        *(grad, x, weight, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1),
        [not of_weight, of_weight, False],
    )[of_weight]


class _Conv2d(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.options = stride, padding
        return F.conv2d(x, weight, None, stride, padding)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x = _ConvInputGradient.apply(grad, weight, x.detach(), ctx.options)
        if ctx.needs_input_grad[1] and _weight_gradients:
            grad_weight = _gradient(grad, x, weight, ctx.options, of_weight=True)
        return grad_x, grad_weight, None, None


class _ConvInputGradient(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, grad: Tensor, weight: Tensor, x: Tensor, options: tuple[int, int]
    ) -> Tensor:
        ctx.save_for_backward(grad, weight)
        ctx.options = options
        return _gradient(grad, x, weight, options, of_weight=False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_grad: Tensor) -> tuple[Tensor | None, ...]:
        grad, weight = ctx.saved_tensors
        grad_output = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_output = F.conv2d(grad_grad, weight, None, *ctx.options)
        if ctx.needs_input_grad[1]:
            grad_weight = _gradient(grad, grad_grad, weight, ctx.options, of_weight=True)
        return grad_output, grad_weight, None, None


class DivideBySigma(torch.autograd.Function):
    """W / sigma with sigma = u^T W v, the vectors held fixed (Miyato et al. 2018, equation 12)."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, u: Tensor, v: Tensor) -> Tensor:
        sigma = torch.dot(u, torch.mv(weight.flatten(1), v))
        normalised = weight / sigma
        # Clones: the buffers may change before the backward pass needs these values.
        ctx.save_for_backward(normalised, u.clone(), v.clone(), sigma)
        return normalised

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        normalised, u, v, sigma = ctx.saved_tensors
        along = torch.dot(grad.flatten(), normalised.flatten())
        return ((grad.flatten(1) - torch.outer(along * u, v)) / sigma).view_as(grad), None, None


class PositionalNorm(torch.autograd.Function):
    """(x - mean) / std over the channels of each pixel, with mean and std (Li et al. 2019).

    The variance is the unbiased one, ``eps`` is added inside the root; sums are taken in float32 or
    better. Of the input nothing is kept: the result is enough for the derivative.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = values.mean(dim=1, keepdim=True)
        centred = values - mean
        variance = centred.square().sum(dim=1, keepdim=True) / (x.shape[1] - 1)
        std = (variance + eps).sqrt()
        normalised = centred.div_(std).to(x.dtype)
        ctx.save_for_backward(normalised, std)
        return normalised, mean, std

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad: Tensor, grad_mean: Tensor, grad_std: Tensor
    ) -> tuple[Tensor, None]:
        normalised, std = ctx.saved_tensors
        channels, dtype = normalised.shape[1], normalised.dtype
        normalised, grad = normalised.to(std.dtype), grad.to(std.dtype)
        along = (grad * normalised).sum(dim=1, keepdim=True)
        constant = grad_mean / channels - grad.mean(dim=1, keepdim=True) / std
        factor = (grad_std - along / std) / (channels - 1)
        result = torch.addcmul(constant, factor, normalised).addcdiv_(grad, std)
        return result.to(dtype), None
