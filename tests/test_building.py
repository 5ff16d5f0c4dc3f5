"""Errors while a config is built."""

import pytest
from mmagic.registry import MODELS
from mmengine.config import Config

from i2ilr_mm.building import config_errors
from i2ilr_mm.config import load_config
from i2ilr_mm.inference import init_model


class Broken:
    """A part of the user's own."""

    def __init__(self, error) -> None:
        raise error


@pytest.mark.parametrize(
    'error, said',
    [
        (TypeError('not\nso'), 'not so'),
        (KeyError('zzz'), 'zzz'),
        (AttributeError('x has no y'), 'x has no y'),
        (RuntimeError('out of memory'), 'out of memory'),
        (AssertionError(), 'AssertionError'),
    ],
)
def test_any_error_names_the_setting_in_one_line(root, tiny_options, error, said):
    cfg = load_config(root / 'configs/i2ilr_heads64.py', tiny_options)
    cfg.model.cycle_loss = dict(type=Broken, error=error)
    with pytest.raises(ValueError, match=f'^model.cycle_loss cannot be built: {said}$'):
        init_model(cfg)


def test_ours_pass_as_they_are(root, tiny_options):
    cfg = Config(dict(model=dict(type='R1Penalty', mode='x')))
    with pytest.raises(ValueError, match="^mode is 'x'; accepted"), config_errors(cfg):
        MODELS.build(cfg.model)


def test_errors_of_a_training_are_no_errors_of_building():
    with pytest.raises(KeyError), config_errors(Config(), building=False):
        raise KeyError('a bug')
    message = '^the config cannot be built: a bug$'
    with pytest.raises(ValueError, match=message), config_errors(Config()):
        raise KeyError('a bug')
