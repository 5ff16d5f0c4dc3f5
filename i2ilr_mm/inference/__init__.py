"""Models for use: built from a config, loaded from a checkpoint."""

from .inferencer import I2ILRInferencer
from .matching import match
from .model import init_model
from .translation import Translation
from .translator import Translator

__all__ = ['I2ILRInferencer', 'Translation', 'Translator', 'init_model', 'match']
