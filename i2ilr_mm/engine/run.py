"""From a config to a running MMEngine Runner; what the command lines call."""

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.runner import Runner

from i2ilr.files import write_json

from ..datasets.pairs import PairedPool
from ..datasets.pictures import resolve_root
from ..evaluation.baselines import BASELINES, Baseline
from ..evaluation.grid import COLUMNS, load_pairs, result_columns, sample_grid
from ..evaluation.metrics import DistributionScores, LRConsistency
from ..evaluation.plots import plot_frechet_against_n, spread_evenly
from ..evaluation.report import collect_reports, report_dict, report_table
from ..inference.model import init_model, load_weights, read_weights
from ..loading import strict_loading
from ..models.i2ilr import I2ILR
from ..models.networks import unwrap
from .checkpoints import latest_checkpoint

TITLE_LENGTH = 20
"""Characters that a column of a grid has room for."""


def set_work_dir(cfg: Config, work_dir: str | None, config_name: str) -> None:
    """Take the given work dir, else the config's, else work_dirs/<config>."""
    stem = os.path.splitext(config_name)[0]
    cfg.work_dir = work_dir or cfg.get('work_dir') or os.path.join('work_dirs', stem)


def set_resume(cfg: Config, resume: str | None) -> None:
    """Set up resuming: None starts anew, 'auto' takes the work dir's latest checkpoint, or a path.

    Raises:
        FileNotFoundError: If the named checkpoint does not exist.
        FileExistsError: If a new run would write into the work dir of an earlier one.
    """
    last = latest_checkpoint(cfg.work_dir)
    if resume is None and cfg.get('resume') and not cfg.get('load_from'):
        resume = 'auto'  # MMEngine would believe last_checkpoint, which a kill leaves behind
    if resume is None:
        if last and not cfg.get('resume'):
            raise FileExistsError(
                f"'{cfg.work_dir}' holds an earlier run, up to '{os.path.basename(last)}': go on "
                f'with it by --resume, or choose another --work-dir'
            )
        return
    if resume != 'auto':
        if not os.path.isfile(resume):
            raise FileNotFoundError(f"--resume: there is no checkpoint '{resume}'")
        cfg.load_from = resume
        if last and os.path.realpath(last) != os.path.realpath(resume):
            print_log(
                f"--resume: '{cfg.work_dir}' also holds '{os.path.basename(last)}', which a plain "
                f'--resume would take; another --work-dir keeps the two apart',
                'current',
                30,
            )
    elif last is None:
        print_log(f"--resume: no checkpoint in '{cfg.work_dir}' yet, starting anew", 'current')
        cfg.resume = False
        return
    else:
        cfg.load_from = last
    cfg.resume = True


def set_amp(cfg: Config) -> None:
    """Switch bfloat16 autocast on, where the hardware has it; else say so and stay in float32."""
    if torch.cuda.is_available() and torch.cuda.get_device_capability() < (8, 0):
        print_log('--amp: this GPU has no bfloat16; training stays in float32', 'current', 30)
        return
    cfg.model.autocast = 'bfloat16'


def build_runner(cfg: Config) -> Runner:
    """Check what can be checked before networks are built, then build the Runner.

    Raises:
        FileNotFoundError: If the data root does not exist.
        ValueError: If a part of the config is unknown or takes no such option.
    """
    if 'data_root' in cfg:
        resolve_root(cfg.data_root, 'data_root')
    torch.set_flush_denormal(True)  # denormal numbers slow a CPU down and mean nothing here
    if cfg.get('randomness', {}).get('deterministic'):
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')  # or cuBLAS refuses
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if isinstance(cfg.get(loader), dict):
            cfg[loader].setdefault('pin_memory', torch.cuda.is_available())
    if cfg.get('launcher') == 'pytorch' and not torch.cuda.is_available():
        # MMEngine takes a GPU for granted, but keeps a group that exists and devices that are set.
        torch.distributed.init_process_group('gloo')
        cfg.model_wrapper_cfg.device_ids = None
    with _config_errors():
        return Runner.from_cfg(cfg)


def train(cfg: Config) -> None:
    """Train the model of a config.

    Raises:
        FileNotFoundError: If the data root does not exist.
        ValueError: If a part of the config cannot be built.
    """
    runner = build_runner(cfg)
    with _config_errors():  # built here, not in train(), where errors of any kind can come up
        runner.train_loop, runner.val_loop  # noqa: B018
    try:
        with strict_loading():
            runner.train()
    except KeyboardInterrupt:
        last = latest_checkpoint(runner.work_dir)
        raise SystemExit(
            f'interrupted at iteration {runner.iter}; last checkpoint: {last or "none yet"}; '
            f'the same command with --resume goes on from there'
        ) from None
    del runner
    leave_group()


def leave_group() -> None:
    """End the process group, once nothing but garbage holds it, while Python is whole.

    Gloo's threads give back Python objects after their last task. When Python is about to exit by
    then, the process is aborted (seen in one of fifteen runs, torch 2.14).
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        gc.collect()  # the runner, with the networks' wrappers, is part of cycles
        torch.distributed.destroy_process_group()


@contextmanager
def _config_errors() -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError) as error:
        raise ValueError(f'the config cannot be built: {error}') from error


def score(
    cfg: Config,
    checkpoint: str,
    out: str | None,
    samples: str | None,
    plots: str | None = None,
    beside: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Score a checkpoint on the config's test pairs; print a table and write it as JSON.

    Args:
        cfg: The config.
        checkpoint: A checkpoint file, a published generator, 'untrained' for the networks as
            initialised, or one of :data:`i2ilr_mm.evaluation.baselines.BASELINES`.
        out: File for the scores; None takes metrics.json in the work dir. The pairs go beside it.
        samples: PNG for a grid of pairs, or None.
        beside: Name -> checkpoint of further models; each has a column in the grids, under the
            last part of its name.
        plots: Folder for a grid sorted by LR error and for the Frechet distance against the number
            of results, or None.

    Raises:
        FileNotFoundError: If data, checkpoint or a weight file is missing.
        ValueError: If a checkpoint does not fit the config, or two columns would have one title.
    """
    titles = [os.path.basename(name)[:TITLE_LENGTH] for name in beside]
    if twice := {title for title in titles if [*COLUMNS, *titles].count(title) > 1}:
        raise ValueError(
            f'several columns would be called {sorted(twice)}; give each of them a name of its own '
            f'of at most {TITLE_LENGTH} characters: NAME=CHECKPOINT'
        )
    cfg.load_from, cfg.resume = None, False  # of a training's own copy of its config
    without_file = checkpoint == 'untrained' or checkpoint in BASELINES
    weights = None if without_file else read_weights(checkpoint)
    others = {t: init_model(cfg, path) for t, path in zip(titles, beside.values(), strict=True)}
    runner = build_runner(cfg)
    model = unwrap(runner.model)
    if weights is not None:
        load_weights(model, *weights, checkpoint)
    if checkpoint in BASELINES:
        model.generator_ema = Baseline(checkpoint, model.lr_method)
    with _config_errors():
        runner.test_loop  # noqa: B018
    runner.test()
    if is_main_process():
        metrics = [m for e in runner.test_loop.evaluators for m in e.metrics]
        dataset = runner.test_loop.dataloaders[0].dataset
        _report(runner.cfg, metrics, dataset, checkpoint, out)
        if samples:
            count = min(8, len(dataset))
            indices = [i * len(dataset) // count for i in range(count)]
            draw_samples(model, dataset, indices, samples, others)
            print(f'samples: {samples}')
        if plots:
            _draw_plots(model, metrics, dataset, plots, others)
    del runner, model
    leave_group()


def _report(
    cfg: Config, metrics: list, dataset: PairedPool, checkpoint: str, out: str | None
) -> None:
    scores = collect_reports(metrics)
    protocol = _protocol(cfg, dataset)
    for one in scores:
        one.protocol = protocol['name']
    out = out or os.path.join(cfg.work_dir, 'metrics.json')
    write_json(
        out,
        dict(
            checkpoint=checkpoint,
            config=cfg.filename and os.path.basename(cfg.filename),
            data=f'{dataset.data_root} ({dataset.split})',
            weights='none' if checkpoint in BASELINES else 'EMA',
            protocol=protocol,
            scores=report_dict(scores),
        ),
    )
    pairs_file = f'{os.path.splitext(out)[0]}.pairs.json'
    write_json(pairs_file, dict(**dataset.choice(), pairs=dataset.pairs()))
    of = checkpoint if checkpoint in BASELINES else f'{checkpoint} (EMA weights)'
    print(f'\n{of} on {dataset.data_root}, protocol {protocol["name"]}\n\n{report_table(scores)}\n')
    print(f'scores: {out}\npairs:  {pairs_file}')


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
    )


def draw_samples(
    model: I2ILR,
    dataset: PairedPool,
    indices: list[int],
    path: str,
    others: Mapping[str, I2ILR] = MappingProxyType({}),
) -> None:
    """Draw pairs of a dataset: source, LR target, result, the result shrunk, its error.

    Further columns show the results of ``others``, under their names.
    """
    source, lr = load_pairs(model, dataset, indices)
    columns, error = result_columns(source, lr, model.predict(source, lr), model.lr_method)
    for name, other in others.items():
        columns[name] = other.to(source.device).predict(source, lr)
    grid = sample_grid(
        columns,
        notes=[f'{e:.1f} levels' for e in error.mean(dim=(1, 2, 3)).tolist()],
    )
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    grid.save(path)


def _draw_plots(
    model: I2ILR, metrics: list, dataset: PairedPool, folder: str, others: Mapping[str, I2ILR]
) -> None:
    """Draw what the metrics of a scoring allow; say what was drawn."""
    drawn = []
    for metric in metrics:
        if isinstance(metric, LRConsistency):
            order = sorted(metric.errors, key=metric.errors.__getitem__)
            drawn.append(os.path.join(folder, 'best_to_worst.png'))
            draw_samples(model, dataset, spread_evenly(order, 10), drawn[-1], others)
    sets = [
        (metric.network.frechet, torch.stack(list(metric.results.values())), metric.real_features)
        for metric in metrics
        if isinstance(metric, DistributionScores)
        and not metric.by_class  # a mean over class pairs has no one curve
        and metric.real_features is not None
        and len(metric.real_features) >= 4
    ]
    if sets:
        drawn.append(os.path.join(folder, 'frechet_against_n.png'))
        plot_frechet_against_n(sets, drawn[-1])
    print('\n'.join(f'plot:   {path}' for path in drawn))
