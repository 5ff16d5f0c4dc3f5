"""The projected discriminator: it judges pictures through a frozen feature network."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmagic.registry import MODELS
from torch import Tensor, nn

from .convolutions import SNConv2d
from .frozen import FrozenStages, build_frozen
from .layers import leaky_relu

GRID = 4
"""Side of the logit map of every level that is at least as large."""


@MODELS.register_module()
class ProjectedDiscriminator(nn.Module):
    """Slim heads on the levels of a frozen feature network.

    Fixed random 1x1 convolutions bring every level to one width, fixed random 3x3 ones carry each
    level into the next finer one, and a trained head per level ends in a map of logits. Source:
    Projected GAN (Sauer et al. 2021), without its augmentation.

    The features do not depend on what is trained, so a step looks at each picture once:
    :meth:`features` of the pictures, then the heads as often as needed.

    Args:
        img_size: Side H of the pictures.
        lr_size: Side s of the LR pictures.
        network: Config of the frozen network, see :mod:`i2ilr_mm.models.frozen`.
        in_size: Side that pictures are brought to before it; None is their own.
        mixed_channels: Width that the levels are brought to.
        head_channels: Width of the heads.
        residual: Whether the LR residual joins the features at each level. Fakes of a generator
            with ``exact_lr`` have none: it is zero for all, and False saves it.
        seed: Of the fixed random convolutions. Draws differ: after 200 steps on the rendered heads
            the mean logit of results was -2.5 to -2.9 for eight draws (seeds 1 to 4, and four of
            another kind) and -3.2 to -4.5 for seed 0, whose runs also kept less of the source.

    Raises:
        FileNotFoundError: If the weights of the frozen network are missing; says what to install.
        ValueError: If the pictures are too small for the frozen network, or its weight file is
            another one.
    """

    def __init__(
        self,
        img_size: int,
        lr_size: int,
        network: dict[str, Any] | None = None,
        in_size: int | None = None,
        mixed_channels: int = 64,
        head_channels: int = 64,
        residual: bool = False,
        seed: int = 2,
    ) -> None:
        super().__init__()
        self.network: FrozenStages = build_frozen(network or dict(type='EfficientNetLite0Stages'))
        self.img_size, self.lr_size, self.residual = img_size, lr_size, residual
        self.in_size = in_size or img_size
        self.network.check_size(self.in_size, 'in_size' if in_size else 'img_size')
        self.mixing = RandomMixing(self.network.channels, mixed_channels, seed)
        joined = mixed_channels + 3 * residual
        self.heads = nn.ModuleList(
            ProjectedHead(joined, head_channels, self.in_size // stride)
            for stride in self.network.strides
        )

    def features(self, image: Tensor) -> list[Tensor]:
        """What the heads judge, of pictures (B, 3, H, H) in [-1, 1]: a map per level.

        Raises:
            ValueError: If the pictures have another size.
        """
        if image.shape[1:] != (3, self.img_size, self.img_size):
            raise ValueError(
                f'the projected discriminator got an image of shape {tuple(image.shape)}; it was '
                f'built for (B, 3, {self.img_size}, {self.img_size}): check img_size'
            )
        # Sauer et al. 2021:  min_G max_D sum_l E log D_l(P_l(x)) + E log(1 - D_l(P_l(G)))  with the
        # projection P_l of level l fixed: gradients run through it, but it learns nothing.
        if self.in_size != self.img_size:
            size = (self.in_size, self.in_size)
            # Antialiased where it shrinks; what the network cannot see costs no gradient.
            image = F.interpolate(image, size, mode='bilinear', align_corners=False, antialias=True)
        return self.mixing(self.network(image))

    def forward(self, features: list[Tensor], residual: Tensor | None = None) -> Tensor:
        """Judge pictures by their features.

        Args:
            features: See :meth:`features`.
            residual: (B, 3, s, s), zero where a picture meets its LR target; only with
                ``residual``.

        Returns:
            (B, n) logits of all levels, high for real.
        """
        # The loss takes one mean over all logits, so a level counts by the size of its map. Its
        # side is GRID to 2 GRID - 1, or less for a level that is smaller to begin with.
        logits = []
        for head, x in zip(self.heads, features, strict=True):
            if self.residual:
                assert residual is not None
                x = torch.cat([x, _fit(residual, x.shape[-1]).to(x.dtype)], dim=1)
            logits.append(head(x).flatten(1))
        return torch.cat(logits, dim=1)


def _fit(residual: Tensor, size: int) -> Tensor:
    """A residual map at the size of a level."""
    # Neither way leaves a trace where the LR target is met: zeros stay zeros.
    if size >= residual.shape[-1]:
        return F.interpolate(residual, size=(size, size), mode='nearest')
    return F.adaptive_avg_pool2d(residual, size)


class RandomMixing(nn.Module):
    """Fixed random convolutions across the channels of each level, and from coarse to fine.

    The weights keep the variance of what they mix. They come from NumPy's legacy generator, whose
    numbers do not change between versions, and are in no checkpoint.

    Args:
        channels: Of the levels, fine to coarse; each has half the size of the one before.
        width: Channels of the results.
        seed: Of the weights.
    """

    def __init__(self, channels: tuple[int, ...], width: int, seed: int) -> None:
        super().__init__()
        random = np.random.RandomState(seed)
        self.levels = len(channels)
        # y_o = sum_c w_oc x_c with Var w = 1 / C:  Var y = C Var(w) E x^2 = E x^2, and for 3 x 3
        # kernels over C channels Var w = 1 / (9 C).
        for i, count in enumerate(channels):
            weight = random.standard_normal((width, count, 1, 1)) / count**0.5
            self._keep(f'across_{i}', weight)
        for i in range(self.levels - 1):
            weight = random.standard_normal((width, width, 3, 3)) / (9 * width) ** 0.5
            self._keep(f'down_{i}', weight)

    def _keep(self, name: str, weight: np.ndarray) -> None:
        values = torch.from_numpy(weight).to(torch.get_default_dtype())
        self.register_buffer(name, values, persistent=False)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        mixed = [F.conv2d(x, getattr(self, f'across_{i}')) for i, x in enumerate(levels)]
        # m_l = across_l(x_l) + down_l(up2(m_(l+1))), from the coarsest level on: mixing across
        # channels, then across scales (Sauer et al. 2021).
        for i in range(self.levels - 2, -1, -1):
            coarse = F.interpolate(
                mixed[i + 1], scale_factor=2, mode='bilinear', align_corners=False
            )
            mixed[i] = mixed[i] + F.conv2d(coarse, getattr(self, f'down_{i}'), padding=1)
        return mixed


class ProjectedHead(nn.Module):
    """Spectrally normalised convolutions down to a map of logits.

    Args:
        in_channels: Channels of the level.
        width: Channels of the convolutions.
        size: Side of the level; it is halved until it is :data:`GRID`.
    """

    def __init__(self, in_channels: int, width: int, size: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList([SNConv2d(in_channels, width)])
        while size >= 2 * GRID:
            self.convs.append(SNConv2d(width, width, pool=True))
            size //= 2
        self.convs.append(SNConv2d(width, width))
        self.to_logits = SNConv2d(width, 1, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = leaky_relu(conv(x), inplace=True)
        return self.to_logits(x)
