"""Models for use: built from a config, loaded from a checkpoint."""

from .inferencer import I2ILRInferencer
from .model import init_model
from .translator import Translation, Translator

__all__ = ['I2ILRInferencer', 'Translation', 'Translator', 'init_model']
