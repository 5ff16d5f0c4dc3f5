import pytest
import torch
import torch.nn.functional as F

from i2ilr_mm.evaluation.baselines import BASELINES, Baseline
from i2ilr_mm.lr import down


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    source = torch.rand(2, 3, 32, 32, generator=generator) * 2 - 1
    return source, torch.rand(2, 3, 8, 8, generator=generator) * 2 - 1


def test_each_is_what_its_name_says(pair):
    source, lr = pair
    made = {name: Baseline(name)(source, lr) for name in BASELINES}
    assert torch.equal(made['copy-source'], source)
    enlarged = F.interpolate(lr, (32, 32), mode='bicubic', align_corners=False)
    assert torch.allclose(made['upscale-target'], enlarged)
    assert torch.allclose(down(made['project-source'], 8), lr, atol=1e-6)
    detail = made['project-source'] - source
    assert torch.allclose(detail, F.interpolate(down(detail, 8), (32, 32)), atol=1e-6)


def test_the_projection_is_the_operators(pair):
    source, lr = pair
    made = Baseline('project-source', 'bicubic')(source, lr)
    assert torch.allclose(down(made, 8, 'bicubic'), lr, atol=1e-5)
