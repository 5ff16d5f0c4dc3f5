"""Hooks, samplers and optimisers, in MMagic's registries."""

from .hooks import PlainCheckpointHook, SampleGridHook, ThroughputHook
from .optim import I2ILROptimWrapperConstructor
from .samplers import PairSampler

__all__ = [
    'I2ILROptimWrapperConstructor',
    'PairSampler',
    'PlainCheckpointHook',
    'SampleGridHook',
    'ThroughputHook',
]
