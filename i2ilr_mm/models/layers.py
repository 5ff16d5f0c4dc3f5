"""Building blocks of the generator and the discriminator (I2I-LR, block diagrams)."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..lr import check_choice
from .functional import (
    AvgPool2,
    DivideBySigma,
    InstanceNorm,
    Modulate,
    PixelMap,
    PositionalNorm,
    conv2d,
)

SLOPE = 0.2
"""Slope of every leaky ReLU."""


def leaky_relu(x: Tensor, inplace: bool = False) -> Tensor:
    """In place only where nothing else needs ``x``: after convolutions and normalisations."""
    return F.leaky_relu(x, SLOPE, inplace)


def residual_sum(x: Tensor, shortcut: Tensor) -> Tensor:
    """(x + shortcut) / sqrt(2): the sum of two unit-variance branches keeps unit variance."""
    return (x + shortcut).mul_(math.sqrt(0.5))


def upsample(x: Tensor, factor: int = 2) -> Tensor:
    """Bilinear enlargement with aligned corners, as the published networks use it throughout."""
    return F.interpolate(x, scale_factor=factor, mode='bilinear', align_corners=True)


def pooling_matrix(size: int) -> Tensor:
    """The (k^2, (k + 1)^2) matrix that turns a k x k kernel into the mean of its four shifts."""
    kernels = torch.eye(size**2).view(-1, 1, size, size)
    return F.avg_pool2d(F.pad(kernels, (1, 1, 1, 1)), 2, stride=1).flatten(1)


def avg_pool(x: Tensor) -> Tensor:
    """Average over 2 x 2 pixels; H and W even."""
    return AvgPool2.apply(x)


class TrainedConv2d(nn.Module):
    """Base of convolutions that run with another weight than the trained one, ``weight_orig``.

    A pass of the network works it out anew, unless :func:`shared_weights` has done so for several.

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
            size = weight.shape[-1] + 1
            with torch.autocast(weight.device.type, enabled=False):
                weight = (weight.flatten(2) @ self.shifts).unflatten(-1, (size, size))
        return weight.contiguous(memory_format=self.memory_format)

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.kernel() if self.shared is None else self.shared
        return conv2d(x, kernel, self.bias, 2 if self.pool else 1, self.padding)

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

    def converge(self) -> None:
        """Estimate the singular vectors of a new weight, as PyTorch does."""
        for _ in range(15):
            self.power_iteration()

    @torch.no_grad()
    def power_iteration(self) -> None:
        """Improve the estimate of the singular vectors by one step."""
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
            'kaiming' draws the normal ones of He et al. 2015 (fan in) that were meant, 2.4 times as
            large, so that every step counts for as much less.

    Raises:
        ValueError: If ``init`` is unknown.
    """
    check_choice('init', init, INITS)
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
    for child in module.modules():
        if isinstance(child, TrainedConv2d):
            child.memory_format = torch.channels_last


@contextmanager
def shared_weights(module: nn.Module) -> Iterator[None]:
    """Work out every weight of ``module`` once for all forward passes inside the block.

    The passes share the graph of the weights, so that all backward passes but the last need
    ``retain_graph=True``.
    """
    convs = [child for child in module.modules() if isinstance(child, TrainedConv2d)]
    try:
        for conv in convs:
            conv.shared = conv.kernel()
        yield
    finally:
        for conv in convs:
            conv.shared = None


class PONO(nn.Module):
    """Positional normalisation (Li et al. 2019): over the channels, at every pixel.

    Returns the normalised features (B, C, H, W) with the mean and the standard deviation (both
    (B, 1, H, W)) that were taken out. The variance is the unbiased one.
    """

    eps = 1e-5

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return PositionalNorm.apply(x, self.eps)


class MomentShortcut(nn.Module):
    """Give encoder moments to decoder features, through a 3x3 conv (Li et al. 2019, dynamic MS)."""

    def __init__(self, conv: type[TrainedConv2d] = SNConv2d) -> None:
        super().__init__()
        self.conv = conv(2, 2)

    def forward(self, x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        # Side by side in memory: channels-last order, in which two channels convolve fast.
        moments = torch.cat([mean.movedim(1, -1), std.movedim(1, -1)], dim=-1).movedim(-1, 1)
        beta, gamma = self.conv(moments).chunk(2, dim=1)
        return Modulate.apply(x, gamma, beta)


class InstanceNorm2d(nn.Module):
    """Instance normalisation with a trained scale and shift per channel (Ulyanov et al. 2016)."""

    eps = 1e-5

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return InstanceNorm.apply(x, self.weight, self.bias, self.eps)


def deviation(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Standard deviation over the pixels, (B, C); by hand, as ``var`` is slow in channels-last."""
    centred = x - x.mean(dim=(2, 3), keepdim=True)
    return (centred.square().mean(dim=(2, 3)) + eps).sqrt()


class SPAdaIN(nn.Module):
    """Instance normalisation with a scale and a shift per pixel, read from the LR picture.

    Args:
        channels: Of the features.
        lr_channels: Of the LR picture.
        style_size: Numbers in a style code, which adds to scale and shift of whole channels; 0 is
            the published layer, without one.

    Source: Wang et al. 2020 (SPAdaIN), with 1x1 convs of the enlarged LR picture; Huang & Belongie
    2017, eq. 8, for the style.
    """

    eps = 1e-5

    def __init__(self, channels: int, lr_channels: int, style_size: int = 0) -> None:
        super().__init__()
        self.style = None
        if style_size:  # says nothing at first
            self.style = nn.Linear(style_size, 2 * channels)
            nn.init.zeros_(self.style.weight)
            nn.init.zeros_(self.style.bias)
        self.scale = nn.Conv2d(lr_channels, channels, 1)
        self.shift = nn.Conv2d(lr_channels, channels, 1)
        for conv in (self.scale, self.shift):
            nn.init.kaiming_normal_(conv.weight)
            nn.init.constant_(conv.bias, 0.0)  # type: ignore[arg-type]

    def forward(self, x: Tensor, lr: Tensor, style: Tensor | None = None) -> Tensor:
        scale, shift = (PixelMap.apply(lr, c.weight, c.bias) for c in (self.scale, self.shift))
        normal = InstanceNorm.apply(x, None, None, self.eps)
        if self.style is not None:
            more_scale, more_shift = self.style(style)[:, :, None, None].chunk(2, dim=1)
            scale, shift = scale + more_scale, shift + more_shift
        return torch.addcmul(shift, scale, normal)


class EncoderBlock(nn.Module):
    """Residual block of the encoder; returns features and the two pairs of PONO moments."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        downscale: bool,
        conv: type[TrainedConv2d] = SNConv2d,
    ) -> None:
        super().__init__()
        self.downscale = downscale
        self.norm1 = InstanceNorm2d(in_channels)
        self.conv1 = conv(in_channels, out_channels)
        self.norm2 = InstanceNorm2d(out_channels)
        self.conv2 = conv(out_channels, out_channels)
        self.shortcut = _shortcut(in_channels, out_channels, conv)
        self.pono = PONO()

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        # A 1x1 conv and an average commute; this way round the conv costs a quarter.
        shortcut = self.shortcut(avg_pool(x) if self.downscale else x)
        x, mean1, std1 = self.pono(self.conv1(leaky_relu(self.norm1(x), inplace=True)))
        if self.downscale:
            x = avg_pool(x)
        x, mean2, std2 = self.pono(self.conv2(leaky_relu(self.norm2(x), inplace=True)))
        return residual_sum(x, shortcut), (mean1, std1), (mean2, std2)


class DecoderBlock(nn.Module):
    """Residual block of the decoder, steered by the LR picture and the encoder's moments."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        upscale: bool,
        lr_channels: int,
        conv: type[TrainedConv2d] = SNConv2d,
        style_size: int = 0,
    ) -> None:
        super().__init__()
        self.upscale = upscale
        self.norm1 = SPAdaIN(in_channels, lr_channels, style_size)
        self.conv1 = conv(in_channels, out_channels)
        self.ms1 = MomentShortcut(conv)
        self.norm2 = SPAdaIN(out_channels, lr_channels, style_size)
        self.conv2 = conv(out_channels, out_channels)
        self.ms2 = MomentShortcut(conv)
        self.shortcut = _shortcut(in_channels, out_channels, conv)

    def forward(
        self,
        x: Tensor,
        lr: Tensor,
        first_moments: tuple[Tensor, Tensor],
        second_moments: tuple[Tensor, Tensor],
        style: Tensor | None = None,
    ) -> Tensor:
        shortcut = self.shortcut(x)
        # The encoder's second moments have this block's input size, its first the output size.
        x = leaky_relu(self.norm1(x, lr, style), inplace=True)
        x = self.ms1(self.conv1(x), *second_moments)
        if self.upscale:
            x, shortcut, lr = upsample(x), upsample(shortcut), upsample(lr)
        x = leaky_relu(self.norm2(x, lr, style), inplace=True)
        x = self.ms2(self.conv2(x), *first_moments)
        return residual_sum(x, shortcut)


class DiscriminatorBlock(nn.Module):
    """Residual block without normalisation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        downscale: bool,
        conv: type[TrainedConv2d] = SNConv2d,
    ) -> None:
        super().__init__()
        self.downscale = downscale
        self.conv1 = conv(in_channels, out_channels, pool=downscale)
        self.conv2 = conv(out_channels, out_channels)
        self.shortcut = _shortcut(in_channels, out_channels, conv)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.shortcut(avg_pool(x) if self.downscale else x)
        x = self.conv2(leaky_relu(self.conv1(leaky_relu(x)), inplace=True))
        return residual_sum(x, shortcut)


def _shortcut(in_channels: int, out_channels: int, conv: type[TrainedConv2d]) -> nn.Module:
    if in_channels == out_channels:
        return nn.Identity()
    return conv(in_channels, out_channels, kernel_size=1, bias=False)
