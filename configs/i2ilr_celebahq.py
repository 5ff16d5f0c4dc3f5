# I2I-LR on CelebA-HQ at 256 px, LR 8 x 8.
#
# Data as StarGAN v2 lays it out: data/celeba_hq/{train,val}/{female,male}/*.jpg,
# 28,000 / 2,000 pictures. docs/data.md says where it comes from.
_base_ = [
    '_base_/runtime.py',
    '_base_/model.py',
    '_base_/optimizer.py',
    '_base_/pairs.py',
    'protocols/intra.py',
]

data_root = 'data/celeba_hq'
img_size = 256
lr_size = 8
linked = dict(data_root=data_root, img_size=img_size, lr_size=lr_size)

model = dict(
    generator=dict(img_size=img_size, lr_size=lr_size),
    discriminator=dict(img_size=img_size, lr_size=lr_size),
    projected_discriminator=dict(img_size=img_size, lr_size=lr_size),
    source_loss=dict(img_size=img_size, lr_size=lr_size),
)
pool = dict(data_root=data_root, img_size=img_size, lr_size=lr_size)
train_dataloader = dict(dataset=pool)
val_dataloader = dict(dataset=pool)
test_dataloader = dict(dataset=pool)
del pool

# 100 epochs of 28,000 pictures, 8 at a time.
train_cfg = dict(type='ResumableTrainLoop', max_iters=350000, val_interval=10000)
