"""Ranges of numbers and choices of words in a config, beyond what type hints say."""

import math
from typing import Any, NamedTuple

from .datasets.pairs import PAIRINGS
from .datasets.splits import SPLITS
from .datasets.transforms import FITS
from .lr import DOWN_METHODS, UP_METHODS
from .models.convolutions import INITS, NORMS

OURS = ('i2ilr_mm', 'mmagic', 'mmcv', 'mmengine', 'torch')
"""Packages whose names mean what the tables below say; a user's own classes are free."""


class Range(NamedTuple):
    """Numbers from ``low`` to ``high``, both included."""

    low: float
    high: float = math.inf
    whole: bool = False

    def holds(self, value: float) -> bool:
        if not math.isfinite(value) or (self.whole and value != int(value)):
            return False
        return self.low <= value <= self.high

    def text(self, value: float) -> str:
        """What is accepted in the place of a value outside."""
        kind = 'a whole number' if self.whole else 'a number'
        if value < self.low and self.high >= 10**6:
            return f'{kind} of at least {self.low}'
        return f'{kind} from {self.low} to {self.high}'


MOST = 2**53
"""Whole numbers beyond this are not exact in every place that they go through."""

MANY = 2**31 - 1
COUNT = Range(1, MANY, whole=True)
COUNT_OR_0 = Range(0, MANY, whole=True)
COUNT_OR_NEVER = Range(-1, MANY, whole=True)
SIDE = Range(1, 8192, whole=True)
WIDTH = Range(1, 2**14, whole=True)
POSITIVE = Range(0, 1e38)
SHARE = Range(0, 1)

LIMITS: dict[str, Range] = {
    **dict.fromkeys(
        ('interval', 'val_interval', 'max_iters', 'max_epochs', 'window_size', 'n_pairs'), COUNT
    ),
    **dict.fromkeys(('batch_size', 'base_batch_size', 'n_targets', 'accumulation'), COUNT),
    **dict.fromkeys(('k', 'kid_subsets', 'kid_subset_size', 'queue_size'), COUNT),
    **dict.fromkeys(('prefetch_factor', 'accumulative_counts', 'resource_limit'), COUNT),
    **dict.fromkeys(('val_begin', 'save_begin', 'opencv_num_threads', 'max_refetch'), COUNT_OR_0),
    **dict.fromkeys(('img_size', 'lr_size', 'in_size'), SIDE),
    **dict.fromkeys(('base_channels', 'max_channels', 'mixed_channels', 'head_channels'), WIDTH),
    **dict.fromkeys(('lr', 'eps', 'weight_decay', 'momentum', 'loss_weight', 'gamma'), POSITIVE),
    **dict.fromkeys(('margin', 'temperature', 'rise', 'timeout'), POSITIVE),
    **dict.fromkeys(('ema_decay', 'flip_ratio', 'saturated', 'betas'), SHARE),
    **dict.fromkeys(('CheckpointHook.interval', 'max_keep_ckpts'), COUNT_OR_NEVER),
    'num_workers': Range(0, 1024, whole=True),
    'seed': Range(0, 2**32 - 1, whole=True),
}
"""Name of a setting, or Class.name -> the numbers that it can be."""

CHOICES: dict[str, tuple[str, ...]] = {
    'autocast': ('bfloat16',),
    'channel_order': ('rgb', 'bgr'),
    'default_scope': ('mmagic',),
    'direction': ('horizontal', 'vertical'),
    'exact_lr': UP_METHODS,
    'fit': FITS,
    'gan_type': ('vanilla', 'lsgan', 'wgan', 'hinge', 'l1'),
    'init': INITS,
    'launcher': ('none', 'pytorch', 'slurm', 'mpi'),
    'log_level': ('CRITICAL', 'ERROR', 'WARNING', 'INFO', 'DEBUG', 'NOTSET'),
    'lr_method': DOWN_METHODS,
    'mp_start_method': ('fork', 'spawn', 'forkserver'),
    'pairing': PAIRINGS,
    'reduction': ('none', 'mean', 'sum'),
    'rule': ('less', 'greater'),
    'split': SPLITS,
    'DownscaleLR.key': ('img', 'target'),
    'I2ILRGenerator.norm': tuple(NORMS),
    'LRConsistencyLoss.method': DOWN_METHODS,
    'LRConsistencyLoss.norm': ('l1', 'l2'),
    'LRResidualDiscriminator.norm': tuple(NORMS),
    'LoadPicture.key': ('img', 'target'),
    'R1Penalty.mode': ('standard', 'reference'),
    'ResizePicture.key': ('img', 'target'),
}
"""Name of a setting, or Class.name -> the words that it can be."""


def outside(name: str, value: Any, owner: type | None = None) -> str | None:
    """What is accepted for a setting, if its value is out of range or no choice; else None.

    Args:
        name: Name of the setting.
        value: Of a type that fits. A list is looked into.
        owner: The class that takes it.
    """
    if isinstance(value, (list, tuple)):
        return next(filter(None, (outside(name, child, owner) for child in value)), None)
    if isinstance(value, str):
        choices = _entry(CHOICES, name, owner)
        return None if choices is None or value in choices else f'one of {", ".join(choices)}'
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    limits = _entry(LIMITS, name, owner) or Range(-MOST, MOST)
    return None if limits.holds(value) else limits.text(value)


def _entry(table: dict[str, Any], name: str, owner: Any) -> Any:
    """The entry of a class or of one that it inherits from, else of the name alone."""
    lineage = [c for c in getattr(owner, '__mro__', ()) if f'{c.__name__}.{name}' in table]
    return table[f'{lineage[0].__name__}.{name}'] if lineage else table.get(name)
