"""Our metrics in configs of MMagic's own models, run by MMEngine's Runner."""

import numpy as np
import pytest
import torch
from mmagic.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

import i2ilr_mm  # noqa: F401  what custom_imports does for a config file
from i2ilr_mm.loading import load_weights_only

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


def optimisers(model) -> OptimWrapperDict:
    networks = dict(generator=model.generator, discriminator=model.discriminator)
    return OptimWrapperDict(
        **{k: OptimWrapper(torch.optim.SGD(n.parameters(), 1e-3)) for k, n in networks.items()}
    )


def test_our_loss_in_srgan():
    """It passes is_disc."""
    from mmagic.structures import DataSample

    init_default_scope('mmagic')
    model = MODELS.build(
        dict(
            type='SRGAN',
            data_preprocessor=dict(type='DataPreprocessor'),
            generator=dict(type='MSRResNet', in_channels=3, out_channels=3, mid_channels=4),
            discriminator=dict(
                type='DCGANDiscriminator', input_scale=32, output_scale=4, out_channels=1
            ),
            gan_loss=dict(type='SoftplusGANLoss', loss_weight=0.5),
            pixel_loss=dict(type='L1Loss'),
        )
    )
    truth = DataSample(gt_img=torch.rand(3, 32, 32) * 255)
    data = dict(inputs=[torch.rand(3, 8, 8) * 255] * 2, data_samples=[truth] * 2)
    log = model.train_step(data, optimisers(model))
    assert {'loss_gan', 'loss_d_real', 'loss_d_fake'} <= log.keys()
    assert all(np.isfinite(float(value)) for value in log.values())


def test_our_loss_in_base_edit_model():
    """Super-resolution whose results are to give the input back when they are shrunk."""
    from mmagic.structures import DataSample

    init_default_scope('mmagic')
    normal = dict(type='DataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3)
    loss = dict(type='LRConsistencyLoss', margin=0.5)
    model = MODELS.build(dict(RESTORATION, data_preprocessor=normal, pixel_loss=loss))
    small = [torch.rand(3, 16, 16) * 255 for _ in range(2)]
    data = dict(inputs=small, data_samples=[DataSample(gt_img=image) for image in small])
    with torch.no_grad():
        result = model.generator(torch.stack(small) / 127.5 - 1)
    shrunk = torch.nn.functional.avg_pool2d(result, 2) * 127.5 + 127.5
    expected = ((shrunk - torch.stack(small)).abs() - 0.5).clamp(min=0).mean()
    log = model.train_step(data, OptimWrapper(torch.optim.SGD(model.parameters(), 1e-3)))
    assert float(log['loss']) == pytest.approx(float(expected), rel=1e-4)


STYLEGAN2 = dict(
    type='StyleGAN2',
    data_preprocessor=dict(type='DataPreprocessor'),
    generator=dict(type='StyleGANv2Generator', out_size=8, style_channels=8, num_mlps=1),
    discriminator=dict(type='StyleGAN2Discriminator', in_size=8),
    loss_config=dict(r1_interval=1000, g_reg_interval=1000),  # their first step is within the test
)


def test_our_pool_and_hooks_in_stylegan2(heads, tmp_path):
    """Reads, trains, counts pictures, and stores a checkpoint of plain data."""
    copied = dict(type='CopyValues', src_keys=['img'], dst_keys=['gt'])  # where it looks
    packed = [*LOADED, copied, dict(type='PackInputs', keys=['img'])]
    pool = dict(type='ImagePool', data_root=str(heads), split='train', img_size=8, lr_size=4)
    sgd = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1e-3))
    cfg = Config(
        dict(
            default_scope='mmagic',
            custom_imports=dict(imports=['i2ilr_mm']),
            work_dir=str(tmp_path),
            model=STYLEGAN2,
            train_dataloader=dict(
                batch_size=2,
                sampler=dict(type='InfiniteSampler'),
                dataset=dict(pool, pipeline=packed),
            ),
            train_cfg=dict(by_epoch=False, max_iters=2),
            optim_wrapper=dict(
                constructor='MultiOptimWrapperConstructor', generator=sgd, discriminator=sgd
            ),
            log_processor=dict(type='LogProcessor', by_epoch=False),
            default_hooks=dict(
                timer=dict(type='IterTimerHook'),
                logger=dict(type='LoggerHook', interval=1),
                throughput=dict(type='ThroughputHook'),
                watch=dict(type='CollapseWatchHook', interval=1),
                checkpoint=dict(type='PlainCheckpointHook', by_epoch=False, interval=2),
            ),
        )
    )
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.message_hub.get_scalar('train/loss_gen').data[0].size == 2
    state = load_weights_only(str(tmp_path / 'iter_2.pth'))['state_dict']
    assert any(name.startswith('generator.') for name in state)


def test_mmagics_transforms_in_our_pool(heads):
    """Real pictures of the scores go through them, too: 'keys' in place of our 'key'."""
    resize = dict(type='Resize', keys=['img'], scale=(20, 24), interpolation='nearest')
    flip = dict(type='Flip', keys=['img'], flip_ratio=1.0)
    pool = DATASETS.build(
        dict(
            type='ImagePool',
            data_root=str(heads),
            split='train',
            img_size=32,
            lr_size=8,
            pipeline=[LOADED[0], resize, flip, dict(type='PackInputs', keys=['img'])],
        )
    )
    real = pool.real_image(pool.real_pictures()[0])
    assert real.shape == (3, 24, 20)
    assert torch.equal(pool[0]['inputs'].flip(-1), real)
