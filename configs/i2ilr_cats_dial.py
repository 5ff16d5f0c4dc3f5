# The cats, with a dial: LR targets of 4 x 4 to 32 x 32, any cell left free.
_base_ = 'i2ilr_cats.py'

model = dict(
    generator=dict(lr_sizes=[4, 8, 16, 32], partial=True),
    # Most steps at the size that the fixed models have.
    target_draws=dict(type='TargetDraws', shares=[1, 4, 1, 1], free=0.25),
)
