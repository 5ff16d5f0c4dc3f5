"""Models for use: built from a config, loaded from a checkpoint."""

from .model import init_model
from .translator import Translation, Translator

__all__ = ['Translation', 'Translator', 'init_model']
