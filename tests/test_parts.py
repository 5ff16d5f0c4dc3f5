"""What of MMagic and MMEngine cannot work with I2ILR is refused by Runner.from_cfg."""

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from i2ilr_mm.config import find_config
from i2ilr_mm.parts import check_parts


@pytest.fixture
def cfg() -> Config:
    return Config.fromfile(find_config('i2ilr_heads64'))


@pytest.mark.parametrize(
    'setting, value, message',
    [
        (
            'val_evaluator',
            [dict(type='PSNR')],
            'PSNR.*LRConsistency has the PSNR',
        ),
        ('test_evaluator', dict(type='Evaluator', metrics=[dict(type='SSIM')]), 'has SSIM'),
        ('val_evaluator', [dict(type='TransFID', fake_nums=4)], 'TransFID.*DistributionScores'),
        ('val_cfg', dict(type='ValLoop'), "ValLoop.*val_cfg=dict.type='MultiValLoop'"),
        ('test_cfg', dict(), 'MultiTestLoop'),
        ('train_cfg', dict(type='EpochBasedTrainLoop', max_epochs=1), 'PairSampler never ends'),
        ('train_cfg', dict(by_epoch=True, max_epochs=1), 'PairSampler never ends'),
        ('custom_hooks', [dict(type='VisualizationHook')], 'SampleGridHook draws them'),
        ('img_size', 100, 'img_size=100 with lr_size=8'),
    ],
)
def test_refused_by_any_runner(cfg, setting, value, message):
    cfg[setting] = value
    with pytest.raises(ValueError, match=message):
        Runner.from_cfg(cfg)


def test_a_plain_dict_is_checked_as_well(cfg):
    """MMEngine's from_cfg takes one."""
    settings = cfg._cfg_dict.to_dict()
    settings['val_evaluator'] = [dict(type='PSNR')]
    with pytest.raises(ValueError, match='PSNR'):
        Runner.from_cfg(settings)


def test_what_works_is_let_through(cfg):
    check_parts(cfg)
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1)
    cfg.train_dataloader.sampler = dict(type='DefaultSampler', shuffle=True)
    check_parts(cfg)


def test_other_models_are_none_of_our_business():
    check_parts(Config(dict(model=dict(type='SRGAN'), val_cfg=dict(type='ValLoop'))))
    check_parts(Config(dict()))
