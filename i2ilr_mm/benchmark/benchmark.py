"""What `i2ilr benchmark` measures."""

import os
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from torch import Tensor

from i2ilr.files import replacing, write_json
from i2ilr_mm.device import without_denormals
from i2ilr_mm.lr import down

from .accuracy import differences
from .pictures import batch_of, data_root, data_wait
from .report import machine, markdown
from .timing import DEVICE, Step, Steps, figures, interleaved, matrix_peaks, profile, say
from .variants import REFERENCE, build, prepare


@without_denormals()
def benchmark(
    cfg: Config,
    variants: dict[str, dict],
    rounds: int,
    threads: int | None,
    with_data: bool,
    out: str,
) -> str:
    """Measure; write benchmark.json and benchmark.md to ``out``; return the Markdown."""
    init_default_scope('mmagic')
    with process_for(cfg, threads):
        return _write(_measured(cfg, variants, rounds, with_data), out)


@contextmanager
def process_for(cfg: Config, threads: int | None) -> Iterator[None]:
    """The process as a training by ``cfg`` has it, but quiet; afterwards as it was."""
    logger = MMLogger.get_instance('mmengine')
    before = logger.level, torch.backends.cudnn.benchmark, torch.get_num_threads()
    logger.setLevel('WARNING')
    torch.backends.cudnn.benchmark = bool(cfg.env_cfg.get('cudnn_benchmark'))
    torch.set_num_threads(threads or before[2])
    try:
        yield
    finally:
        logger.setLevel(before[0])
        torch.backends.cudnn.benchmark = before[1]
        torch.set_num_threads(before[2])


def _measured(
    cfg: Config, variants: dict[str, dict], rounds: int, with_data: bool
) -> dict[str, Any]:
    peaks = matrix_peaks()
    data = data_root(cfg)
    image = batch_of(cfg, data)
    lr = down(image, cfg.lr_size, cfg.lr_method)
    variants = {REFERENCE: dict(plain=True, channels_last=False), **variants}
    steps, results = _prepared(cfg, variants, image, lr)
    own_peaks = {n: peaks[o.get('autocast') or 'float32'] for n, o in variants.items()}
    _time(steps, results, own_peaks, len(image), rounds)
    report = dict(
        machine=machine(),
        config=os.path.basename(cfg.filename),
        img_size=cfg.img_size,
        lr_size=cfg.lr_size,
        batch_size=len(image),
        pictures=data,
        matrix_peak_gmac_per_s=peaks,
        steps=results,
        differences=differences(cfg, {k: v for k, v in variants.items() if k in steps}, image),
        profiles={k: profile(steps[k]) for k in (REFERENCE, 'default') if k in steps},
        inference=inference(cfg, image, lr, rounds),
    )
    if with_data:
        report['data'] = data_wait(cfg, data, steps.get('default'))
    return report


def _prepared(
    cfg: Config, variants: dict[str, dict], image: Tensor, lr: Tensor
) -> tuple[dict[str, Steps], dict[str, dict[str, Any]]]:
    """Steps and first results of every variant that this machine can run."""
    steps, results = {}, {}
    for name, options in variants.items():
        try:
            say(f'preparing {name}')
            steps[name], results[name] = prepare(cfg, options, image, lr)
        except Exception as error:  # of an option that this machine cannot do
            if name == REFERENCE:
                raise
            say(f'{name} left out: {type(error).__name__}: {str(error)[:200]}')
    return steps, results


def _time(
    steps: dict[str, Steps],
    results: dict[str, dict[str, Any]],
    peaks: dict[str, float],
    batch_size: int,
    rounds: int,
) -> None:
    """Add times to the results, and how much faster than the reference each variant is."""
    for name, seconds in interleaved(steps, rounds).items():
        gmac = results[name]['gmac_per_image']
        results[name].update(figures(seconds, batch_size, gmac, peaks[name]))
    for result in results.values():
        pairs = zip(results[REFERENCE]['seconds'], result['seconds'])
        result['speedup'] = statistics.median(a / b for a, b in pairs)


def _write(report: dict[str, Any], out: str) -> str:
    text = markdown(report)
    write_json(os.path.join(out, 'benchmark.json'), report)
    with replacing(os.path.join(out, 'benchmark.md')) as path, open(path, 'w') as file:
        file.write(text)
    say(f'written: {out}/benchmark.json and benchmark.md\n')
    return text


def inference(cfg: Config, image: Tensor, lr: Tensor, rounds: int) -> dict[str, Any]:
    """The generator as trained, folded, and folded in bfloat16."""
    generator = build(cfg, {}).generator.eval().requires_grad_(False)
    folded = generator.deploy()

    def bf16() -> Tensor:
        with torch.autocast(DEVICE, dtype=torch.bfloat16):
            return folded(image, lr)

    steps: dict[str, Step] = {
        'generator': lambda: generator(image, lr),
        'deployed': lambda: folded(image, lr),
        'deployed, bf16': bf16,
    }
    expected = generator(image, lr)
    result: dict[str, Any] = {}
    for name, step in steps.items():
        result[name] = dict(
            largest_difference=(step() - expected).abs().max().item() / expected.abs().max().item()
        )
    seconds = interleaved(
        {name: [(1.0, step)] for name, step in steps.items()}, 3 * rounds, 'inference'
    )
    for name, values in seconds.items():
        result[name]['img_per_s'] = len(image) / statistics.median(values)
    return result
