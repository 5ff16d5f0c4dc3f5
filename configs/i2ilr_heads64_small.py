# The embedded heads with networks half as wide and 16,000 pictures: some minutes on one CPU core.
_base_ = 'i2ilr_heads64.py'

model = dict(
    generator=dict(base_channels=8, max_channels=32),
    discriminator=dict(base_channels=8, max_channels=32),
)
train_cfg = dict(max_iters=8000, val_interval=8000)
