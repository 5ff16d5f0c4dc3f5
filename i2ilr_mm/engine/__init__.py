"""Hooks and samplers, in MMagic's registries."""

from .hooks import PlainCheckpointHook, SampleGridHook, ThroughputHook
from .samplers import PairSampler

__all__ = ['PairSampler', 'PlainCheckpointHook', 'SampleGridHook', 'ThroughputHook']
