import hashlib

import lpips
import numpy as np
import pytest
import torch
import torchvision
from mmagic.registry import MODELS
from PIL import Image
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from i2ilr_mm.evaluation.features import (
    LPIPS,
    EfficientNetLite0,
    EfficientNetLite2,
    InceptionTF,
    InceptionTorchvision,
    build_features,
    resize_like_tensorflow1,
)
from i2ilr_mm.weights import WeightFile, sha256


def stand_in(monkeypatch, network: type, path, weights: dict) -> str:
    """Save other weights in the place of the published ones, and make their hash the right one."""
    torch.save(weights, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(network, 'file', WeightFile('stand-in', network.file.url, digest))
    return str(path)


def pictures(*shape: int) -> torch.Tensor:
    return torch.randint(
        0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


@pytest.mark.parametrize('size, to', [((64, 64), 299), ((256, 128), 299), ((400, 31), 20)])
def test_resize_is_tensorflows(size, to):
    images = pictures(2, 3, *size).float()
    theirs = interpolate_bilinear_2d_like_tensorflow1x(images, (to, to), align_corners=False)
    assert torch.allclose(resize_like_tensorflow1(images, to), theirs, atol=1e-3)


def test_inception_is_torch_fidelitys(monkeypatch, tmp_path):
    from mmagic.evaluation.functional.fid_inception import fid_inception_v3

    torch.manual_seed(0)
    weights = fid_inception_v3(load_ckpt=False).state_dict()
    path = stand_in(monkeypatch, InceptionTF, tmp_path / 'x.pth', weights)
    ours = InceptionTF(path)
    theirs = FeatureExtractorInceptionV3('x', ['2048'], feature_extractor_weights_path=path)
    images = pictures(2, 3, 64, 64)
    with torch.no_grad():
        expected = theirs(images)[0]
        assert torch.allclose(ours(images), expected, rtol=1e-3, atol=1e-4)
    assert (ours.frechet, ours.kernel, ours.resize[:9]) == ('FID', 'KID', '299 x 299')
    assert ours.weights_hash == InceptionTF.file.sha256[:16]


def test_torchvisions_inception_as_starganv2_feeds_it(monkeypatch, tmp_path):
    torch.manual_seed(0)
    network = torchvision.models.inception_v3(init_weights=False).eval()
    path = stand_in(monkeypatch, InceptionTorchvision, tmp_path / 'x.pth', network.state_dict())
    images = pictures(2, 3, 256, 256)
    transform = torchvision.transforms.Compose(
        [
            torchvision.transforms.Resize((299, 299)),  # of Pillow's pictures
            torchvision.transforms.ToTensor(),
            torchvision.transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    batch = [transform(Image.fromarray(x.permute(1, 2, 0).numpy())) for x in images]
    kept = []
    network.avgpool.register_forward_hook(lambda module, inputs, output: kept.append(output))
    network(torch.stack(batch))
    with torch.no_grad():
        assert torch.allclose(InceptionTorchvision(path)(images), kept[0].flatten(1), atol=1e-3)


@pytest.mark.parametrize('net', ['alex', 'vgg'])
def test_lpips_is_the_packages(net, monkeypatch, tmp_path):
    torch.manual_seed(0)
    theirs = lpips.LPIPS(net=net, pnet_rand=True, verbose=False).eval()
    weights = {
        f'features.{key.split(".", 1)[1]}': value for key, value in theirs.net.state_dict().items()
    }
    path = tmp_path / 'x.pth'
    torch.save(weights, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    file = WeightFile('stand-in', 'https://example.org/x.pth', digest)
    monkeypatch.setitem(LPIPS.backbones, net, file)
    ours = LPIPS(net, str(path))
    images = pictures(4, 3, 64, 64)
    with torch.no_grad():
        features = ours(images).double()
        scaled = images.float() / 127.5 - 1
        expected = theirs(scaled[:2], scaled[2:]).flatten()
    found = (features[:2] - features[2:]).square().sum(1).float()
    assert torch.allclose(found, expected, rtol=1e-4)
    assert ours.name == f'LPIPS v0.1 ({net})'
    learned = f'{lpips.__path__[0]}/weights/v0.1/{net}.pth'
    assert sha256(learned)[:8] == dict(alex='df73285e', vgg='a78928a0')[net]


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


@pytest.mark.parametrize('network', [InceptionTF, InceptionTorchvision])
def test_weights_of_something_else(network, monkeypatch, tmp_path):
    path = stand_in(monkeypatch, network, tmp_path / 'x.pth', {'other': torch.ones(1)})
    with pytest.raises(ValueError, match=r'x\.pth.*does not hold'):
        network(path)


def test_unknown_backbone():
    with pytest.raises(ValueError, match="'resnet'.*alex, vgg"):
        LPIPS('resnet')


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


@pytest.mark.parametrize(
    'name',
    ['InceptionTF', 'InceptionTorchvision', 'EfficientNetLite0', 'EfficientNetLite2', 'LPIPS'],
)
def test_registered(name):
    assert MODELS.get(name).__module__ == 'i2ilr_mm.evaluation.features'
