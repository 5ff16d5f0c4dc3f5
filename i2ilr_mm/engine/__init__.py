"""Hooks, samplers and optimisers, in MMagic's registries."""

from .cost import CostHook
from .hooks import DeferredRuntimeInfoHook, PlainCheckpointHook, SampleGridHook, ThroughputHook
from .optim import I2ILROptimWrapperConstructor
from .samplers import PairSampler

__all__ = [
    'CostHook',
    'DeferredRuntimeInfoHook',
    'I2ILROptimWrapperConstructor',
    'PairSampler',
    'PlainCheckpointHook',
    'SampleGridHook',
    'ThroughputHook',
]
