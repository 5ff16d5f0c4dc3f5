# The embedded heads with networks half as wide and 16,000 pictures: some minutes on one CPU core.
# The ablations of docs/results.md are this config with one option each.
_base_ = 'i2ilr_heads64.py'

model = dict(
    generator=dict(base_channels=8, max_channels=32),
    discriminator=dict(base_channels=8, max_channels=32),
)
train_cfg = dict(max_iters=4000, val_interval=4000)
