# The published recipe: CelebA-HQ at 256 px, LR 8 x 8.
#
# Data as StarGAN v2 lays it out: data/celeba_hq/{train,val}/{female,male}/*.jpg,
# 28,000 / 2,000 pictures. docs/data.md says where it comes from.
_base_ = [
    '../_base_/runtime.py',
    '../_base_/model_published.py',
    '../_base_/optimizer_published.py',
    '../_base_/pairs.py',
    '../protocols/intra.py',
]

data_root = 'data/celeba_hq'
img_size = 256
lr_size = 8

# 100 epochs of 28,000 pictures, 8 at a time.
train_cfg = dict(type='ResumableTrainLoop', max_iters=350000, val_interval=10000)
