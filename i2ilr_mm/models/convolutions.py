"""Convolutions that run with another weight than the trained one: normalised, scaled, pooled."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from ..lr import check_choice
from .functional import DivideBySigma, conv2d

SLOPE = 0.2
"""Slope of every leaky ReLU."""


def pooling_matrix(size: int) -> Tensor:
    """The (k^2, (k + 1)^2) matrix that turns a k x k kernel into the mean of its four shifts."""
    # avg2(w * x)[p] = 1/4 sum_{a in {0, 1}^2} sum_k w[k] x[2 p + a + k - padding]
    #                = sum_j w2[j] x[2 p + j - padding],    w2[j] = 1/4 sum_a w[j - a]
    # Exact at the borders too, as both read the same zeros. Padded by one, w gives w2 as the mean
    # over 2 x 2 windows; a unit kernel each gives the rows of the matrix.
    kernels = torch.eye(size**2).view(-1, 1, size, size)
    return F.avg_pool2d(F.pad(kernels, (1, 1, 1, 1)), 2, stride=1).flatten(1)


class TrainedConv2d(nn.Module):
    """Base of convolutions that run with another weight than the trained one, ``weight_orig``.

    Every pass of the network computes it again, except inside :func:`shared_weights`.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Side of the kernel, with zero padding of (side - 1) // 2 unless given.
        padding: Zero padding.
        bias: Whether there is a bias, zero at the start.
        pool: Average the output over 2 x 2 pixels. It is done by one convolution of stride 2, whose
            kernel is the mean of the four shifted ones: 16 multiply-adds in place of 36 for 3 x 3.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        padding: int | None = None,
        bias: bool = True,
        pool: bool = False,
    ) -> None:
        super().__init__()
        self.pool = pool
        self.shared: Tensor | None = None
        self.twice_differentiable = False
        self.memory_format = torch.contiguous_format
        self.padding = (kernel_size - 1) // 2 if padding is None else padding
        self.weight_orig = nn.Parameter(
            torch.empty(out_channels, in_channels, kernel_size, kernel_size)
        )
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        if pool:
            self.register_buffer('shifts', pooling_matrix(kernel_size), persistent=False)

    shifts: Tensor

    def weight(self) -> Tensor:
        """The weight that is used, (out, in, k, k), float32 under autocast too."""
        raise NotImplementedError

    def kernel(self) -> Tensor:
        """What the convolution runs with: :meth:`weight`, with ``pool`` one size larger."""
        weight = self.weight()
        if self.pool:
            # The kernel of the pooled convolution is made from W / sigma(W): W's own singular
            # value, as published, not that of the larger kernel.
            size = weight.shape[-1] + 1
            with torch.autocast(weight.device.type, enabled=False):
                weight = (weight.flatten(2) @ self.shifts).unflatten(-1, (size, size))
        return weight.contiguous(memory_format=self.memory_format)

    def forward(self, x: Tensor) -> Tensor:
        shared = self.shared  # read once: another thread may be leaving the block
        kernel = self.kernel() if shared is None else shared
        stride = 2 if self.pool else 1
        return conv2d(x, kernel, self.bias, stride, self.padding, self.twice_differentiable)

    @torch.no_grad()
    def folded(self) -> nn.Conv2d:
        """A plain convolution with the same result."""
        kernel = self.kernel()
        conv = nn.utils.skip_init(
            nn.Conv2d,
            kernel.shape[1],
            kernel.shape[0],
            kernel.shape[-1],
            stride=2 if self.pool else 1,
            padding=self.padding,
            bias=self.bias is not None,
            device=kernel.device,
            dtype=kernel.dtype,
        )
        conv.weight.copy_(kernel)
        if self.bias is not None:
            conv.bias.copy_(self.bias)  # type: ignore[union-attr]
        return conv.requires_grad_(False)


class SNConv2d(TrainedConv2d):
    """Convolution whose weight is divided by an estimate of its largest singular value.

    Spectral normalisation (Miyato et al. 2018) with the same numbers and state names as
    ``torch.nn.utils.spectral_norm``, but the power iteration is a call of its own
    (:func:`power_iteration`): one per training step however often the network runs, and a forward
    pass never changes the buffers. Inside :func:`shared_weights` the division is done once, too.
    Arguments are those of :class:`TrainedConv2d`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The published networks train from PyTorch's default weights, with zero bias.
        nn.init.kaiming_uniform_(self.weight_orig, a=math.sqrt(5))
        rows, columns = self.weight_orig.flatten(1).shape
        self.register_buffer('weight_u', F.normalize(torch.randn(rows), dim=0))
        self.register_buffer('weight_v', F.normalize(torch.randn(columns), dim=0))
        self.converge()

    weight_u: Tensor
    weight_v: Tensor
    frozen = False
    """Stop the power iteration; then schedules that iterate at other times give equal numbers."""

    def converge(self) -> None:
        """Estimate the singular vectors of a new weight, as PyTorch does."""
        if isinstance(self.weight_orig, FakeTensor):  # the cost forecast's, which has no values
            return
        # The error of the direction shrinks by (sigma_2 / sigma_1)^2 an iteration.
        for _ in range(15):
            self.power_iteration()

    @torch.no_grad()
    def power_iteration(self) -> None:
        """Improve the estimate of the singular vectors by one step."""
        if self.frozen:
            return
        # Miyato et al. 2018, algorithm 1, with W as a matrix (out, in k k):
        #   v <- W^T u / |W^T u|        u <- W v / |W v|        sigma = u^T W v
        # In place, as compiled graphs refer to these tensors.
        matrix = self.weight_orig.flatten(1)
        self.weight_v.copy_(F.normalize(matrix.T @ self.weight_u, dim=0, eps=1e-12))
        self.weight_u.copy_(F.normalize(matrix @ self.weight_v, dim=0, eps=1e-12))

    def weight(self) -> Tensor:
        """The normalised weight, (out, in, k, k); computed in float32 under autocast too."""
        with torch.autocast(self.weight_orig.device.type, enabled=False):
            return DivideBySigma.apply(self.weight_orig, self.weight_u, self.weight_v)


class EqualConv2d(TrainedConv2d):
    """Convolution with an equalised learning rate: N(0, 1) weights, scaled as the network runs.

    The factor sqrt(2 / (1 + slope^2) / fan_in) keeps the variance behind a leaky ReLU (He et al.
    2015), and Adam's steps are as large a share of every weight. Source: Karras et al. 2018,
    Progressive Growing of GANs, section 4.1. Arguments are those of :class:`TrainedConv2d`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # For a = leaky_relu(z) with symmetric z:  E a^2 = (1 + slope^2) / 2 Var z, and so
        #   Var z' = fan_in gain^2 E a^2 = Var z        if gain^2 = 2 / ((1 + slope^2) fan_in)
        # (He et al. 2015, section 2.2).
        nn.init.normal_(self.weight_orig)
        self.gain = math.sqrt(2 / (1 + SLOPE**2) / self.weight_orig[0].numel())

    def weight(self) -> Tensor:
        """The scaled weight, (out, in, k, k), float32 under autocast too."""
        return self.weight_orig * self.gain


NORMS: dict[str, type[TrainedConv2d]] = dict(spectral=SNConv2d, none=EqualConv2d)
"""Weight normalisations: 'spectral' as published, or 'none', with equalised learning rates."""


def convolution(norm: str | None) -> type[TrainedConv2d]:
    """The kind of convolution that a network is made of.

    Args:
        norm: A name in :data:`NORMS`; None, as the command line reads "none", is 'none'.

    Raises:
        ValueError: If ``norm`` is unknown.
    """
    name = 'none' if norm is None else norm
    check_choice('norm', name, tuple(NORMS))
    return NORMS[name]


INITS = ('pytorch', 'kaiming')


def init_weights(network: nn.Module, init: str) -> None:
    """Draw the spectrally normalised weights of a new network.

    As their scale cancels, it only sets how far a step of Adam turns them.

    Args:
        network: G or D.
        init: 'pytorch' keeps the default weights that the published networks really train from;
            'kaiming' draws the normal weights of He et al. 2015 (fan in) that the published code
            meant. They are 2.4 times as large, so a step changes the network that much less.

    Raises:
        ValueError: If ``init`` is unknown.
    """
    check_choice('init', init, INITS)
    # W / sigma(W) is the same for c W. Adam moves each weight by about lr whatever the gradient's
    # size, so the weight turns by about lr / rms(W): a large start learns slowly.
    #   pytorch:  uniform with Var = 1 / (3 fan_in)        kaiming:  normal with Var = 2 / fan_in
    # The ratio of their deviations is sqrt(6) = 2.4.
    for conv in network.modules():
        if init == 'kaiming' and isinstance(conv, SNConv2d):
            nn.init.kaiming_normal_(conv.weight_orig)
            conv.converge()


def power_iteration(module: nn.Module) -> None:
    """Run one power iteration for every spectrally normalised weight of ``module``."""
    for child in module.modules():
        if isinstance(child, SNConv2d):
            child.power_iteration()


def use_channels_last(module: nn.Module) -> None:
    """Let every convolution of ``module`` make its weights in the order of its pictures, once."""
    for conv in _convolutions(module):
        conv.memory_format = torch.channels_last


@contextmanager
def shared_weights(module: nn.Module) -> Iterator[None]:
    """Work out every weight of ``module`` once for all forward passes inside the block.

    The passes share the graph of the weights, so that all backward passes but the last need
    ``retain_graph=True``. A block inside of another one uses the outer one's weights.
    """
    # With N = N(W) worked out once, dL/dW = dN/dW^T (dL1/dN + dL2/dN + ...): linear, so the passes'
    # gradients may come one backward pass after another.
    # A block ends what it began, and no more: those of two threads may end in any order.
    convs = [conv for conv in _convolutions(module) if conv.shared is None]
    try:
        for conv in convs:
            conv.shared = conv.kernel()
        yield
    finally:
        for conv in convs:
            conv.shared = None


@contextmanager
def twice_differentiable(module: nn.Module) -> Iterator[None]:
    """Make the graphs of forward passes inside the block for a penalty on input gradients."""
    convs = [conv for conv in _convolutions(module) if not conv.twice_differentiable]
    try:
        for conv in convs:
            conv.twice_differentiable = True
        yield
    finally:
        for conv in convs:
            conv.twice_differentiable = False


def _convolutions(module: nn.Module) -> Iterator[TrainedConv2d]:
    return (child for child in module.modules() if isinstance(child, TrainedConv2d))
