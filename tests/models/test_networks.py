import pytest
import torch

from i2ilr_mm.lr import down
from i2ilr_mm.models import I2ILRGenerator, LRResidualDiscriminator
from i2ilr_mm.models.convolutions import SNConv2d
from i2ilr_mm.models.generator import style_code


def count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    'img_size, lr_size, generator, discriminator',
    [
        (128, 8, 21_575_999, 23_224_321),
        (256, 8, 26_372_619, 23_452_161),
        (128, 16, 16_779_379, 23_224_321),
        (256, 16, 21_575_999, 23_452_161),
    ],
)
def test_parameter_counts_are_the_published_ones(img_size, lr_size, generator, discriminator):
    with torch.device('meta'):
        assert count(I2ILRGenerator(img_size, lr_size)) == generator
        assert count(LRResidualDiscriminator(img_size, lr_size)) == discriminator


@pytest.mark.parametrize(
    'img_size, lr_size',
    [(8, 4), (16, 8), (32, 4), (64, 4), (64, 32), (128, 8), (64, 16), (48, 6), (48, 12), (80, 20)],
)
@pytest.mark.parametrize('base, widest', [(4, 32), (6, 20), (8, 8), (16, 4)])
def test_every_supported_size_works(img_size, lr_size, base, widest):
    widths = dict(base_channels=base, max_channels=widest)
    generator = I2ILRGenerator(img_size, lr_size, **widths)
    discriminator = LRResidualDiscriminator(img_size, lr_size, **widths)
    source, lr = torch.randn(2, 3, img_size, img_size), torch.randn(2, 3, lr_size, lr_size)
    result = generator(source, lr)
    assert result.shape == source.shape
    assert result.isfinite().all()
    logits = discriminator(result, lr.abs())
    assert logits.shape[:2] == (2, 1)
    logits.mean().backward()
    for network in (generator, discriminator):
        assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize('lr_size, side', [(4, 1), (8, 5), (16, 5), (32, 5)])
def test_logit_map(lr_size, side):
    discriminator = LRResidualDiscriminator(64, lr_size, base_channels=4, max_channels=8)
    logits = discriminator(torch.randn(1, 3, 64, 64), torch.zeros(1, 3, lr_size, lr_size))
    assert logits.shape == (1, 1, side, side)


@pytest.mark.parametrize(
    'img_size, lr_size', [(100, 8), (64, 2), (8, 8), (64, 0), (64, 24), (4, 8)]
)
@pytest.mark.parametrize('network', [I2ILRGenerator, LRResidualDiscriminator])
def test_other_sizes_are_refused_by_name(network, img_size, lr_size):
    with pytest.raises(ValueError, match=f'img_size={img_size} with lr_size={lr_size}'):
        network(img_size, lr_size)


def test_wrong_inputs_are_refused_by_name():
    generator = I2ILRGenerator(32, 8, base_channels=4, max_channels=8)
    with pytest.raises(ValueError, match=r'\(1, 3, 64, 64\).*img_size'):
        generator(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 8, 8))
    with pytest.raises(ValueError, match=r'torch.uint8.*from_uint8'):
        generator(torch.zeros(1, 3, 32, 32, dtype=torch.uint8), torch.zeros(1, 3, 8, 8))
    with pytest.raises(ValueError, match='2 sources and 1 LR'):
        generator(torch.zeros(2, 3, 32, 32), torch.zeros(1, 3, 8, 8))
    discriminator = LRResidualDiscriminator(32, 8, base_channels=4, max_channels=8)
    with pytest.raises(ValueError, match=r'\(1, 3, 4, 4\)'):
        discriminator(torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 4, 4))


def test_deployed_generator_is_plain_and_equal():
    torch.manual_seed(0)
    generator = I2ILRGenerator(img_size=32, lr_size=8, base_channels=8, max_channels=16)
    source, lr = torch.randn(2, 3, 32, 32), torch.randn(2, 3, 8, 8)
    expected = generator(source, lr)
    deployed = generator.deploy()
    assert not any(isinstance(m, SNConv2d) for m in deployed.modules())
    assert not any('weight_u' in name for name in deployed.state_dict())
    assert not deployed.training and not any(p.requires_grad for p in deployed.parameters())
    assert torch.allclose(deployed(source, lr), expected, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        for parameter in deployed.parameters():
            parameter.zero_()
    assert torch.equal(generator(source, lr), expected)  # a copy


def with_style(seed: int = 0, **options) -> I2ILRGenerator:
    torch.manual_seed(seed)
    return I2ILRGenerator(32, 8, base_channels=4, max_channels=8, style=True, **options)


def stir(network: I2ILRGenerator) -> I2ILRGenerator:
    """Give the style, which starts at zero, something to say."""
    for name, weight in network.named_parameters():
        if '.style.' in name:
            torch.nn.init.normal_(weight)
    return network


def test_a_style_says_nothing_at_first():
    network = with_style()
    plain = I2ILRGenerator(32, 8, base_channels=4, max_channels=8)
    rest = {k: v for k, v in network.state_dict().items() if '.style.' not in k}
    plain.load_state_dict(rest)
    source, lr = torch.randn(2, 3, 32, 32), torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(network.eval()(source, lr), plain.eval()(source, lr))


def test_the_style_code_is_mean_and_deviation_of_each_channel():
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    code = style_code(x)
    torch.testing.assert_close(code[:, :3], x.mean((2, 3)))
    torch.testing.assert_close(code[:, 3:], x.std((2, 3), correction=0), rtol=1e-5, atol=1e-6)
    flat = torch.zeros(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    style_code(flat).sum().backward()
    assert flat.grad.isfinite().all()


def test_a_style_steers_and_is_deployed():
    network = stir(with_style(exact_lr='bilinear')).eval()
    source, lr = torch.randn(2, 3, 32, 32), torch.randn(2, 3, 8, 8)
    results = network(source, lr)
    torch.testing.assert_close(network.deploy()(source, lr), results)
    torch.testing.assert_close(down(results, 8), lr, rtol=0, atol=1e-5)
    for name, weight in network.named_parameters():
        if '.style.' in name:
            torch.nn.init.zeros_(weight)
    assert (network(source, lr) - results).abs().mean() > 0.01


def test_a_style_under_autocast():
    network = stir(with_style()).eval()
    source, lr = torch.randn(2, 3, 32, 32), torch.randn(2, 3, 8, 8)
    with torch.autocast('cpu', torch.bfloat16):
        rough = network(source, lr)
    exact = network(source, lr)
    assert (rough - exact).norm() / exact.norm() < 0.1


def test_style_is_true_or_false():
    with pytest.raises(ValueError, match=r"generator.style is 'yes'; accepted are True and False"):
        I2ILRGenerator(32, 8, style='yes')
