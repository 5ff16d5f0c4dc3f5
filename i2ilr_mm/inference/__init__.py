"""Models for use: built from a config, loaded from a checkpoint."""

from .model import init_model

__all__ = ['init_model']
