import pytest
import torch

from i2ilr_mm.inference import init_model


@pytest.fixture
def config(root):
    return root / 'configs/i2ilr_heads64.py'


def test_init_model(config, tiny_options):
    model = init_model(config, cfg_options=tiny_options)
    assert not model.training
    source, lr = torch.randn(2, 3, 32, 32), torch.randn(2, 3, 8, 8)
    for network in (model.generator, model.generator_ema):
        assert network(source, lr).shape == source.shape
    assert model.discriminator(source, lr.abs()).shape == (2, 1, 5, 5)
    assert model.predict(source, lr).abs().max() <= 1


def test_checkpoint_round_trip(config, tiny_options, tmp_path):
    first = init_model(config, cfg_options=tiny_options)
    torch.save(dict(state_dict=first.state_dict()), tmp_path / 'a.pth')
    second = init_model(config, tmp_path / 'a.pth', cfg_options=tiny_options)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_checkpoints_must_fit(config, tiny_options, tmp_path):
    model = init_model(config, cfg_options=tiny_options)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'a.pth.*does not fit.*discriminator\.'):
        init_model(config, tmp_path / 'a.pth')
    state = model.state_dict()
    state.pop('generator_ema.to_rgb.conv.bias')
    torch.save(dict(state_dict=state), tmp_path / 'b.pth')
    with pytest.raises(ValueError, match='generator_ema.to_rgb.conv.bias'):
        init_model(config, tmp_path / 'b.pth', cfg_options=tiny_options)
    torch.save(dict(Gen={}), tmp_path / 'c.pth')
    with pytest.raises(ValueError, match='i2ilr convert'):
        init_model(config, tmp_path / 'c.pth')
    with pytest.raises(FileNotFoundError, match='none.pth'):
        init_model(config, tmp_path / 'none.pth')


def test_prefixes_of_wrappers_are_understood(config, tiny_options, tmp_path):
    first = init_model(config, cfg_options=tiny_options)
    for wrap in ('module.{}', '{}'):
        state = {}
        for name, value in first.state_dict().items():
            network, _, rest = name.partition('.')
            inner = f'{network}.module.{rest}' if wrap == '{}' and rest else name
            state[wrap.format(inner)] = value
        torch.save(dict(state_dict=state), tmp_path / 'a.pth')
        second = init_model(config, tmp_path / 'a.pth', cfg_options=tiny_options)
        source, lr = torch.randn(1, 3, 32, 32), torch.randn(1, 3, 8, 8)
        assert torch.equal(first.predict(source, lr), second.predict(source, lr))
