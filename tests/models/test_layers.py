import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from i2ilr_mm.models import convolutions, layers


def test_blocks_average_before_the_shortcut_to_the_same_result():
    block = layers.DiscriminatorBlock(3, 5, downscale=True).double()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    weight, bias = block.conv1.weight(), block.conv1.bias
    y = F.avg_pool2d(F.conv2d(layers.leaky_relu(x), weight, bias, padding=1), 2)
    side = F.avg_pool2d(F.conv2d(x, block.shortcut.weight()), 2)
    expected = (block.conv2(layers.leaky_relu(y)) + side) / math.sqrt(2)
    assert torch.allclose(block(x), expected, atol=1e-13)


def test_pono_is_unbiased_over_channels():
    x = torch.randn(2, 5, 4, 4, dtype=torch.float64)
    normal, mean, std = layers.PONO()(x)
    pixel = x[1, :, 2, 3].tolist()
    expected_mean = sum(pixel) / 5
    variance = sum((v - expected_mean) ** 2 for v in pixel) / 4
    assert mean[1, 0, 2, 3].item() == pytest.approx(expected_mean)
    assert std[1, 0, 2, 3].item() == pytest.approx(math.sqrt(variance + 1e-5))
    assert torch.allclose(normal * std + mean, x)


def test_spadain_scales_the_normalised_features_without_one_plus():
    block = layers.SPAdaIN(4, 3)
    nn.init.zeros_(block.scale.weight)
    nn.init.zeros_(block.shift.weight)
    nn.init.constant_(block.scale.bias, 2.0)
    nn.init.constant_(block.shift.bias, 0.5)
    x, lr = torch.randn(2, 4, 8, 8), torch.randn(2, 3, 8, 8)
    normal = (x - x.mean((2, 3), keepdim=True)) / (
        x.var((2, 3), keepdim=True, unbiased=False) + 1e-5
    ).sqrt()
    assert torch.allclose(block(x, lr), 2 * normal + 0.5, atol=1e-5)


def test_moment_shortcut_order_is_beta_then_gamma():
    shortcut = layers.MomentShortcut()
    with torch.no_grad():
        shortcut.conv.weight_orig.zero_()
        shortcut.conv.weight_orig[0, 0, 1, 1] = 1  # beta <- mean
        shortcut.conv.weight_orig[1, 1, 1, 1] = 1  # gamma <- std
    for _ in range(20):
        shortcut.conv.power_iteration()
    x, mean, std = torch.randn(1, 6, 4, 4), torch.randn(1, 1, 4, 4), torch.rand(1, 1, 4, 4)
    assert torch.allclose(shortcut(x, mean, std), x * std + mean, atol=1e-6)


def test_start_is_pytorchs_for_sn_convs_and_kaiming_for_spadain():
    torch.manual_seed(0)
    conv, plain = convolutions.SNConv2d(64, 64), nn.Conv2d(64, 64, 3)
    assert conv.weight_orig.std().item() == pytest.approx(plain.weight.std().item(), rel=0.05)
    assert conv.bias.count_nonzero() == 0
    spadain = layers.SPAdaIN(4096, 3)
    assert spadain.scale.weight.std().item() == pytest.approx(math.sqrt(2 / 3), rel=0.05)


def test_upsample_aligns_corners():
    x = torch.arange(4.0).view(1, 1, 2, 2)
    assert torch.allclose(
        layers.upsample(x), F.interpolate(x, size=(4, 4), mode='bilinear', align_corners=True)
    )
    assert layers.upsample(x)[0, 0, -1, -1] == 3


@pytest.mark.parametrize('order', [torch.contiguous_format, torch.channels_last])
def test_instance_norm_is_pytorchs(order):
    torch.manual_seed(0)
    ours, theirs = layers.InstanceNorm2d(5), nn.InstanceNorm2d(5, affine=True)
    nn.init.normal_(ours.weight), nn.init.normal_(ours.bias)
    theirs.load_state_dict(ours.state_dict())
    x = (3 * torch.randn(2, 5, 8, 8) + 1).contiguous(memory_format=order).requires_grad_()
    y = x.detach().clone().requires_grad_()
    weight = torch.randn(2, 5, 8, 8)
    for layer, inputs in ((ours, x), (theirs, y)):
        (layer(inputs) * weight).sum().backward()
    assert ours(x).is_contiguous(memory_format=order)
    assert torch.allclose(ours(x), theirs(y), atol=1e-5)
    assert torch.allclose(x.grad, y.grad, atol=1e-4)
    for a, b in zip(ours.parameters(), theirs.parameters()):
        assert torch.allclose(a.grad, b.grad, rtol=1e-4, atol=1e-4)
