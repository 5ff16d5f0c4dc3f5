"""Hooks, optimisers, the training loop and its sampler, in MMagic's registries."""

from .checkpoints import PlainCheckpointHook
from .cost import CostHook
from .hooks import DeferredRuntimeInfoHook, SampleGridHook, ThroughputHook
from .loops import ResumableTrainLoop
from .optim import I2ILROptimWrapperConstructor
from .samplers import PairSampler, SourceSampler
from .watch import CollapseWatchHook

__all__ = [
    'CollapseWatchHook',
    'CostHook',
    'DeferredRuntimeInfoHook',
    'I2ILROptimWrapperConstructor',
    'PairSampler',
    'PlainCheckpointHook',
    'ResumableTrainLoop',
    'SampleGridHook',
    'SourceSampler',
    'ThroughputHook',
]
