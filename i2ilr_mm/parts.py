"""Parts of MMagic that cannot work with I2ILR, refused before anything is built."""

from collections.abc import Iterator
from typing import Any

from mmagic.registry import DATA_SAMPLERS, DATASETS, HOOKS, LOOPS, METRICS, MODELS
from mmengine.config import Config
from mmengine.registry import Registry

from .hints import registered

INSTEAD = {
    'FrechetInceptionDistance': 'DistributionScores has the Frechet and the kernel distance',
    'TransFID': 'DistributionScores has the Frechet and the kernel distance',
    'PSNR': 'LRConsistency has the PSNR of the LR match, and a translation has no ground truth',
}


def is_i2ilr(cfg: Config | dict) -> bool:
    """Whether the model of a config is an I2ILR, however it is written."""
    return _name_of(cfg.get('model'), MODELS) == 'I2ILR'


def check_parts(cfg: Config) -> None:
    """Refuse parts that would end in an error of their own with I2ILR, or in a wrong result.

    Raises:
        ValueError: With one sentence that names what works.
    """
    if not is_i2ilr(cfg):
        return
    _check_preprocessor(_dict(cfg, 'model').get('data_preprocessor'))
    _check_scoring(cfg)
    _check_training(_dict(cfg, 'train_cfg'), _dict(cfg, 'train_dataloader'))
    hooks = cfg.get('custom_hooks')
    for hook in hooks if isinstance(hooks, list) else ():
        if _name_of(hook, HOOKS) == 'VisualizationHook':
            raise ValueError(
                'custom_hooks has VisualizationHook, which puts pictures of one size side by side, '
                'and an LR picture is smaller: SampleGridHook draws them, and default_hooks has it'
            )


def _check_preprocessor(preprocessor: Any) -> None:
    kind = _class_of(preprocessor, MODELS)
    if kind is not None and kind.__module__.startswith(('mmagic.', 'mmengine.')):
        raise ValueError(
            f'model.data_preprocessor is {kind.__name__}, which hands pictures on in other ranges '
            f"and channels: set model.data_preprocessor=dict(type='I2ILRPreprocessor')"
        )


def _check_scoring(cfg: Config) -> None:
    for kind, plain in (('val', 'ValLoop'), ('test', 'TestLoop')):
        loop = cfg.get(f'{kind}_cfg')
        if isinstance(loop, dict) and _name_of({'type': plain, **loop}, LOOPS) == plain:
            raise ValueError(
                f"{kind}_cfg is MMEngine's {plain}, which does not work with MMagic's evaluators: "
                f"set {kind}_cfg=dict(type='Multi{plain}')"
            )
        for metric in _metrics(cfg.get(f'{kind}_evaluator')):
            _check_metric(metric, f'{kind}_evaluator')
            _check_pairs(metric, _dict(cfg, f'{kind}_dataloader').get('dataset'), kind)


def _check_metric(metric: Any, where: str) -> None:
    metric_class = _class_of(metric, METRICS)
    if metric_class is not None and metric_class.__module__.startswith('mmagic.'):
        hint = INSTEAD.get(
            metric_class.__name__,
            'DistributionScores, SourceKept, LRConsistency and LPIPSDiversity do',
        )
        raise ValueError(
            f'{where} has {metric_class.__name__}, which cannot score translations towards LR '
            f'targets: {hint}'
        )


def _check_pairs(metric: Any, dataset: Any, kind: str) -> None:
    ours = getattr(_class_of(metric, METRICS), '__module__', '').startswith('i2ilr_mm.')
    joined = _name_of(dataset, DATASETS)
    if ours and joined in ('ConcatDataset', 'RepeatDataset', 'ClassBalancedDataset'):
        raise ValueError(
            f'{kind}_dataloader.dataset is {joined}, and {_name_of(metric, METRICS)} scores the '
            f'pairs of one PairedPool: set one, such as that of a folder with all pictures'
        )


def _check_training(loop: dict, loader: dict) -> None:
    by_epoch = loop.get('by_epoch') or _name_of(loop, LOOPS) == 'EpochBasedTrainLoop'
    if by_epoch and _name_of(loader.get('sampler'), DATA_SAMPLERS) == 'PairSampler':
        raise ValueError(
            'train_cfg trains by epochs, and PairSampler never ends: set train_cfg=dict('
            "type='ResumableTrainLoop', max_iters=...), or train_dataloader.sampler=dict("
            "type='DefaultSampler', shuffle=True)"
        )


def _dict(cfg: Config, name: str) -> dict:
    """A setting, or nothing where it is of another type, which is refused elsewhere."""
    value = cfg.get(name)
    return value if isinstance(value, dict) else {}


def _name_of(part: Any, registry: Registry) -> str:
    """The name of a part's class, in whatever scope it is looked up; '' of one that is unknown."""
    return getattr(_class_of(part, registry), '__name__', '')


def _class_of(part: Any, registry: Registry) -> type | None:
    """The class of a part, which stands in a config by its name, as a class, or built."""
    kind = part.get('type') if isinstance(part, dict) else type(part)
    built = registered(registry, kind)
    return built if isinstance(built, type) else None


def _metrics(evaluator: Any) -> Iterator[Any]:
    for part in evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]:
        if isinstance(part, dict) and 'metrics' in part:
            yield from _metrics(part['metrics'])
        elif part:
            yield part
