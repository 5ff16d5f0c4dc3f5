"""The generator: a source picture and an LR target in, a picture out."""

import copy
import math
from collections.abc import Sequence
from itertools import pairwise
from numbers import Integral
from typing import Any

import torch
from mmagic.registry import MODELS
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..binding import network_input
from ..lr import UP_METHODS, check_choice, down
from .convolutions import SNConv2d, TrainedConv2d, convolution, init_weights
from .exact import ExactLR
from .layers import DecoderBlock, EncoderBlock, InstanceNorm2d, deviation, leaky_relu, upsample


def scale_steps(img_size: int, lr_size: int) -> int:
    """Number of times that ``img_size`` is halved on the way to ``lr_size``.

    Raises:
        ValueError: If img_size / lr_size is no power of two of at least 2, or lr_size < 4.
    """
    for name, value in (('img_size', img_size), ('lr_size', lr_size)):
        if not isinstance(value, Integral):
            raise ValueError(
                f'{name} is {value!r}; it must be a whole number of pixels, and where a config has '
                f'None, load_config and Runner.from_cfg put that of its top level'
            )
    # n = log2(H / s)
    ratio = img_size / lr_size if lr_size else 0.0
    steps = int(math.log2(ratio)) if ratio >= 2 else 0
    if lr_size < 4 or steps < 1 or lr_size * 2**steps != img_size:
        raise ValueError(
            f'img_size={img_size} with lr_size={lr_size} is not supported: img_size must be '
            f'lr_size times 2, 4, 8, ... and lr_size at least 4; for example '
            f'img_size={max(lr_size, 4) * 16} with lr_size={max(lr_size, 4)}'
        )
    return steps


def check_switches(owner: str, **switches: object) -> None:
    """Refuse switches that are neither True nor False, such as the text 'false'.

    Raises:
        ValueError: Naming the switch of ``owner``.
    """
    for name, value in switches.items():
        if not isinstance(value, bool):
            raise ValueError(f'{owner}.{name} is {value!r}; accepted are True and False')


def check_dial(
    img_size: int, lr_size: int, lr_sizes: Sequence[int], exact_lr: str | None, partial: bool
) -> None:
    """Refuse LR sizes that one network cannot serve, and targets that it could not bind in part.

    Raises:
        ValueError: If a size is no power of two from 4 to half the picture, or stands twice; if the
            usual one is not among them; or if the network does not end in an exact LR layer.
    """
    fits = [4 <= s <= img_size // 2 and s & (s - 1) == 0 and img_size % s == 0 for s in lr_sizes]
    if not lr_sizes or not all(fits) or len(set(lr_sizes)) < len(lr_sizes):
        raise ValueError(
            f'generator.lr_sizes is {list(lr_sizes)}; it takes different powers of two from 4 to '
            f'half the picture, {img_size // 2}, such as [4, 8, 16]'
        )
    if lr_size not in lr_sizes:
        raise ValueError(
            f'generator.lr_sizes is {list(lr_sizes)}, and lr_size is {lr_size}: that is the usual '
            f'size of LR targets, so add it to generator.lr_sizes, or set lr_size to one of them'
        )
    if exact_lr is None and (partial or len(lr_sizes) > 1):
        raise ValueError(
            'generator.lr_sizes and generator.partial need a generator that meets its targets by '
            "construction: set generator.exact_lr='bilinear'"
        )


def brought_to(lr: Tensor, own: int, size: int) -> Tensor:
    """LR pictures, ``own`` cells a picture's side, at ``size``: averaged, or enlarged."""
    if own > size:
        rows, columns = (n * size // own for n in lr.shape[-2:])
        return down(lr, (rows, columns))
    return upsample(lr, size // own) if own < size else lr


def style_code(x: Tensor) -> Tensor:
    """Mean and standard deviation of each channel: (B, C, h, w) to (B, 2C)."""
    # z = (mu, sigma) of the deepest features: AdaIN's style (Huang & Belongie 2017, eq. 8). The
    # larger eps bounds dsigma/dv = 1 / (2 sigma) by 500 for a channel that is constant.
    return torch.cat([x.mean(dim=(2, 3)), deviation(x, eps=1e-6)], dim=1)


@MODELS.register_module()
class I2ILRGenerator(nn.Module):
    """Generator of I2I-LR (arXiv 2107.11262).

    The encoder halves the source until it has the LR picture's size; the decoder doubles it back,
    every normalisation steered by the LR target (SPAdaIN), and takes the source's positional
    moments (PONO, moment shortcut) from the encoder block of the same size.

    Args:
        img_size: Side H of source and result, ``lr_size`` times a power of two.
        lr_size: Side s of the LR target, at least 4.
        base_channels: Width at full size; it doubles with each halving.
        max_channels: Largest width.
        init: Weights to start from, see :func:`i2ilr_mm.models.convolutions.init_weights`.
        with_cp: Activation checkpointing: keep only what goes in and out of the blocks, and compute
            the rest once more in the backward pass, to save memory.
        norm: Weight normalisation, 'spectral' as published or 'none', see
            :data:`i2ilr_mm.models.convolutions.NORMS`.
        exact_lr: End in an :class:`~i2ilr_mm.models.exact.ExactLR` layer whose correction has this
            shape ('nearest', 'bilinear' or 'bicubic'), so that down(result) is the LR target up to
            rounding; None is the published network.
        lr_method: The operator of the LR targets, see :func:`i2ilr_mm.lr.down`; only the exact
            layer asks for it.
        style: Also steer the decoder by a style code of the source, the mean and the standard
            deviation of each channel of the deepest features. It says what the source looks like
            wherever the target puts it; moments say what is at a place. False is the published
            network.
        lr_sizes: Sides of the LR targets that the network takes, powers of two from 4 to half the
            picture; None is ``lr_size`` alone. ``lr_size`` stays the size of the deepest features.
        partial: Also take targets with free cells, (B, 4, s, s), see :mod:`i2ilr_mm.binding`. False
            is the published network.

    Raises:
        ValueError: If the sizes are not supported, or a choice is unknown.

    Examples:
        >>> import torch
        >>> from i2ilr_mm.lr import down
        >>> generator = I2ILRGenerator(32, 8, base_channels=8, max_channels=16, exact_lr='bilinear')
        >>> lr = torch.zeros(2, 3, 8, 8)
        >>> result = generator(torch.rand(2, 3, 32, 32), lr)
        >>> result.shape, torch.allclose(down(result, 8), lr, atol=1e-5)
        (torch.Size([2, 3, 32, 32]), True)
    """

    def __init__(
        self,
        img_size: int,
        lr_size: int,
        base_channels: int = 64,
        max_channels: int = 512,
        init: str = 'pytorch',
        with_cp: bool = False,
        norm: str | None = 'spectral',
        exact_lr: str | None = None,
        lr_method: str = 'box',
        style: bool = False,
        lr_sizes: Sequence[int] | None = None,
        partial: bool = False,
    ) -> None:
        super().__init__()
        steps = scale_steps(img_size, lr_size)
        self.img_size, self.lr_size = img_size, lr_size
        check_switches('generator', with_cp=with_cp, style=style, partial=partial)
        self.with_cp, self.partial = with_cp, partial
        self.lr_sizes = (lr_size,) if lr_sizes is None else tuple(lr_sizes)
        if lr_sizes is not None or partial:
            check_dial(img_size, lr_size, self.lr_sizes, exact_lr, partial)
        # Widths of I2I-LR for H / s = 2^n:  64, 128, 256, 512, 512, ... down, and back by halves
        # from the widest, but not below 64.
        down = [min(base_channels * 2**i, max_channels) for i in range(steps + 1)]
        narrowest = min(base_channels, max_channels)
        up = [max(down[-1] // 2**i, narrowest) for i in range(steps + 1)]
        conv = convolution(norm)
        self.from_rgb = conv(3, down[0])
        self.encoder = nn.ModuleList(EncoderBlock(i, o, True, conv) for i, o in pairwise(down))
        self.encoder.append(EncoderBlock(down[-1], down[-1], False, conv))
        self.style = style
        fixed = (4 if partial else 3, conv, 2 * up[0] if style else 0)
        self.decoder = nn.ModuleList([DecoderBlock(up[0], up[0], False, *fixed)])
        self.decoder.extend(DecoderBlock(i, o, True, *fixed) for i, o in pairwise(up))
        self.to_rgb = ToRGB(up[-1], conv)
        init_weights(self, init)
        self.exact_lr, self.exact = exact_lr, None
        if exact_lr is not None:
            check_choice('exact_lr', exact_lr, UP_METHODS)
            self.exact = ExactLR(img_size, self.lr_sizes, lr_method, exact_lr)

    def forward(self, source: Tensor, lr: Tensor) -> Tensor:
        """Translate sources towards LR targets.

        Args:
            source: (B, 3, H, H) in [-1, 1].
            lr: (B, 3, s, s) in [-1, 1], s in ``lr_sizes``; with ``partial`` also (B, 4, s, s).

        Returns:
            (B, 3, H, H), about [-1, 1] but not clamped; float32 or better with ``exact_lr``.

        Raises:
            ValueError: If a shape is not the one the network was built for.
        """
        lr_size = self._lr_size_of(source, lr)
        # The exact layer wants the target as it came, not in another memory format.
        target, lr = lr, network_input(lr) if self.partial else lr
        if source.is_contiguous(memory_format=torch.channels_last) and not source.is_contiguous():
            lr = lr.contiguous(memory_format=torch.channels_last)
        x = self.from_rgb(source)
        moments = []
        for block in self.encoder:
            x, first, second = self._run(block, x)
            moments.append((first, second))
        style = style_code(x) if self.style else None
        for i, block in enumerate(self.decoder):
            # moments[-1 - i] are those of encoder block n - i, whose sizes are the same.
            x = self._run(block, x, *self._steering(lr, lr_size, i), *moments[-1 - i], style)
        x = self.to_rgb(x)
        return x if self.exact is None else self.exact(x, target)

    def _steering(self, lr: Tensor, lr_size: int, i: int) -> tuple[Tensor, Tensor]:
        """The LR pictures that steer decoder block i: at the size of its input, and its output."""
        # Block i works at s 2^(i-1) and, behind its enlargement, at s 2^i; block 0 at s alone.
        # A target of s x s is enlarged by 2^(i-1) in one go, then once more: with aligned corners,
        # two bilinear steps are not one, and checkpoints depend on which it was.
        size = self.lr_size * 2 ** max(i - 1, 0)
        coarse = brought_to(lr, lr_size, size)
        if i == 0:
            return coarse, coarse
        if lr_size > size:
            return coarse, brought_to(lr, lr_size, 2 * size)
        return coarse, upsample(coarse)

    def deploy(self) -> 'I2ILRGenerator':
        """A copy for inference, with plain convolutions that hold the normalised weights.

        Returns:
            The network in eval mode, without gradients; its outputs are those of this one.
        """
        # W / sigma and the pooled kernels are constants in eval mode; as plain weights they need no
        # custom autograd function, which exports and other backends do not know.
        network = copy.deepcopy(self).eval().requires_grad_(False)
        for module in list(network.modules()):
            for name, child in module.named_children():
                if isinstance(child, TrainedConv2d):
                    setattr(module, name, child.folded())
        return network

    def _run(self, block: nn.Module, *inputs: Any) -> Any:
        # No block draws random numbers, so their state need not be kept for the second pass.
        if self.with_cp and torch.is_grad_enabled():
            return checkpoint(block, *inputs, use_reentrant=False, preserve_rng_state=False)
        return block(*inputs)

    def _lr_size_of(self, source: Tensor, lr: Tensor) -> int:
        """The LR size whose cells the targets have; refuses what does not fit."""
        (height, width), (rows, columns) = source.shape[2:], lr.shape[2:]
        step = self.img_size // self.lr_size
        channels = source.shape[1] == 3 and lr.shape[1] in ((3, 4) if self.partial else (3,))
        divides = not (height % step or width % step or height % rows or width % columns)
        sizes = [s for s in self.lr_sizes if rows * self.img_size == s * height]
        square_cells = rows * width == columns * height
        if not (channels and divides and sizes and square_cells):
            size = self.img_size
            built = ' or '.join(f'(B, 3, {s}, {s})' for s in self.lr_sizes)
            raise ValueError(
                f'the generator got a source of shape {tuple(source.shape)} and an LR target of '
                f'{tuple(lr.shape)}; it was built for (B, 3, {size}, {size}) and {built}, or '
                f'multiples of {step} pixels with cells of that size: resize the pictures, or use '
                f'a model trained at that img_size and lr_size'
            )
        self._check_numbers(source, lr)
        return sizes[0]

    def _check_numbers(self, source: Tensor, lr: Tensor) -> None:
        if not (source.is_floating_point() and lr.is_floating_point()):
            raise ValueError(
                f'the generator got {source.dtype} and {lr.dtype}; it takes floats in [-1, 1]: use '
                f'i2ilr_mm.lr.from_uint8'
            )
        # Not by len(), which would fix the batch size of an export.
        if source.shape[0] != lr.shape[0]:
            raise ValueError(
                f'{len(source)} sources and {len(lr)} LR targets: one target per source is needed'
            )


class ToRGB(nn.Module):
    """Instance norm, leaky ReLU and a 1x1 conv to three channels; no tanh."""

    def __init__(self, channels: int, conv: type[TrainedConv2d] = SNConv2d) -> None:
        super().__init__()
        self.norm = InstanceNorm2d(channels)
        self.conv = conv(channels, 3, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(leaky_relu(self.norm(x)))
