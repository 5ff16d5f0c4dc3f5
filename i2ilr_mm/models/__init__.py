"""Networks, losses and the I2ILR model, in MMagic's MODELS registry."""

from .discriminator import LRResidualDiscriminator
from .frozen import EfficientNetLite0Stages, EfficientNetLite2Stages
from .generator import I2ILRGenerator
from .i2ilr import I2ILR
from .losses import LRConsistencyLoss, R1Penalty, SoftplusGANLoss
from .preprocessor import I2ILRPreprocessor
from .projected import ProjectedDiscriminator
from .source import ContrastiveSourceLoss
from .target_draws import TargetDraws

__all__ = [
    'I2ILR',
    'ContrastiveSourceLoss',
    'EfficientNetLite0Stages',
    'EfficientNetLite2Stages',
    'I2ILRGenerator',
    'I2ILRPreprocessor',
    'LRConsistencyLoss',
    'LRResidualDiscriminator',
    'ProjectedDiscriminator',
    'R1Penalty',
    'SoftplusGANLoss',
    'TargetDraws',
]
