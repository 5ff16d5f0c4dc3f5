# The published recipe at its published size: CelebA-HQ at 128 px, LR 8 x 8.
_base_ = 'i2ilr_celebahq_256.py'

img_size = 128
