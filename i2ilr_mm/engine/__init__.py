"""Hooks, the training loop and its sampler, in MMagic's registries."""

from .hooks import PlainCheckpointHook, SampleGridHook, ThroughputHook
from .loops import ResumableTrainLoop
from .samplers import PairSampler

__all__ = [
    'PairSampler',
    'PlainCheckpointHook',
    'ResumableTrainLoop',
    'SampleGridHook',
    'ThroughputHook',
]
