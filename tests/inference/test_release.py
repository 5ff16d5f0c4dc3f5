import time

import pytest
import torch
from safetensors.torch import save_file

from i2ilr_mm.inference import Translator, init_model
from i2ilr_mm.inference.release import publish, read_release
from i2ilr_mm.inference.translator import pictures_in


@pytest.fixture
def config(root):
    return root / 'configs/i2ilr_heads64.py'


@pytest.fixture
def model(config, tiny_options):
    model = init_model(config, cfg_options=tiny_options)
    with torch.no_grad():  # the average differs from the live network
        for p in model.generator.parameters():
            p.add_(0.1)
    return model


def test_a_published_generator_is_the_ema_with_its_norms_folded_in(
    model, config, tiny_options, tmp_path
):
    path = tmp_path / 'a.safetensors'
    publish(model, str(path), dict(steps=7))
    state, facts = read_release(str(path))
    assert facts == dict(steps=7, img_size=32, lr_size=8, exact_lr='bilinear', lr_method='box')
    assert not any('weight_orig' in name or 'weight_u' in name for name in state)
    weights = sum(p.numel() for p in model.generator_ema.parameters())
    assert sum(value.numel() for value in state.values()) == weights
    loaded = init_model(config, path, cfg_options=tiny_options)
    assert loaded.projected_discriminator is None and loaded.source_loss is None
    source, lr = torch.randn(2, 3, 32, 32), torch.randn(2, 3, 8, 8)
    assert torch.allclose(model.predict(source, lr), loaded.predict(source, lr), atol=1e-6)
    assert not torch.allclose(model.predict(source, lr, 'generator'), loaded.predict(source, lr))
    with pytest.raises(FileExistsError, match=r'a\.safetensors.*exists'):
        publish(model, str(path), {})
    with pytest.raises(ValueError, match=r'must end in \.safetensors'):
        publish(model, str(tmp_path / 'a.pth'), {})


def test_what_does_not_fit_is_refused(model, config, tiny_options, tmp_path):
    publish(model, str(tmp_path / 'a.safetensors'), {})
    for options, message in (
        (dict(tiny_options, img_size=64), 'trained with img_size=32, and this config has 64'),
        ({**tiny_options, 'model.generator.exact_lr': None}, 'exact_lr=bilinear, and .* None'),
        (dict(tiny_options, lr_method='bicubic'), 'lr_method=box, and this config has bicubic'),
        ({**tiny_options, 'model.generator.max_channels': 16}, 'does not fit'),
    ):
        with pytest.raises(ValueError, match=message):
            init_model(config, tmp_path / 'a.safetensors', cfg_options=options)
    (tmp_path / 'b.safetensors').write_bytes(b'no safetensors at all')
    with pytest.raises(ValueError, match='cannot be read as safetensors'):
        init_model(config, tmp_path / 'b.safetensors')
    save_file({'x': torch.zeros(1)}, tmp_path / 'c.safetensors')
    with pytest.raises(ValueError, match=r'publish_model\.py'):
        init_model(config, tmp_path / 'c.safetensors')
    with pytest.raises(FileNotFoundError, match='check the path'):
        init_model(config, tmp_path / 'none.safetensors')
    with pytest.raises(FileNotFoundError, match="there is 'embedded:heads64'"):
        init_model(config, 'embedded:cats')


def test_the_shipped_model_certifies_heads_in_no_time(root):
    """One level at worst over 40 pairs, and 0.3 s for one, from file to PNG, once it is loaded."""
    translator = Translator(root / 'configs/i2ilr_heads64.py', 'embedded:heads64', device='cpu')
    files = pictures_in('embedded:heads64')
    heads = [path for path, name in files if name.startswith('test/')][:40]
    results = translator.translate(heads, heads[7:] + heads[:7], project=True)
    assert max(result.lr_worst for result in results) <= 1
    assert all(result.reached for result in results)
    times = []
    for source, target in zip(heads[:5], heads[5:10], strict=True):
        start = time.perf_counter()
        translator.translate(source, target, project=True)[0].png()
        times.append(time.perf_counter() - start)
    assert min(times) < 0.3
