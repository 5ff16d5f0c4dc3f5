"""The two Inceptions of published FIDs, and the resize that belongs to the older one."""

from typing import Any

import torch
from mmagic.registry import MODELS
from torch import Tensor, nn

from ..loading import load_weights_only
from ..weights import WeightFile, check_torchvision
from .features import FeatureNetwork


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


class _Inception(FeatureNetwork):
    """An Inception v3 without its classifier.

    Args:
        weights: The weight file; None looks in ~/.cache/i2ilr_mm.

    Raises:
        FileNotFoundError: If the weight file is missing; says what to put where.
        ImportError: If torchvision is missing.
        ValueError: If it is another one.
    """

    file: WeightFile

    def __init__(self, weights: str | None = None) -> None:
        super().__init__()
        check_torchvision(self.name)
        self.weights = self.file.find(weights)
        self.network = self.architecture()
        try:
            self.network.load_state_dict(load_weights_only(self.weights, map_location='cpu'))
        except (RuntimeError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(
                f"'{self.weights}' does not hold {self.file.name}: {reason}"
            ) from error
        self.network.fc = nn.Identity()
        self.freeze()

    @staticmethod
    def architecture() -> Any:
        """The network with its classifier, without weights."""
        raise NotImplementedError


@MODELS.register_module()
class InceptionTF(_Inception):
    """Inception of published FIDs: TensorFlow's weights of 2015 and TensorFlow's resize (2048-d).

    Equal to torch-fidelity's extractor, with the weight file of that project. Arguments and errors
    are those of :class:`_Inception`.
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

    @staticmethod
    def architecture() -> Any:
        from mmagic.evaluation.functional.fid_inception import fid_inception_v3

        return fid_inception_v3(load_ckpt=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.network((resize_like_tensorflow1(images.float(), 299) - 128) / 128)


@MODELS.register_module()
class InceptionTorchvision(_Inception):
    """torchvision's Inception, as StarGAN v2 scores with it (2048-d).

    Pictures are resized to 299 x 299 as Pillow does (bilinear, antialiased, rounded to uint8) and
    normalised with ImageNet's mean and deviation. The resize is torch's, which differs from
    Pillow's by one level in less than one value of a hundred. Arguments and errors are those of
    :class:`_Inception`.
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
        super().__init__(weights)
        self.register_buffer('mean', torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
        self.register_buffer('deviation', torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1))

    @staticmethod
    def architecture() -> Any:
        from torchvision.models import inception_v3

        return inception_v3(transform_input=False, init_weights=False)

    def forward(self, images: Tensor) -> Tensor:
        from torchvision.transforms.v2.functional import resize

        images = resize(images, [299, 299], antialias=True)
        return self.network((images.float() / 255 - self.mean) / self.deviation)
