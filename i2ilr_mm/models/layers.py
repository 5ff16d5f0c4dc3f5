"""Building blocks of the generator and the discriminator (I2I-LR, block diagrams)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .convolutions import SLOPE, SNConv2d, TrainedConv2d
from .functional import (
    AvgPool2,
    InstanceNorm,
    Modulate,
    PixelMap,
    PositionalNorm,
)

Conv = type[TrainedConv2d]
"""The kind of convolution that a block is made of."""


def leaky_relu(x: Tensor, inplace: bool = False) -> Tensor:
    """Leaky ReLU. Use ``inplace`` only where nothing else needs ``x``, such as after a norm."""
    return F.leaky_relu(x, SLOPE, inplace)


def residual_sum(x: Tensor, shortcut: Tensor) -> Tensor:
    """(x + shortcut) / sqrt(2): the sum of two unit-variance branches keeps unit variance."""
    # Var((x + s) / sqrt 2) = (1 + 1) / 2 = 1 for independent x and s.
    return (x + shortcut).mul_(math.sqrt(0.5))


def upsample(x: Tensor, factor: int = 2) -> Tensor:
    """Bilinear enlargement with aligned corners, as the published networks use it throughout."""
    # Pixel i of the result lies at i (n - 1) / (factor n - 1) of the n pixels: the ends coincide.
    return F.interpolate(x, scale_factor=factor, mode='bilinear', align_corners=True)


def avg_pool(x: Tensor) -> Tensor:
    """Average over 2 x 2 pixels; H and W even."""
    return AvgPool2.apply(x)


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

    def __init__(self, conv: Conv = SNConv2d) -> None:
        super().__init__()
        self.conv = conv(2, 2)

    def forward(self, x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        # y = gamma x + beta, (beta, gamma) = conv(m, s): a learned map brings back the moments that
        # PONO took out in the encoder (Li et al. 2019, dynamic moment shortcut).
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
    # s = (v + eps)^(1/2): ds/dv = 1 / (2 s) stays finite where a channel is constant.
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
        if style_size:
            # Zero weights: the layer starts as the published one.
            self.style = nn.Linear(style_size, 2 * channels)
            nn.init.zeros_(self.style.weight)
            nn.init.zeros_(self.style.bias)
        self.scale = nn.Conv2d(lr_channels, channels, 1)
        self.shift = nn.Conv2d(lr_channels, channels, 1)
        for conv in (self.scale, self.shift):
            nn.init.kaiming_normal_(conv.weight)
            nn.init.constant_(conv.bias, 0.0)  # type: ignore[arg-type]

    def forward(self, x: Tensor, lr: Tensor, style: Tensor | None = None) -> Tensor:
        # y[c, p] = scale[c, p] IN(x)[c, p] + shift[c, p], scale = W_s l + b_s, shift = W_b l + b_b,
        # with the LR picture l at x's size: SPADE's gamma and beta (Park et al. 2019), without its
        # "1 +". A style code z adds A z + a to both, the same at every pixel, as AdaIN does.
        scale, shift = (PixelMap.apply(lr, c.weight, c.bias) for c in (self.scale, self.shift))
        normal = InstanceNorm.apply(x, None, None, self.eps)
        if self.style is not None:
            more_scale, more_shift = self.style(style)[:, :, None, None].chunk(2, dim=1)
            scale, shift = scale + more_scale, shift + more_shift
        return torch.addcmul(shift, scale, normal)


class EncoderBlock(nn.Module):
    """Residual block of the encoder; returns features and the two pairs of PONO moments."""

    def __init__(
        self, in_channels: int, out_channels: int, downscale: bool, conv: Conv = SNConv2d
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
        # conv1x1 acts on channels, the average on pixels: W (A x) = A (W x), also with a bias, as
        # the weights of the average sum to 1. This way round the conv costs a quarter.
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
        conv: Conv = SNConv2d,
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
        fine_lr: Tensor,
        first_moments: tuple[Tensor, Tensor],
        second_moments: tuple[Tensor, Tensor],
        style: Tensor | None = None,
    ) -> Tensor:
        # The LR picture at the size of what comes in, and of what goes out.
        shortcut = self.shortcut(x)
        # The encoder's second moments have this block's input size, its first the output size.
        x = leaky_relu(self.norm1(x, lr, style), inplace=True)
        x = self.ms1(self.conv1(x), *second_moments)
        if self.upscale:
            x, shortcut = upsample(x), upsample(shortcut)
        x = leaky_relu(self.norm2(x, fine_lr, style), inplace=True)
        x = self.ms2(self.conv2(x), *first_moments)
        return residual_sum(x, shortcut)


class DiscriminatorBlock(nn.Module):
    """Residual block without normalisation."""

    def __init__(
        self, in_channels: int, out_channels: int, downscale: bool, conv: Conv = SNConv2d
    ) -> None:
        super().__init__()
        self.downscale = downscale
        self.conv1 = conv(in_channels, out_channels, pool=downscale)
        self.conv2 = conv(out_channels, out_channels)
        self.shortcut = _shortcut(in_channels, out_channels, conv)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.shortcut(avg_pool(x) if self.downscale else x)
        # The first ReLU is not in place: x is the shortcut, or its backward pass needs x.
        x = self.conv2(leaky_relu(self.conv1(leaky_relu(x)), inplace=True))
        return residual_sum(x, shortcut)


def _shortcut(in_channels: int, out_channels: int, conv: Conv) -> nn.Module:
    if in_channels == out_channels:
        return nn.Identity()
    return conv(in_channels, out_channels, kernel_size=1, bias=False)
