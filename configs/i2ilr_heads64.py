# I2I-LR on the embedded rendered heads at 64 px, LR 8 x 8: networks that two CPU cores can train.
_base_ = [
    '_base_/runtime.py',
    '_base_/model.py',
    '_base_/optimizer.py',
    '_base_/pairs.py',
    'protocols/heads.py',
]

data_root = 'embedded:heads64'
img_size = 64
lr_size = 8

model = dict(
    generator=dict(base_channels=16, max_channels=64, style=True),
    discriminator=dict(base_channels=16, max_channels=64),
    r1_loss=dict(interval=8),
    # On renderings the projected discriminator earns nothing: docs/results.md has the curves.
    projected_discriminator=None,
    projected_loss=None,
    # The knee of the curve there: more keeps more of the source, and costs pose, hair and realism.
    source_loss=dict(loss_weight=0.45),
)
optim_wrapper = dict(projected_discriminator=None)
# Many small steps teach more in the minutes that a CPU has than few large ones.
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
val_dataloader = dict(num_workers=0, persistent_workers=False)

auto_scale_lr = dict(base_batch_size=2)
train_cfg = dict(type='ResumableTrainLoop', max_iters=16000, val_interval=4000)
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(interval=1000),
    samples=dict(interval=500),
)
log_processor = dict(window_size=50)
