"""Scores: pure functions, feature networks, and metrics in MMagic's METRICS registry."""

from .features import (
    LPIPS,
    EfficientNetLite0,
    EfficientNetLite2,
    InceptionTF,
    InceptionTorchvision,
)
from .metrics import DistributionScores, LPIPSDiversity, LRConsistency, SourceKept

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
