"""Scores: pure functions, feature networks, and metrics in MMagic's METRICS registry."""

from .features import (
    LPIPS,
    EfficientNetLite0,
    EfficientNetLite2,
    InceptionTF,
    InceptionTorchvision,
)
from .metrics import DistributionScores, LPIPSDiversity, LRConsistency
from .source_kept import SourceKept
from .transfer import TransferTruth

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
    'TransferTruth',
]
