"""Scores: pure functions, feature networks, and metrics in MMagic's METRICS registry."""

from .features import EfficientNetLite0, EfficientNetLite2
from .inception import InceptionTF, InceptionTorchvision
from .metrics import DistributionScores, LPIPSDiversity, LRConsistency, SourceKept
from .perceptual import LPIPS

__all__ = [
    'LPIPS',
    'DistributionScores',
    'EfficientNetLite0',
    'EfficientNetLite2',
    'InceptionTF',
    'InceptionTorchvision',
    'LPIPSDiversity',
    'LRConsistency',
    'SourceKept',
]
