"""What of MMagic and MMEngine cannot work with I2ILR is refused by Runner.from_cfg."""

from functools import reduce

import pytest
from mmagic.registry import HOOKS
from mmengine.config import Config
from mmengine.runner import Runner, ValLoop

from i2ilr_mm.config import find_config, load_config
from i2ilr_mm.models import I2ILR
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
        ('val_evaluator', [dict(type='mmagic.FID-Full', fake_nums=4)], 'Distance.*and the kernel'),
        ('val_evaluator', [dict(type='FID', fake_nums=4)], 'Distance.*DistributionScores has the'),
        ('val_cfg', dict(type='mmengine.ValLoop'), "val_cfg=dict.type='MultiValLoop'"),
        ('val_cfg', dict(type=ValLoop), "val_cfg=dict.type='MultiValLoop'"),
        ('test_cfg', dict(type='mmengine.runner.TestLoop'), 'MultiTestLoop'),
        ('test_cfg', dict(), 'MultiTestLoop'),
        ('train_cfg', dict(type='EpochBasedTrainLoop', max_epochs=1), 'PairSampler never ends'),
        ('train_cfg', dict(type='mmengine.EpochBasedTrainLoop', max_epochs=1), 'never ends'),
        ('train_cfg', dict(by_epoch=True, max_epochs=1), 'PairSampler never ends'),
        ('custom_hooks', [dict(type='VisualizationHook')], 'SampleGridHook draws them'),
        (
            'custom_hooks',  # MMagic registers it there
            [dict(type='mmengine.VisualizationHook', interval=1, fixed_input=True)],
            'SampleGridHook draws them',
        ),
        (
            'custom_hooks',
            [object.__new__(HOOKS.get('VisualizationHook'))],
            'SampleGridHook draws them',
        ),
        ('model.data_preprocessor.type', 'DataPreprocessor', "set .*'I2ILRPreprocessor'"),
        ('model.data_preprocessor.type', 'mmengine.ImgDataPreprocessor', 'I2ILRPreprocessor'),
        ('val_dataloader.dataset.type', 'ConcatDataset', 'ConcatDataset.* one PairedPool'),
        ('test_dataloader.dataset.type', 'mmengine.RepeatDataset', 'Repeat.* one PairedPool'),
        ('img_size', 100, 'img_size=100 with lr_size=8'),
    ],
)
def test_refused_by_any_runner(cfg, setting, value, message):
    *path, last = setting.split('.')
    reduce(dict.__getitem__, path, cfg._cfg_dict)[last] = value
    with pytest.raises(ValueError, match=message):
        Runner.from_cfg(cfg)


def test_refused_by_our_commands_before_other_arguments_are(cfg):
    """The part, not that it has no argument of that name."""
    wrong = {'data_preprocessor.type': 'DataPreprocessor', 'data_preprocessor.non_blocking': True}
    with pytest.raises(ValueError, match='DataPreprocessor, which hands pictures on'):
        load_config('i2ilr_heads64', {f'model.{k}': v for k, v in wrong.items()})


@pytest.mark.parametrize('kind', ['mmagic.I2ILR', 'i2ilr_mm.models.i2ilr.I2ILR', I2ILR])
def test_however_the_model_is_written(cfg, kind):
    cfg.model.type = kind
    cfg.val_cfg = dict(type='ValLoop')
    with pytest.raises(ValueError, match='MultiValLoop'):
        check_parts(cfg)


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


@pytest.mark.parametrize('value', [3, 'x', [], [3], {}, {'type': 3}, None])
def test_settings_of_other_types_are_left_to_the_check_of_types(cfg, value):
    names = 'val_cfg test_evaluator train_cfg train_dataloader val_dataloader custom_hooks'
    for name in names.split():
        other = Config(cfg._cfg_dict.to_dict())
        other[name] = value
        if (name, value) != ('val_cfg', {}):  # MMEngine's default, its ValLoop
            check_parts(other)
    cfg.model.data_preprocessor = value
    check_parts(cfg)
