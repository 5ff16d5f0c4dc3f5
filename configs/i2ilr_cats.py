# Cat faces at 128 px, LR 8 x 8: real photographs, with networks that two CPU cores can train.
#
# data/afhq_cats_128.zip (or a folder like it) holds train/*.jpg and test/*.jpg. docs/data.md says
# how it is made from AFHQ's cats. img_size=64 is half an hour of one core.
_base_ = [
    '_base_/runtime.py',
    '_base_/model.py',
    '_base_/optimizer.py',
    '_base_/pairs.py',
    'protocols/cats.py',
]

data_root = 'data/afhq_cats_128.zip'
img_size = 128
lr_size = 8

model = dict(
    generator=dict(base_channels=16, max_channels=64),
    # Half the generator's width, and R1 at every eighth step: a sixth faster, and no worse.
    discriminator=dict(base_channels=8, max_channels=32),
    r1_loss=dict(interval=8),
    # Cats hold on to their source by themselves: at .2 nine in ten are kept, and realism gains.
    source_loss=dict(loss_weight=0.2),
)
train_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False)
val_dataloader = dict(num_workers=0, persistent_workers=False)

auto_scale_lr = dict(base_batch_size=4)
train_cfg = dict(type='ResumableTrainLoop', max_iters=16000, val_interval=4000)
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(interval=500),
    samples=dict(interval=500),
)
log_processor = dict(window_size=50)
