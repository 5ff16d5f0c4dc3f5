import hashlib

import lpips
import pytest
import torch

from i2ilr_mm.evaluation.perceptual import LPIPS
from i2ilr_mm.weights import WeightFile, sha256


def pictures(*shape: int) -> torch.Tensor:
    return torch.randint(
        0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


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


def test_unknown_backbone():
    with pytest.raises(ValueError, match="'resnet'.*alex, vgg"):
        LPIPS('resnet')
