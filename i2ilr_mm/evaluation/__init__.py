"""Scores: pure functions, feature networks, and metrics in MMagic's METRICS registry."""

from .metrics import FDLite0, I2ILRFID, LRConsistency

__all__ = ['FDLite0', 'I2ILRFID', 'LRConsistency']
