import numpy as np
import pytest
import torch
from mmagic.registry import MODELS
from PIL import Image

from i2ilr_mm.evaluation.features import (
    EfficientNetLite0,
    EfficientNetLite2,
    LastBatch,
    build_features,
)


@pytest.mark.parametrize(
    'config, file',
    [
        (dict(type='InceptionTF'), 'weights-inception-2015-12-05-6726825d.pth'),
        (dict(type='InceptionTorchvision'), 'inception_v3_google-0cc3c7bd.pth'),
        (dict(type='LPIPS'), 'alexnet-owt-7be5be79.pth'),
        (dict(type='LPIPS', net='vgg'), 'vgg16-397923af.pth'),
    ],
)
def test_missing_weights_say_what_to_put_where(config, file, monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    digits = file.rpartition('-')[2].removesuffix('.pth')
    with pytest.raises(FileNotFoundError, match=rf'https://\S+{file}.*{digits}.*{tmp_path}'):
        build_features(config)
    (tmp_path / 'wrong.pth').write_bytes(b'x')
    with pytest.raises(ValueError, match=r'wrong\.pth.*another file'):
        build_features(dict(config, weights=str(tmp_path / 'wrong.pth')))


def test_lite0_knows_pictures_apart(heads):
    """Real ImageNet weights: a picture is nearer to its flipped self than to another picture."""
    network = EfficientNetLite0()
    paths = sorted(heads.rglob('*.jpg'))[:2]
    images = torch.stack(
        [torch.from_numpy(np.array(Image.open(p))).permute(2, 0, 1) for p in paths]
    )
    features, flipped = network(images), network(images.flip(-1))
    assert features.shape == (2, 1280)
    assert (features[0] - flipped[0]).norm() < (features[0] - features[1]).norm()
    assert network.weights_hash == '579344248a93e230' == network.lite.file.sha256[:16]


def known_pictures() -> np.ndarray:
    """A gradient, hard edges and noise, (3, 3, 64, 64) uint8, which no decoder can change."""
    y, x = np.mgrid[:64, :64] * 4
    smooth = np.stack([x, y, (x + y) // 2])
    edges = np.where((x // 32 + y // 32) % 2, 255, 0)[None].repeat(3, 0)
    noise = np.random.default_rng(0).integers(0, 256, (3, 64, 64))
    return np.stack([smooth, edges, noise]).astype(np.uint8)


@pytest.mark.parametrize('network', [EfficientNetLite0, EfficientNetLite2])
def test_what_the_lite_networks_are_shown(network):
    """Pillow's bicubic in floats, clamped, (x - 127) / 128 as their authors feed them."""
    net, images = network(), known_pictures()
    side = (net.size, net.size)
    channels = [Image.fromarray(c.astype(np.float32)) for image in images for c in image]
    resized = np.stack([c.resize(side, Image.Resampling.BICUBIC) for c in channels])
    assert resized.min() < -10 and resized.max() > 265  # edges ring: the clamp matters
    expected = (resized.clip(0, 255).reshape(3, 3, *side) - 127) / 128
    net.network = torch.nn.Identity()
    assert np.allclose(net(torch.from_numpy(images)).numpy(), expected, atol=1e-4)


@pytest.mark.parametrize(
    'name, network', [('lite0', EfficientNetLite0), ('lite2', EfficientNetLite2)]
)
def test_golden_features(root, name, network):
    """As stored with torch 2.14.1, when the folded networks equalled those of the package."""
    golden = np.load(root / 'tests/data/golden_features.npz')[name]
    features = network()(torch.from_numpy(known_pictures())).numpy()
    assert np.linalg.norm(features - golden, axis=1).max() < 1e-4 * np.linalg.norm(golden)


def test_one_instance_for_all():
    config = dict(type='EfficientNetLite0')
    assert build_features(config) is build_features(dict(config))


def test_features_are_kept_for_one_batch():
    """Also where one metric leaves results of a batch out, and of pictures under another name."""
    batch = LastBatch()
    samples = [{}, {}, {}, {}]
    first = batch.features(samples[:1], 'fake_img')
    first[id(samples[0])] = torch.ones(1)
    assert batch.features([], 'fake_img') is batch.features(samples[:2], 'fake_img') is first
    assert batch.features(samples[:2], 'other') == {}
    assert batch.features(samples[2:], 'fake_img') == {}
    assert batch.features(samples[:2], 'fake_img') == {}


@pytest.mark.parametrize(
    'name, module',
    [
        ('InceptionTF', 'inception'),
        ('InceptionTorchvision', 'inception'),
        ('EfficientNetLite0', 'features'),
        ('EfficientNetLite2', 'features'),
        ('LPIPS', 'perceptual'),
    ],
)
def test_registered(name, module):
    assert MODELS.get(name).__module__ == f'i2ilr_mm.evaluation.{module}'
