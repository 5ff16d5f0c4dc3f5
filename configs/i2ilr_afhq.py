# I2I-LR on AFHQ at 256 px, LR 8 x 8.
#
# Data as StarGAN v2 lays it out: data/afhq/{train,val}/{cat,dog,wild}/*, or v2's {train,test}.
# 14,630 / 1,500 pictures in v1. docs/data.md says where it comes from.
_base_ = 'i2ilr_celebahq.py'

data_root = 'data/afhq'

# About 100 epochs of 14,630 pictures, 8 at a time.
train_cfg = dict(max_iters=183_000)
