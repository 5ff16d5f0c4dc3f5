import math

import pytest
import torch
import torch.nn.functional as F
from mmagic.registry import MODELS

from i2ilr_mm.lr import down
from i2ilr_mm.models import LRConsistencyLoss, R1Penalty, SoftplusGANLoss


def shifted(levels: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Images whose LR pictures lie ``levels`` grey levels above their targets."""
    image = torch.rand(2, 3, 32, 32) - 0.5
    return image, down(image, 8) - levels / 127.5


@pytest.mark.parametrize(
    'norm, margin, levels, expected',
    [('l1', 0, 5, 5), ('l1', 2, 5, 3), ('l1', 2, 1.5, 0), ('l2', 0, 5, 25), ('l2', 2, 5, 9)],
)
def test_lr_consistency_is_in_grey_levels(norm, margin, levels, expected):
    image, lr = shifted(levels)
    loss = LRConsistencyLoss(norm=norm, margin=margin)(image, lr)
    assert loss.item() == pytest.approx(expected, abs=1e-3)


def test_lr_consistency_weight_and_operator():
    image, lr = shifted(3)
    assert LRConsistencyLoss(loss_weight=0.5)(image, lr).item() == pytest.approx(1.5, abs=1e-3)
    bicubic = down(image, 8, 'bicubic')
    assert LRConsistencyLoss(method='bicubic')(image, bicubic).item() == 0
    assert LRConsistencyLoss(method='box')(image, bicubic).item() > 0.1


@pytest.mark.parametrize('options', [dict(norm='huber'), dict(margin=-1), dict(method='area')])
def test_lr_consistency_refuses_unknown_choices(options):
    with pytest.raises(ValueError, match=str(next(iter(options.values())))):
        LRConsistencyLoss(**options)


def test_gan_loss():
    logits = torch.randn(3, 1, 5, 5, dtype=torch.float64)
    bce = F.binary_cross_entropy_with_logits
    for real in (True, False):
        expected = bce(logits, torch.full_like(logits, float(real)))
        assert torch.allclose(SoftplusGANLoss()(logits, real), expected)
    assert torch.allclose(SoftplusGANLoss(0.5)(logits, True), 0.5 * SoftplusGANLoss()(logits, True))


def linear_case(batch: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """D(x) = w.x at every position, whose gradient is known."""
    weight = torch.randn(3 * 8 * 8, dtype=torch.float64)
    images = torch.randn(batch, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    logits = (images.flatten(1) @ weight).view(batch, 1, 1, 1).expand(batch, 1, 5, 5)
    return weight, images, logits


@pytest.mark.parametrize('batch', [1, 4])
def test_standard_r1_does_not_depend_on_the_batch(batch):
    weight, images, logits = linear_case(batch)
    expected = 10 / 2 * weight.square().sum()
    assert torch.allclose(R1Penalty(10.0)(images, logits), expected)


def test_reference_r1_shrinks_with_the_batch():
    weight, images, logits = linear_case(4)
    slopes = torch.sigmoid(-logits[:, 0, 0, 0]) / 4
    expected = 10 / 2 * (slopes.square() * weight.square().sum()).mean()
    assert torch.allclose(R1Penalty(10.0, 'reference')(images, logits), expected)


def test_r1_has_a_second_gradient():
    images = torch.randn(2, 3, 8, 8, requires_grad=True)
    conv = torch.nn.Conv2d(3, 1, 3)
    R1Penalty()(images, F.softplus(conv(images))).backward()
    assert math.isfinite(conv.weight.grad.norm()) and conv.weight.grad.norm() > 0


def test_r1_refuses_unknown_modes():
    with pytest.raises(ValueError, match="'zero'.*standard, reference"):
        R1Penalty(mode='zero')


@pytest.mark.parametrize('name', ['LRConsistencyLoss', 'SoftplusGANLoss', 'R1Penalty'])
def test_registered(name):
    assert MODELS.get(name).__name__ == name
