# The published recipe at 128 px under its earlier name.
_base_ = 'published/i2ilr_celebahq_128.py'
