"""The discriminator: an image and its LR residual in, a map of logits out."""

from itertools import pairwise

import torch
from mmagic.registry import MODELS
from torch import Tensor, nn

from .convolutions import convolution, init_weights
from .generator import scale_steps
from .layers import DiscriminatorBlock, leaky_relu


@MODELS.register_module()
class LRResidualDiscriminator(nn.Module):
    """Discriminator of I2I-LR (arXiv 2107.11262).

    It never sees the LR picture: it judges the image together with the residual map
    (:func:`i2ilr_mm.lr.residual`), which joins the features once they have the LR picture's size.

    Args:
        img_size: Side H of the image, ``lr_size`` times a power of two.
        lr_size: Side s of the LR picture, at least 4.
        base_channels: Width at full size; None takes the published 2^14 / H.
        max_channels: Largest width.
        init: Weights to start from, see :func:`i2ilr_mm.models.convolutions.init_weights`.
        norm: Weight normalisation, 'spectral' as published or 'none' with equalised learning
            rates, see :data:`i2ilr_mm.models.convolutions.NORMS`.
        residual: Whether the residual map joins the features, as published. Fakes of a generator
            with ``exact_lr`` have none: it is zero for all, and False saves it.

    Raises:
        ValueError: If img_size and lr_size are not supported, or init or norm is unknown.
    """

    def __init__(
        self,
        img_size: int,
        lr_size: int,
        base_channels: int | None = None,
        max_channels: int = 512,
        init: str = 'pytorch',
        norm: str | None = 'spectral',
        residual: bool = True,
    ) -> None:
        super().__init__()
        steps = scale_steps(img_size, lr_size)
        self.img_size, self.lr_size = img_size, lr_size
        # Published width: 2^14 / H at full size, 128 channels for H = 128. Features and pixels
        # together are 2^14 H numbers, so that memory grows with the side, not with the area.
        first = base_channels or max(2**14 // img_size, 1)
        widths = [min(first * 2**i, max_channels) for i in range(steps + 1)]

        self.residual = residual
        conv = convolution(norm)
        self.from_rgb = conv(3, widths[0])
        self.blocks = nn.ModuleList(
            DiscriminatorBlock(i, o, True, conv) for i, o in pairwise(widths)
        )
        # The residual map, (B, 3, s, s), joins where the features are s x s.
        width = widths[-1]
        joined = width + 3 if residual else width
        self.conditional = DiscriminatorBlock(joined, width, False, conv)
        tail = [width, *_tail_widths(width, lr_size, max_channels)]
        self.tail = nn.ModuleList(DiscriminatorBlock(i, o, True, conv) for i, o in pairwise(tail))
        width = tail[-1]
        self.conv = conv(width, width, kernel_size=4, padding=0)
        self.to_logits = conv(width, 1, kernel_size=1)
        init_weights(self, init)

    def forward(self, image: Tensor, residual: Tensor | None = None) -> Tensor:
        """Judge images.

        Args:
            image: (B, 3, H, H) in [-1, 1].
            residual: (B, 3, s, s), zero where the image meets its LR target; not used
                by a network without it.

        Returns:
            (B, 1, h, h) logits, high for real; h = 5 when s is a power of two >= 8, 1 when s = 4.

        Raises:
            ValueError: If a shape is not the one the network was built for.
        """
        self._check(image, residual)
        x = self.from_rgb(image)
        for block in self.blocks:
            x = block(x)
        if self.residual and residual is not None:
            x = torch.cat([x, residual.to(x.dtype)], dim=1)
        x = self.conditional(x)
        for block in self.tail:
            x = block(x)
        return self.to_logits(leaky_relu(self.conv(leaky_relu(x))))

    def _check(self, image: Tensor, residual: Tensor | None) -> None:
        expected_image = (3, self.img_size, self.img_size)
        expected_residual = (3, self.lr_size, self.lr_size)
        given = None if residual is None else tuple(residual.shape)
        fits = not self.residual or (given is not None and given[1:] == expected_residual)
        if image.shape[1:] != expected_image or not fits:
            raise ValueError(
                f'the discriminator got an image of shape {tuple(image.shape)} and a residual of '
                f'{given}; it was built for (B, *) with {expected_image} and '
                f'{expected_residual}: check img_size and lr_size'
            )


def _tail_widths(width: int, size: int, max_channels: int) -> list[int]:
    """Widths behind each halving of the features, from size x size on."""
    # log2(s) - 3 blocks bring s to 8, the 4 x 4 convolution without padding to 8 - 4 + 1 = 5.
    # For s = 4 there is one logit; for other s, the halving ends below 16 or at an odd number.
    widths = []
    while size >= 16 and size % 2 == 0:
        width, size = min(2 * width, max_channels), size // 2
        widths.append(width)
    return widths
