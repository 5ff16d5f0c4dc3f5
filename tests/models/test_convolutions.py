import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from i2ilr_mm.models import convolutions, layers
from i2ilr_mm.models.discriminator import LRResidualDiscriminator
from i2ilr_mm.models.generator import I2ILRGenerator


def test_sn_conv_equals_torch_spectral_norm():
    torch.manual_seed(0)
    ours = convolutions.SNConv2d(4, 6, 3)
    nn.init.normal_(ours.bias)
    theirs = torch.nn.utils.spectral_norm(nn.Conv2d(4, 6, 3, padding=1)).train()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 4, 8, 8)
    for _ in range(3):
        ours.power_iteration()
        expected = theirs(x)
        assert torch.allclose(ours(x), expected, atol=1e-6)
    assert torch.allclose(ours.weight_u, theirs.weight_u, atol=1e-6)
    ours(x).square().sum().backward()
    theirs(x)  # another training forward would iterate again; compare gradients in eval mode
    theirs.load_state_dict(ours.state_dict())
    theirs.eval()(x).square().sum().backward()
    assert torch.allclose(ours.weight_orig.grad, theirs.weight_orig.grad, rtol=1e-4, atol=1e-4)


def test_power_iteration_finds_the_largest_singular_value():
    conv = convolutions.SNConv2d(4, 6, 3)
    for _ in range(200):
        convolutions.power_iteration(nn.Sequential(conv))
    largest = torch.linalg.svdvals(conv.weight().detach().flatten(1)).max()
    assert largest == pytest.approx(1, abs=1e-4)


def test_forward_leaves_the_buffers_alone():
    conv = convolutions.SNConv2d(3, 4).train()
    before = conv.weight_u.clone()
    conv(torch.randn(1, 3, 8, 8))
    assert torch.equal(conv.weight_u, before)


def test_weight_stays_float32_under_autocast():
    conv = convolutions.SNConv2d(3, 4)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert conv.weight().dtype == torch.float32
        assert conv(torch.randn(1, 3, 8, 8)).dtype == torch.bfloat16


@pytest.mark.parametrize('size', [1, 3])
def test_pooling_convolution_is_a_convolution_and_a_pool(size):
    torch.manual_seed(0)
    pooled = convolutions.SNConv2d(3, 5, size, pool=True).double()
    nn.init.normal_(pooled.bias)
    plain = convolutions.SNConv2d(3, 5, size).double()
    plain.load_state_dict(pooled.state_dict())  # the same names
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    assert torch.allclose(pooled(x), F.avg_pool2d(plain(x), 2), rtol=0, atol=1e-13)


def test_shared_weights_serve_all_calls_and_one_graph():
    conv = convolutions.SNConv2d(3, 4)
    x = torch.randn(1, 3, 8, 8)
    (conv(x).sum() + conv(2 * x).sum()).backward()
    expected, conv.weight_orig.grad = conv.weight_orig.grad, None
    with convolutions.shared_weights(conv):
        conv(x).sum().backward(retain_graph=True)
        conv(2 * x).sum().backward()
        with torch.no_grad():
            conv.weight_orig.zero_()
        assert conv(x).abs().max() > 0
    assert torch.allclose(conv.weight_orig.grad, expected, rtol=1e-4, atol=1e-5)
    assert conv(x).abs().max().isnan()


def test_shared_weights_are_reentrant():
    conv = convolutions.SNConv2d(3, 4)
    with convolutions.shared_weights(conv):
        outer = conv.shared
        with convolutions.shared_weights(nn.Sequential(conv)):
            assert conv.shared is outer
        assert conv.shared is outer
    assert conv.shared is None


@pytest.mark.parametrize('name', ['shared_weights', 'twice_differentiable'])
def test_blocks_of_two_threads_leave_nothing_behind(name):
    conv = convolutions.SNConv2d(3, 4)
    before = dict(vars(conv))
    first, second = (getattr(convolutions, name)(conv) for _ in range(2))
    first.__enter__()
    assert vars(conv) != before
    second.__enter__()
    for block in (first, second):  # not in the order of blocks inside of each other
        block.__exit__(None, None, None)
    assert vars(conv) == before


@pytest.mark.parametrize('network', [I2ILRGenerator, LRResidualDiscriminator])
def test_kaiming_start_is_larger_and_normalised(network):
    torch.manual_seed(0)
    usual, kaiming = (network(32, 8, 64, 64, init=init) for init in ('pytorch', 'kaiming'))
    for a, b in zip(usual.modules(), kaiming.modules()):
        if isinstance(a, convolutions.SNConv2d) and a.weight_orig.numel() > 10000:
            ratio = b.weight_orig.std() / a.weight_orig.std()
            assert ratio.item() == pytest.approx(math.sqrt(6), rel=0.05)
            largest = torch.linalg.matrix_norm(b.weight().flatten(1), 2)
            assert largest.item() == pytest.approx(1.0, rel=0.1)


def test_equalised_convolution_scales_as_it_runs():
    """Karras et al. 2018: N(0, 1) weights; outputs of unit inputs behind a leaky ReLU keep size."""
    torch.manual_seed(0)
    conv = convolutions.EqualConv2d(64, 64)
    assert conv.weight_orig.std().item() == pytest.approx(1, rel=0.02)
    gain = math.sqrt(2 / (1 + 0.2**2) / (64 * 9))
    assert torch.allclose(conv.weight(), conv.weight_orig * gain)
    x = torch.randn(8, 64, 16, 16)
    inside = conv(layers.leaky_relu(x))[..., 1:-1, 1:-1]
    assert inside.square().mean().item() == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize('network', [I2ILRGenerator, LRResidualDiscriminator])
def test_both_weight_normalisations_have_the_same_trained_names(network):
    spectral, plain = (network(32, 8, 4, 8, norm=norm) for norm in ('spectral', 'none'))
    names = [dict(n.named_parameters()).keys() for n in (spectral, plain)]
    assert names[0] == names[1]
    assert not any(name.endswith(('weight_u', 'weight_v')) for name in plain.state_dict())
    assert isinstance(network(32, 8, 4, 8, norm=None).from_rgb, convolutions.EqualConv2d)
    with pytest.raises(ValueError, match="norm is 'batch'; accepted are spectral, none"):
        network(32, 8, 4, 8, norm='batch')


@pytest.mark.parametrize('conv', [convolutions.SNConv2d, convolutions.EqualConv2d])
@pytest.mark.parametrize('pool', [False, True])
def test_channels_last_weights_change_no_number(conv, pool):
    torch.manual_seed(0)
    layer, x = conv(3, 4, pool=pool).double(), torch.randn(1, 3, 8, 8, dtype=torch.float64)
    expected = layer(x)
    convolutions.use_channels_last(layer)
    assert layer.kernel().is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(layer(x), expected, atol=1e-12)
