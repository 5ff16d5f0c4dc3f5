"""Our metrics in configs of MMagic's own models, run by MMEngine's Runner."""

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

import i2ilr_mm  # noqa: F401  what custom_imports does for a config file

LOADED = [
    dict(type='LoadPicture', key='img'),
    dict(type='ResizePicture', key='img'),
]
SCORES = dict(
    type='DistributionScores', network=dict(type='EfficientNetLite0'), cache_dir=None, k=2
)
UNCONDITIONAL = dict(
    type='DCGAN',
    noise_size=10,
    data_preprocessor=dict(type='DataPreprocessor'),
    generator=dict(type='DCGANGenerator', output_scale=32, base_channels=8),
    discriminator=dict(type='DCGANDiscriminator', input_scale=32, output_scale=4, out_channels=1),
)
RESTORATION = dict(
    type='BaseEditModel',
    data_preprocessor=dict(type='DataPreprocessor'),
    generator=dict(type='SRCNNNet', channels=(3, 4, 4, 3), upscale_factor=2),
    pixel_loss=dict(type='L1Loss'),
)


def run(heads, tmp_path, model: dict, pipeline: list, metric: dict):
    pool = dict(type='ImagePool', data_root=str(heads), split='train', img_size=32, lr_size=8)
    cfg = Config(
        dict(
            default_scope='mmagic',
            work_dir=str(tmp_path),
            model=model,
            test_dataloader=dict(
                batch_size=4,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(pool, pipeline=pipeline),
            ),
            test_evaluator=[dict(metric, real=dict(pool, pipeline=LOADED))],
            test_cfg=dict(type='MultiTestLoop'),
            log_processor=dict(type='LogProcessor', by_epoch=False),
            default_hooks=dict(timer=dict(type='IterTimerHook'), logger=dict(type='LoggerHook')),
        )
    )
    runner = Runner.from_cfg(cfg)
    runner.test()
    (found,) = runner.test_loop.evaluators[0].metrics
    assert found.report[0].name == 'fd_lite0' and found.report[0].value > 0
    assert found.report[0].n_real == 12
    return found


def test_a_model_that_makes_pictures_from_noise(heads, tmp_path):
    pipeline = [*LOADED, dict(type='PackInputs', keys=['img'])]
    metric = dict(SCORES, from_noise=True, fake_nums=20, sample_model='orig')
    metric['channel_order'] = 'bgr'
    assert (
        run(heads, tmp_path, UNCONDITIONAL, pipeline, metric).report[0].n == 20
    )  # more than there are pictures


def test_a_model_that_makes_pictures_from_pictures(heads, tmp_path):
    pipeline = [*LOADED, dict(type='PackInputs', keys=['img'])]
    metric = dict(SCORES, fake_key='output.pred_img', channel_order='bgr')
    assert run(heads, tmp_path, RESTORATION, pipeline, metric).report[0].n == 12


def test_noise_needs_a_number(heads, tmp_path):
    with pytest.raises(ValueError, match='fake_nums=-1'):
        run(heads, tmp_path, UNCONDITIONAL, LOADED, dict(SCORES, from_noise=True))
