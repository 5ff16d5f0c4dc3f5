# The published recipe: CelebA-HQ at 128 px, LR 8 x 8, no LR loss, the published
# code's R1 and average.
_base_ = 'i2ilr_celebahq.py'

img_size = 128

model = dict(
    generator=dict(img_size=img_size),
    discriminator=dict(img_size=img_size),
    r1_loss=dict(mode='reference'),
    lr_loss=None,
    ema_warmup=False,
)
pool = dict(img_size=img_size)
train_dataloader = dict(dataset=pool)
val_dataloader = dict(dataset=pool)
test_dataloader = dict(dataset=pool)
del pool
