# The published recipe at its published size: CelebA-HQ at 128 px, LR 8 x 8.
_base_ = 'i2ilr_celebahq_256.py'

img_size = 128
linked = dict(img_size=img_size)

model = dict(generator=dict(img_size=img_size), discriminator=dict(img_size=img_size))
pool = dict(img_size=img_size)
train_dataloader = dict(dataset=pool)
val_dataloader = dict(dataset=pool)
test_dataloader = dict(dataset=pool)
del pool
