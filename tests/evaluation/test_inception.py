import hashlib

import pytest
import torch
import torchvision
from PIL import Image
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from i2ilr_mm.evaluation.inception import (
    InceptionTF,
    InceptionTorchvision,
    resize_like_tensorflow1,
)
from i2ilr_mm.weights import WeightFile


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


@pytest.mark.parametrize('network', [InceptionTF, InceptionTorchvision])
def test_weights_of_something_else(network, monkeypatch, tmp_path):
    path = stand_in(monkeypatch, network, tmp_path / 'x.pth', {'other': torch.ones(1)})
    with pytest.raises(ValueError, match=r'x\.pth.*does not hold'):
        network(path)
