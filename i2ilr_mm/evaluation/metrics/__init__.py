"""Scores as MMagic metrics, for MultiValLoop and MultiTestLoop; one a file."""

from .distribution import DistributionScores
from .diversity import LPIPSDiversity
from .lr_consistency import LRConsistency
from .source_kept import SourceKept

__all__ = ['DistributionScores', 'LPIPSDiversity', 'LRConsistency', 'SourceKept']
