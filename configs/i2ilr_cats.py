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
linked = dict(data_root=data_root, img_size=img_size, lr_size=lr_size)

model = dict(
    generator=dict(
        img_size=img_size, lr_size=lr_size, base_channels=16, max_channels=64, style=True
    ),
    # Half the generator's width, and R1 at every eighth step: a sixth faster, and no worse.
    discriminator=dict(img_size=img_size, lr_size=lr_size, base_channels=8, max_channels=32),
    r1_loss=dict(interval=8),
    projected_discriminator=dict(img_size=img_size, lr_size=lr_size),
    # Cats hold on to their source by themselves: at .2 nine in ten are kept, and realism gains.
    source_loss=dict(img_size=img_size, lr_size=lr_size, loss_weight=0.2),
)
pool = dict(data_root=data_root, img_size=img_size, lr_size=lr_size)
train_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False, dataset=pool)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=pool)
test_dataloader = dict(dataset=pool)
del pool

auto_scale_lr = dict(base_batch_size=4)
train_cfg = dict(type='ResumableTrainLoop', max_iters=16000, val_interval=4000)
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(interval=500),
    samples=dict(interval=500),
)
log_processor = dict(window_size=50)
