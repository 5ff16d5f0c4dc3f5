"""Networks, losses and the I2ILR model, in MMagic's MODELS registry."""

from .discriminator import LRResidualDiscriminator
from .generator import I2ILRGenerator
from .i2ilr import I2ILR
from .losses import LRConsistencyLoss, R1Penalty, SoftplusGANLoss
from .preprocessor import I2ILRPreprocessor

__all__ = [
    'I2ILR',
    'I2ILRGenerator',
    'I2ILRPreprocessor',
    'LRConsistencyLoss',
    'LRResidualDiscriminator',
    'R1Penalty',
    'SoftplusGANLoss',
]
