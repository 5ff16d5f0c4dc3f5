"""Settings that have to go together, each of them right by itself."""

from collections.abc import Iterator

from mmagic.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.config import Config

from .hints import brief, nearest, registered, unknown_type

CONSTRUCTOR = 'I2ILROptimWrapperConstructor'
NETWORKS = ('generator', 'discriminator', 'projected_discriminator')

ALL_OR_NONE = (
    ('train_dataloader', 'train_cfg', 'optim_wrapper'),
    ('val_dataloader', 'val_cfg', 'val_evaluator'),
    ('test_dataloader', 'test_cfg', 'test_evaluator'),
)
"""What MMEngine wants as a whole."""


def misfits(cfg: Config) -> Iterator[str]:
    """What does not go together, one sentence each; expects a config of the right types."""
    for names in ALL_OR_NONE:
        missing = [name for name in names if cfg.get(name) is None]
        if 0 < len(missing) < len(names):
            yield (
                f'{" and ".join(missing)} {"is" if len(missing) == 1 else "are"} None: '
                f'{", ".join(names)} are set together, or all of them are None'
            )
    if cfg.get('optim_wrapper') is not None:
        yield from _optimizers(cfg.optim_wrapper)
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        dataset = loader.get('dataset') if isinstance(loader, dict) else None
        if isinstance(dataset, dict) and dataset.get('type') in ('ImagePool', 'PairedPool'):
            yield from _pipeline(dataset, f'{split}_dataloader.dataset.pipeline')
    scaling = cfg.get('auto_scale_lr') or {}
    if scaling.get('enable') and scaling.get('base_batch_size') is None:
        yield 'auto_scale_lr.enable is True without auto_scale_lr.base_batch_size: set that, too'


def _optimizers(wrappers: dict) -> Iterator[str]:
    """One wrapper a network; names are checked again where the networks are known."""
    constructor = wrappers.get('constructor')
    if constructor is None:
        yield (
            f'optim_wrapper has no constructor, and every network has an optimizer of its own: set '
            f"optim_wrapper=dict(constructor='{CONSTRUCTOR}', generator=dict(type='OptimWrapper', "
            f'optimizer=dict(...)), discriminator=dict(...))'
        )
    elif registered(OPTIM_WRAPPER_CONSTRUCTORS, constructor) is None:
        yield unknown_type('optim_wrapper.constructor', constructor, OPTIM_WRAPPER_CONSTRUCTORS)
    if constructor != CONSTRUCTOR:
        return
    for name, wrapper in wrappers.items():
        if name in ('constructor', 'paramwise_cfg'):
            continue
        if name not in NETWORKS:
            yield f'optim_wrapper.{name} is unknown{nearest(name, NETWORKS)}'
        elif wrapper is not None and not isinstance(wrapper, dict):
            yield (
                f'optim_wrapper.{name} is {brief(wrapper)}; accepted is a dict such as '
                f"dict(type='OptimWrapper', optimizer=dict(...)), or None"
            )


def _pipeline(dataset: dict, path: str) -> Iterator[str]:
    """Follow a pipeline of our transforms; from one of another kind on, anything can be there."""
    paired = dataset['type'] == 'PairedPool'
    readable = ['img', 'target'] if paired else ['img']
    there: dict[str, None] = {}  # in order
    for i, step in enumerate(dataset.get('pipeline') or []):
        kind = step.get('type') if isinstance(step, dict) else None
        if kind not in ('LoadPicture', 'ResizePicture', 'Flip', 'DownscaleLR', 'PackInputs'):
            return
        keys = step.get('keys', step.get('key', 'img'))
        keys = [keys] if isinstance(keys, str) else keys
        choice = readable if kind == 'LoadPicture' else list(there)
        for key in keys:
            if key not in choice:
                yield (
                    f"{path}.{i} ({kind}) asks for '{key}', and there is "
                    f'{" and ".join(choice) or "nothing"} at this step'
                )
        there |= dict.fromkeys([*keys, *(['lr'] if kind == 'DownscaleLR' else [])])
        if kind == 'PackInputs' and {'img', 'lr'} <= set(keys):
            return
    yield f"{path} does not end in dict(type='PackInputs', keys=['img', 'lr'])"
