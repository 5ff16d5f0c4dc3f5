"""LPIPS as a feature network."""

import torch
from mmagic.registry import MODELS
from torch import Tensor

from ..loading import load_weights_only
from ..lr import check_choice
from ..weights import WeightFile, check_torchvision
from .features import FeatureNetwork


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
