"""Score a model on the test pairs of a config: what `i2ilr test` does."""

import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from mmengine.config import Config
from mmengine.dist import is_main_process

from i2ilr.files import write_json

from ..building import config_errors
from ..datasets.pairs import PairedPool
from ..datasets.transforms import BindLuma, BindPart
from ..device import without_denormals
from ..evaluation.baselines import BASELINES, Baseline
from ..evaluation.grid import COLUMNS
from ..evaluation.report import collect_reports, report_dict, report_table
from ..inference.model import init_model, load_weights, read_weights
from ..models.i2ilr import I2ILR
from ..models.networks import unwrap
from .runner import build_runner, leave_group
from .samples import draw_plots, draw_samples


def ask_for(cfg: Config, lr_size: int | None, free: float = 0.0, grey: bool = False) -> None:
    """Let a config's test pairs have LR targets of another size, or targets that bind in part.

    Args:
        cfg: The config, of a generator that takes such targets.
        lr_size: Side of the LR targets; None leaves the config's.
        free: Share of the cells that are free.
        grey: Whether the targets give their luma alone, with the colours of the sources; any
            generator takes them.

    Raises:
        ValueError: If the generator takes no such targets, or ``free`` is out of range.
    """
    generator = cfg.model.generator
    sizes = generator.get('lr_sizes') or [generator.get('lr_size')]
    if lr_size is not None and lr_size not in sizes:
        raise ValueError(
            f'--lr-size is {lr_size}; this generator takes LR targets of {sizes}: give one of '
            f'them, or a model whose generator.lr_sizes has it'
        )
    if free and not generator.get('partial'):
        raise ValueError(
            '--free is for generators that take targets with free cells; this one has no '
            'generator.partial=True: take such a model, as i2ilr_cats_dial makes'
        )
    lr_method = cfg.model.get('lr_method') or 'box'
    parts = [dict(type='BindLuma', lr_method=lr_method)] if grey else []
    parts += [dict(type='BindPart', free=free)] if free else []
    loaders = cfg.test_dataloader
    for loader in loaders if isinstance(loaders, (list, tuple)) else [loaders]:
        dataset = loader.dataset
        dataset.lr_size = lr_size or dataset.lr_size
        if parts:
            dataset.pipeline = [*dataset.pipeline[:-1], *parts, dataset.pipeline[-1]]


TITLE_LENGTH = 20
"""Characters that a column of a grid has room for."""


@without_denormals()
def score(
    cfg: Config,
    checkpoint: str,
    out: str | None,
    samples: str | None,
    plots: str | None = None,
    compared: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Score a checkpoint on the config's test pairs; print a table and write it as JSON.

    Args:
        cfg: The config.
        checkpoint: A checkpoint file, a published generator, 'untrained' for the networks as
            initialised, or one of :data:`i2ilr_mm.evaluation.baselines.BASELINES`.
        out: File for the scores; None takes metrics.json in the work dir. The pairs go beside it.
        samples: PNG for a grid of pairs, or None.
        compared: Name -> checkpoint of further models; each has a column in the grids, under the
            last part of its name.
        plots: Folder for a grid sorted by LR error and for the Frechet distance against the number
            of results, or None.

    Raises:
        FileNotFoundError: If data, checkpoint or a weight file is missing.
        ValueError: If a checkpoint does not fit the config, or two columns would have one title.
    """
    titles = _titles(compared)
    cfg.load_from, cfg.resume = None, False  # of a training's own copy of its config
    without_file = checkpoint == 'untrained' or checkpoint in BASELINES
    weights = None if without_file else read_weights(checkpoint)
    compared_models = {
        t: init_model(cfg, path) for t, path in zip(titles, compared.values(), strict=True)
    }
    runner = build_runner(cfg)
    model = unwrap(runner.model)
    if weights is not None:
        load_weights(model, *weights, checkpoint)
    if checkpoint in BASELINES:
        model.generator_ema = Baseline(checkpoint, model.lr_method)
    with config_errors(cfg):
        runner.test_loop  # noqa: B018
    runner.test()
    if is_main_process():
        metrics = [m for e in runner.test_loop.evaluators for m in e.metrics]
        dataset = runner.test_loop.dataloaders[0].dataset
        _report(runner.cfg, metrics, dataset, checkpoint, out)
        if samples:
            _draw_some(model, dataset, samples, compared_models)
        if plots:
            draw_plots(model, metrics, dataset, plots, compared_models)
    del runner, model
    leave_group()


def _titles(names: Iterable[str]) -> list[str]:
    titles = [os.path.basename(name)[:TITLE_LENGTH] for name in names]
    if twice := {title for title in titles if [*COLUMNS, *titles].count(title) > 1}:
        raise ValueError(
            f'several columns would be called {sorted(twice)}; give each of them a name of its own '
            f'of at most {TITLE_LENGTH} characters: NAME=CHECKPOINT'
        )
    return titles


def _draw_some(model: I2ILR, dataset: PairedPool, path: str, compared: dict[str, I2ILR]) -> None:
    """Draw up to eight pairs, spread evenly over the data."""
    count = min(8, len(dataset))
    indices = [i * len(dataset) // count for i in range(count)]
    draw_samples(model, dataset, indices, path, compared)
    print(f'samples: {path}')


def _report(
    cfg: Config, metrics: list, dataset: PairedPool, checkpoint: str, out: str | None
) -> None:
    scores = collect_reports(metrics)
    protocol = _protocol(cfg, dataset)
    for entry in scores:
        entry.protocol = protocol['name']
    out = out or os.path.join(cfg.work_dir, 'metrics.json')
    report = dict(
        checkpoint=checkpoint,
        config=cfg.filename and os.path.basename(cfg.filename),
        data=f'{dataset.data_root} ({dataset.split})',
        weights='none' if checkpoint in BASELINES else 'EMA',
        protocol=protocol,
        scores=report_dict(scores),
    )
    write_json(out, report)
    pairs_file = f'{os.path.splitext(out)[0]}.pairs.json'
    write_json(pairs_file, dict(**dataset.choice(), pairs=dataset.pairs()))
    subject = checkpoint if checkpoint in BASELINES else f'{checkpoint} (EMA weights)'
    print(f'\n{subject} on {dataset.data_root}, protocol {protocol["name"]}\n')
    print(f'{report_table(scores)}\n')
    print(f'scores: {out}\npairs:  {pairs_file}')


def _binding(dataset: PairedPool) -> dict:
    """What of the targets is asked for, if that is not all."""
    transforms = dataset.pipeline.transforms
    free = sum(t.free for t in transforms if isinstance(t, BindPart))
    grey = any(isinstance(t, BindLuma) for t in transforms)
    return dict(free=free, grey=grey) if free or grey else {}


def _protocol(cfg: Config, dataset: PairedPool) -> dict:
    """All that two runs must share for their scores to be comparable, whatever the model."""
    return dict(
        name=cfg.get('protocol', 'own'),
        split=dataset.split,
        pictures=len(dataset.pictures),
        data_hash=dataset.content_hash,
        **dataset.choice(),
        img_size=dataset.img_size,
        lr_size=dataset.lr_size,
        lr_method=cfg.get('lr_method'),
        fit=cfg.get('fit'),
        **_binding(dataset),
    )
