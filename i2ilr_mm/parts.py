"""Parts of MMagic that cannot work with I2ILR, refused before anything is built."""

from collections.abc import Iterator
from typing import Any

from mmagic.registry import HOOKS, METRICS
from mmengine.config import Config
from mmengine.registry import Registry

INSTEAD = {
    'FID': 'DistributionScores has the Frechet and kernel distance',
    'TransFID': 'DistributionScores has the Frechet and kernel distance',
    'PSNR': 'LRConsistency has the PSNR of the LR match, and a translation has no ground truth',
}


def check_parts(cfg: Config) -> None:
    """Refuse hooks, scores and loops that would end in an error of their own with I2ILR.

    Raises:
        ValueError: With one sentence that names what works.
    """
    if (cfg.get('model') or {}).get('type') != 'I2ILR':
        return
    _check_scoring(cfg)
    _check_epochs(cfg.get('train_cfg') or {}, cfg.get('train_dataloader') or {})
    for hook in cfg.get('custom_hooks') or []:
        if getattr(_class_of(hook, HOOKS), '__name__', '') == 'VisualizationHook':
            raise ValueError(
                'custom_hooks has VisualizationHook, which puts pictures of one size side by side, '
                'and an LR picture is smaller: SampleGridHook draws them, and default_hooks has it'
            )


def _check_scoring(cfg: Config) -> None:
    for kind, plain in (('val', 'ValLoop'), ('test', 'TestLoop')):
        loop = cfg.get(f'{kind}_cfg')
        if isinstance(loop, dict) and loop.get('type', plain) == plain:
            raise ValueError(
                f"{kind}_cfg is MMEngine's {plain}, which does not work with MMagic's evaluators: "
                f"set {kind}_cfg=dict(type='Multi{plain}')"
            )
        for metric in _metrics(cfg.get(f'{kind}_evaluator')):
            metric_class = _class_of(metric, METRICS)
            if metric_class is not None and metric_class.__module__.startswith('mmagic.'):
                hint = INSTEAD.get(
                    metric_class.__name__,
                    'DistributionScores, SourceKept, LRConsistency and LPIPSDiversity do',
                )
                raise ValueError(
                    f'{kind}_evaluator has {metric_class.__name__}, which cannot score '
                    f'translations towards LR targets: {hint}'
                )


def _check_epochs(loop: dict, loader: dict) -> None:
    by_epoch = loop.get('type') == 'EpochBasedTrainLoop' or loop.get('by_epoch')
    if by_epoch and (loader.get('sampler') or {}).get('type') == 'PairSampler':
        raise ValueError(
            'train_cfg trains by epochs, and PairSampler never ends: set train_cfg=dict('
            "type='ResumableTrainLoop', max_iters=...), or train_dataloader.sampler=dict("
            "type='DefaultSampler', shuffle=True)"
        )


def _class_of(part: Any, registry: Registry) -> type | None:
    """The class of a part, which stands in a config by its name, as a class, or built."""
    kind = part.get('type') if isinstance(part, dict) else type(part)
    return registry.get(kind) if isinstance(kind, str) else kind


def _metrics(evaluator: Any) -> Iterator[Any]:
    for part in evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]:
        if isinstance(part, dict) and 'metrics' in part:
            yield from _metrics(part['metrics'])
        elif part:
            yield part
