# I2I-LR on AFHQ at 256 px, LR 8 x 8.
#
# Data as StarGAN v2 lays it out: data/afhq/{train,val}/{cat,dog,wild}/*, or v2's {train,test}.
# 14,630 / 1,500 pictures in v1. docs/data.md says where it comes from.
_base_ = [
    '_base_/runtime.py',
    '_base_/model.py',
    '_base_/optimizer.py',
    '_base_/pairs.py',
]

data_root = 'data/afhq'
img_size = 256
lr_size = 8

model = dict(
    generator=dict(img_size=img_size, lr_size=lr_size),
    discriminator=dict(img_size=img_size, lr_size=lr_size),
)
pool = dict(data_root=data_root, img_size=img_size, lr_size=lr_size)
train_dataloader = dict(dataset=pool)
val_dataloader = dict(dataset=pool)
test_dataloader = dict(dataset=dict(n_targets=5, **pool))

# About 100 epochs of 14,630 pictures, 8 at a time.
train_cfg = dict(type='IterBasedTrainLoop', max_iters=183000, val_interval=10000)
