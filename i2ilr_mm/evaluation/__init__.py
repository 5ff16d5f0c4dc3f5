"""Scores: pure functions, feature networks, and metrics in MMagic's METRICS registry."""

from .metrics import I2ILRFID, FDLite0, LRConsistency

__all__ = ['I2ILRFID', 'FDLite0', 'LRConsistency']
