"""Operations with derivatives of their own, where autograd's are slow or hold much memory."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def input_gradient(output: Tensor, image: Tensor) -> Tensor:
    """d output / d image with a graph, without the weight gradients that nobody asks for."""
    # R1 needs g = dL/dx as a function of the weights, and no dL/dW. ctx.needs_input_grad does not
    # tell the two apart: it says that W requires a gradient, not that this pass is asked for one.
    convs: list[Any] = [n for n in _graph(output) if isinstance(n, _Conv2d._backward_cls)]
    for conv in convs:
        conv.wrt_weight = False
    try:
        return torch.autograd.grad(output, image, create_graph=True)[0]
    finally:
        for conv in convs:
            conv.wrt_weight = True


def _graph(output: Tensor) -> set[Any]:
    """The nodes of the graph behind ``output``."""
    seen: set[Any] = {None}
    todo: list[Any] = [output.grad_fn]
    while todo:
        if (node := todo.pop()) not in seen:
            seen.add(node)
            todo.extend(before for before, _ in node.next_functions)
    return seen


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: int,
    padding: int,
    twice_differentiable: bool = False,
) -> Tensor:
    """``F.conv2d``; on request with a fast second derivative, for a penalty such as R1.

    PyTorch takes the weight gradient of the input gradient as a convolution with a kernel as large
    as the picture, which is slow everywhere. Source: the idea of conv2d_gradfix in StyleGAN2-ADA
    (Karras et al. 2020).
    """
    if not (twice_differentiable and x.requires_grad and torch.is_grad_enabled()):
        return F.conv2d(x, weight, bias, stride, padding)
    y = _Conv2d.apply(x, weight, stride, padding)
    return y if bias is None else y + bias[:, None, None]


def _gradient(
    grad: Tensor, x: Tensor, weight: Tensor, options: tuple[int, int], wrt_weight: bool
) -> Tensor:
    stride, padding = options
    return torch.ops.aten.convolution_backward(
        *(grad, x, weight, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1),
        [not wrt_weight, wrt_weight, False],
    )[wrt_weight]


class _Conv2d(torch.autograd.Function):
    # y[o, p] = sum_{c, k} W[o, c, k] x[c, s p + k - padding], with stride s; that is y = A(W) x.
    # With g = dL/dy:
    #   dL/dx          = A(W)^T g                                        a transposed convolution
    #   dL/dW[o, c, k] = sum_{b, p} g[b, o, p] x[b, c, s p + k - padding]          =: B(g, x)
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.options = stride, padding
        ctx.wrt_weight = True
        return F.conv2d(x, weight, None, stride, padding)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            # Linear in g and in W, and free of x, of which only the shape is used: hence detached.
            grad_x = _ConvInputGradient.apply(grad, weight, x.detach(), ctx.options)
        if ctx.needs_input_grad[1] and ctx.wrt_weight:
            grad_weight = _gradient(grad, x, weight, ctx.options, wrt_weight=True)
        return grad_x, grad_weight, None, None


class _ConvInputGradient(torch.autograd.Function):
    # h = A(W)^T g. For a loss R of h, such as R1, with q = dR/dh:
    #   <q, h> = <q, A(W)^T g> = <A(W) q, g>
    # so that q stands where x stood in the first pass:
    #   dR/dg = A(W) q          a plain convolution
    #   dR/dW = B(g, q)         the weight gradient of a plain convolution, with a small kernel
    @staticmethod
    def forward(
        ctx: Any, grad: Tensor, weight: Tensor, x: Tensor, options: tuple[int, int]
    ) -> Tensor:
        ctx.save_for_backward(grad, weight)
        ctx.options = options
        return _gradient(grad, x, weight, options, wrt_weight=False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_grad: Tensor) -> tuple[Tensor | None, ...]:
        grad, weight = ctx.saved_tensors
        grad_output = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_output = F.conv2d(grad_grad, weight, None, *ctx.options)
        if ctx.needs_input_grad[1]:
            grad_weight = _gradient(grad, grad_grad, weight, ctx.options, wrt_weight=True)
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
        # N = W / sigma, and d sigma / dW = u v^T while u and v stand still. With G = dL/dN:
        #   dL/dW = (G - <G, N> u v^T) / sigma           <G, N> is lambda in Miyato et al. 2018
        # W itself is not kept: N takes its place in the scalar product.
        normalised, u, v, sigma = ctx.saved_tensors
        along = torch.dot(grad.flatten(), normalised.flatten())
        return ((grad.flatten(1) - torch.outer(along * u, v)) / sigma).view_as(grad), None, None


def _channel_sum(x: Tensor) -> Tensor:
    """Sum over the channels of each pixel, (B, 1, H, W)."""
    if x.is_contiguous() or not x.is_contiguous(memory_format=torch.channels_last):
        return x.sum(dim=1, keepdim=True)
    # In channels-last order this is a matrix-vector product, twice as fast as a reduction.
    rows = x.permute(0, 2, 3, 1)
    return (rows @ rows.new_ones(x.shape[1], 1)).permute(0, 3, 1, 2)


class InstanceNorm(torch.autograd.Function):
    """y = weight * (x - mean) / std + bias over the pixels of each sample and channel.

    The variance is the biased one, ``eps`` is added inside the root; sums are taken in float32 or
    better. ``weight`` and ``bias`` (C,) may be None. Works in either memory format; PyTorch's own
    are slow in channels-last order, forwards (instance norm) or backwards (group norm).
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> Tensor:
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        normal = values - values.mean(dim=(2, 3), keepdim=True)
        rstd = (normal.square().mean(dim=(2, 3), keepdim=True) + eps).rsqrt()
        normal = normal.mul_(rstd).to(x.dtype)
        ctx.save_for_backward(normal, rstd, weight)
        if weight is None or bias is None:
            return normal
        return torch.addcmul(_per_channel(bias), normal, _per_channel(weight)).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        # n = (x - m) r,  r = (v + eps)^(-1/2),  m = mean(x),  v = mean((x - m)^2),  y = w n + b.
        # The means run over the P pixels of a sample's channel.
        #   dn_j/dx_i = r (delta_ij - 1/P - n_i n_j / P)
        # so with g = dL/dy, exactly for every eps:
        #   dL/dx = w r (g - mean(g) - n mean(g n))
        #   dL/dw = sum(g n)        dL/db = sum(g)          over samples and pixels
        normal, rstd, weight = ctx.saved_tensors
        dtype, pixels = normal.dtype, normal.shape[2] * normal.shape[3]
        normal, grad = normal.to(rstd.dtype), grad.to(rstd.dtype)
        total = grad.sum(dim=(2, 3), keepdim=True)
        along = (grad * normal).sum(dim=(2, 3), keepdim=True)
        scale = rstd if weight is None else rstd * _per_channel(weight)
        result = torch.addcmul(grad, normal, along, value=-1 / pixels)
        result = torch.addcmul(total * scale / -pixels, result, scale).to(dtype)
        if weight is None:
            return result, None, None, None
        return result, along.sum(dim=(0, 2, 3)), total.sum(dim=(0, 2, 3)), None


def _per_channel(vector: Tensor) -> Tensor:
    return vector.view(1, -1, 1, 1)


class PositionalNorm(torch.autograd.Function):
    """(x - mean) / std over the channels of each pixel, with mean and std (Li et al. 2019).

    The variance is the unbiased one, ``eps`` is added inside the root; sums are taken in float32 or
    better. Of the input nothing is kept: the result is enough for the derivative.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = _channel_sum(values) / x.shape[1]
        centred = values - mean
        variance = _channel_sum(centred.square()) / (x.shape[1] - 1)
        std = (variance + eps).sqrt()
        normalised = centred.div_(std).to(x.dtype)
        ctx.save_for_backward(normalised, std)
        return normalised, mean, std

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad: Tensor, grad_mean: Tensor, grad_std: Tensor
    ) -> tuple[Tensor, None]:
        # n = (x - m) / s,  s = (v + eps)^(1/2),  v = sum((x - m)^2) / (C - 1), over the C channels
        # of a pixel. All three are outputs: Li et al. 2019 hand m (beta) and s (gamma) to the
        # decoder.
        #   dm/dx_i   = 1 / C
        #   ds/dx_i   = n_i / (C - 1)
        #   dn_j/dx_i = (delta_ij - 1 / C) / s - n_i n_j / ((C - 1) s)
        # so with g = dL/dn:
        #   dL/dx = (g - mean(g)) / s + dL/dm / C + n (dL/ds - sum(g n) / s) / (C - 1)
        normalised, std = ctx.saved_tensors
        channels, dtype = normalised.shape[1], normalised.dtype
        normalised, grad = normalised.to(std.dtype), grad.to(std.dtype)
        along = _channel_sum(grad * normalised)
        constant = grad_mean / channels - _channel_sum(grad) / (channels * std)
        factor = (grad_std - along / std) / (channels - 1)
        # Not by addcmul and addcdiv, which are slow on maps that are spread over the channels.
        result = (normalised * factor).add_(constant).add_(grad / std)
        return result.to(dtype), None


class Modulate(torch.autograd.Function):
    """x * gamma + beta with maps (B, 1, H, W) for all channels."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        ctx.save_for_backward(x, gamma)
        return (x * gamma).add_(beta)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # y = gamma x + beta, one gamma and one beta per pixel:
        #   dL/dx = gamma g        dL/dgamma = sum_c g x        dL/dbeta = sum_c g
        x, gamma = ctx.saved_tensors
        return grad * gamma, _channel_sum(grad * x), _channel_sum(grad)


class PixelMap(torch.autograd.Function):
    """A 1x1 convolution with few input channels, whose weight gradient is a fast product."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        # y[o, p] = sum_c W[o, c] x[c, p] + b[o], so with g = dL/dy:
        #   dL/dx[c, p] = sum_o W[o, c] g[o, p]
        #   dL/dW[o, c] = sum_p g[o, p] x[c, p]        dL/db[o] = sum_p g[o, p]        all samples
        x, weight = ctx.saved_tensors
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = F.conv2d(grad, weight.to(grad.dtype).transpose(0, 1)).to(x.dtype)
        # (3, pixels) @ (pixels, C): this way round BLAS takes a quarter of the time.
        pairs = x.to(grad.dtype).flatten(2) @ grad.flatten(2).transpose(1, 2)
        grad_weight = pairs.sum(dim=0).T.reshape(weight.shape).to(weight.dtype)
        return grad_x, grad_weight, grad.sum(dim=(0, 2, 3)).to(weight.dtype)


class AvgPool2(torch.autograd.Function):
    """Average over 2 x 2 pixels, sides even; twice differentiable, fast in channels-last order."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        rows = x[:, :, ::2] + x[:, :, 1::2]
        return (rows[..., ::2] + rows[..., 1::2]).mul_(0.25)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        # y = A x and dL/dx = A^T g; the derivative of A^T is A again, for R1's second pass.
        return _Spread2.apply(grad)


class _Spread2(torch.autograd.Function):
    """A quarter of every pixel to each of 2 x 2: the adjoint of :class:`AvgPool2`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return F.interpolate(x * 0.25, scale_factor=2, mode='nearest')

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return AvgPool2.apply(grad)
