"""I2I-LR, image-to-image translation with low-resolution conditioning, for MMagic."""

from . import compat

with compat.garbage_collection_off():
    compat.apply()

    from . import datasets, engine, evaluation, inference, models

__version__ = '0.1.0'
__all__ = ['__version__', 'datasets', 'engine', 'evaluation', 'inference', 'models']
