import pytest
import torch

from i2ilr_mm.inference import Translator, init_model
from i2ilr_mm.inference.release import publish


@pytest.fixture(scope='package')
def translator(root, tmp_path_factory) -> Translator:
    """A small untrained model of 32 px."""
    sizes = {'img_size': 32, 'lr_size': 8}
    widths = {f'model.{n}.max_channels': 8 for n in ('generator', 'discriminator')}
    first = {f'model.{n}.base_channels': 4 for n in ('generator', 'discriminator')}
    options = {**sizes, **widths, **first}
    torch.manual_seed(0)
    config, path = root / 'configs/i2ilr_heads64.py', tmp_path_factory.mktemp('m') / 'a.safetensors'
    publish(init_model(config, cfg_options=options), str(path), {})
    return Translator(config, path, device='cpu', batch_size=2, cfg_options=options)


@pytest.fixture(scope='package')
def pictures(heads) -> list[str]:
    return sorted(str(path) for path in heads.rglob('*.jpg'))[:6]
