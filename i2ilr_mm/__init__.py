"""I2I-LR, image-to-image translation with low-resolution conditioning, for MMagic."""

from . import compat

compat.apply()

from . import datasets, engine, evaluation, inference, models  # noqa: E402

__version__ = '0.1.0'
__all__ = ['__version__', 'datasets', 'engine', 'evaluation', 'inference', 'models']
