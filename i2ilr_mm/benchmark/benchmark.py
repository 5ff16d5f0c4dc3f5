"""What `i2ilr benchmark` measures."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from mmagic.registry import DATASETS, MODELS
from mmengine.config import Config, ConfigDict
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import Tensor

from i2ilr.files import replacing, write_json
from i2ilr_mm.config import find_config
from i2ilr_mm.datasets.draws import Draw
from i2ilr_mm.datasets.pictures import resolve_root
from i2ilr_mm.engine.cost import GIB, count, idle_optimizers, step_cost
from i2ilr_mm.lr import down, from_uint8
from i2ilr_mm.models import I2ILR
from i2ilr_mm.models.convolutions import SNConv2d

from .reference import recorders, reference_step

CHANNELS_LAST = torch.channels_last
DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
REFERENCE = 'written plainly'
"""The config's own recipe with a network call for every loss, see reference.py."""
Step = Callable[[], Any]
Steps = list[tuple[float, Step]]
"""What a variant does, each with its share of the steps; they are several where R1 is lazy."""


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
    MMLogger.get_instance('mmengine').setLevel('WARNING')
    torch.set_flush_denormal(True)
    torch.backends.cudnn.benchmark = bool(cfg.env_cfg.get('cudnn_benchmark'))
    if threads:
        torch.set_num_threads(threads)
    peaks = matrix_peaks()
    data = data_root(cfg)
    image = batch_of(cfg, data)
    lr = down(image, cfg.lr_size, cfg.lr_method)
    steps, results = {}, {}
    variants = {REFERENCE: dict(plain=True, channels_last=False), **variants}
    for name, options in variants.items():
        try:
            say(f'preparing {name}')
            steps[name], results[name] = prepare(cfg, options, image, lr)
        except Exception as error:  # of an option that this machine cannot do
            if name == REFERENCE:
                raise
            say(f'{name} left out: {type(error).__name__}: {str(error)[:200]}')
    for name, seconds in interleaved(steps, rounds).items():
        peak = peaks[variants[name].get('autocast') or 'float32']
        results[name].update(figures(seconds, len(image), results[name]['gmac_per_image'], peak))
    for result in results.values():
        pairs = zip(results[REFERENCE]['seconds'], result['seconds'])
        result['speedup'] = statistics.median(a / b for a, b in pairs)
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
    text = markdown(report)
    write_json(os.path.join(out, 'benchmark.json'), report)
    with replacing(os.path.join(out, 'benchmark.md')) as path, open(path, 'w') as file:
        file.write(text)
    say(f'written: {out}/benchmark.json and benchmark.md\n')
    return text


def say(text: str) -> None:
    print(text, flush=True)


# Models and steps


def model_config(cfg: Config, options: dict) -> ConfigDict:
    """The config's model with the options of a variant; 'default' is float32 and eager."""
    options = dict(options)
    published = options.pop('published', False)
    model = published_model(cfg) if published else cfg.model.copy()
    model.r1_loss = {**model.r1_loss, 'interval': options.pop('interval', 1)}
    model.generator = {**model.generator, 'with_cp': options.pop('with_cp', False)}
    layout = not published and cfg.model.get('channels_last', False)
    plain = dict(autocast=None, compile=False, accumulation=1, channels_last=layout)
    model.update({**plain, **options})
    return model


def published_model(cfg: Config) -> ConfigDict:
    """The published recipe with the sizes and widths of a config."""
    model = Config.fromfile(find_config('_base_/model_published')).model
    model.lr_method = cfg.model.lr_method
    for name in ('generator', 'discriminator'):
        own = cfg.model[name]
        kept = ('img_size', 'lr_size', 'base_channels', 'max_channels')
        model[name].update({key: own[key] for key in kept if key in own})
    return model


def build(cfg: Config, options: dict) -> I2ILR:
    """A model of a variant; its source loss counts from the first step on."""
    torch.manual_seed(0)
    model = MODELS.build(model_config(cfg, options)).to(DEVICE)
    if model.source_loss is not None:
        model.source_loss.seen = len(model.source_loss.queue)
        torch.nn.init.normal_(model.source_loss.queue)
    return model


def prepare(
    cfg: Config, options: dict | None, image: Tensor, lr: Tensor
) -> tuple[Steps, dict[str, Any]]:
    """The steps of a variant, warmed up, and what is known before they are timed."""
    allocated = torch.cuda.memory_allocated() if DEVICE == 'cuda' else 0
    options = dict(options or {})
    plain = options.pop('plain', False)
    model = build(cfg, options)
    optimizers = build_optim_wrapper(model, optimizer_config(cfg, model))
    data = dict(inputs=dict(img=image, lr=lr))
    if plain:
        steps: Steps = [(1.0, lambda: reference_step(model, optimizers, image))]
        cost = count(model_config(cfg, options), len(image), fake_reference_step)
    else:
        cost = step_cost(model_config(cfg, options), len(image))
        steps = own_steps(model, optimizers, data)
    if DEVICE == 'cuda':
        torch.cuda.reset_peak_memory_stats()
    for _ in range(2):
        for _, step in steps:
            step()
    memory, source = cost.peak_bytes, 'counted'
    if DEVICE == 'cuda':
        memory, source = torch.cuda.max_memory_allocated() - allocated, 'measured'
    result = dict(
        gmac_per_image=cost.gmac_per_image, peak_memory_gib=memory / GIB, peak_memory=source
    )
    return steps, result


def optimizer_config(cfg: Config, model: I2ILR) -> dict:
    """The config's optimisers, without those of networks that a variant leaves out."""
    wrappers = cfg.optim_wrapper.to_dict()
    return {k: v for k, v in wrappers.items() if getattr(model, k, True) is not None}


def own_steps(model: I2ILR, optimizers: OptimWrapperDict, data: dict) -> Steps:
    def step(number: int) -> None:
        model.update(data, optimizers, number)

    share = 1 / model.objective.r1_interval
    without_r1 = [] if share == 1 else [(1 - share, partial(step, 1))]
    return [(share, partial(step, 0)), *without_r1]


def fake_reference_step(model: I2ILR, image: Tensor) -> None:
    reference_step(model, idle_optimizers(model), image)


def gradients(cfg: Config, options: dict, image: Tensor, dtype: torch.dtype) -> dict[str, Tensor]:
    """Losses and gradients of one step, as vectors; the spectral norm is frozen."""
    options = dict(options)
    plain = options.pop('plain', False)
    model = build(cfg, options).to(dtype)
    wrappers, seen = recorders(model)
    image = image.to(dtype)
    lr = down(image, cfg.lr_size, cfg.lr_method)
    with patch.object(SNConv2d, 'power_iteration', lambda self: None):
        if plain:
            losses = reference_step(model, wrappers, image)
        else:
            log = model.train_step(dict(inputs=dict(img=image, lr=lr)), wrappers)
            losses = log['loss_d'], log['loss_g']
    steps = {n: torch.cat([g.flatten() for g in r.steps[0]]) for n, r in seen.items()}
    return dict(losses=torch.stack(losses), **steps)


def differences(cfg: Config, variants: dict[str, dict], image: Tensor) -> dict[str, dict]:
    """Relative distances from the reference schedule in float64.

    The reference itself, in float32, shows what is rounding. With a lazy R1 the updates are others.
    """
    image = image[:4]
    truth = gradients(cfg, variants[REFERENCE], image, torch.float64)
    found = {}
    for name, options in variants.items():
        fits = len(image) % (2 * options.get('accumulation', 1)) == 0
        if not {'interval', 'published'} & options.keys() and fits:
            found[name] = gradients(cfg, options, image, torch.float32)
    if 'default' in variants:
        found['default, in float64'] = gradients(cfg, {}, image, torch.float64)
    return {
        name: {k: ((v - truth[k]).norm() / truth[k].norm()).item() for k, v in vectors.items()}
        for name, vectors in found.items()
    }


# Timing


def timed(step: Step) -> float:
    """Seconds that a step takes, with what it left on the GPU."""
    if DEVICE == 'cuda':
        torch.cuda.synchronize()
    start = time.perf_counter()
    step()
    if DEVICE == 'cuda':
        torch.cuda.synchronize()
    return time.perf_counter() - start


def interleaved(
    variants: dict[str, Steps], rounds: int, what: str = 'training steps'
) -> dict[str, list[float]]:
    """Seconds of each in every round; a round runs all of them once, so that noise hits all."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for i in range(rounds):
        say(f'{what}: round {i + 1} of {rounds}')
        for name, steps in variants.items():
            seconds[name].append(sum(share * timed(step) for share, step in steps))
    return seconds


def figures(
    seconds: list[float], batch_size: int, gmac_per_image: float, peak: float
) -> dict[str, Any]:
    median = statistics.median(seconds)
    rate = gmac_per_image * batch_size / median
    return dict(
        seconds=seconds,
        median_s=median,
        spread_s=[min(seconds), max(seconds)],
        s_per_kimg=median / batch_size * 1000,
        img_per_s=batch_size / median,
        gmac_per_s=rate,
        share_of_peak=rate / peak,
    )


def matrix_peaks() -> dict[str, float]:
    """Measured GMAC/s by data type, the best of ten.

    Of a large matrix product on a GPU, in TF32 for float32 where convolutions use that; on a CPU of
    a large convolution, which is faster there.
    """
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    peaks = {}
    for dtype in (torch.float32, torch.bfloat16):
        if DEVICE == 'cuda':
            a = torch.randn(8192, 8192, device=DEVICE, dtype=dtype)
            macs, step = len(a) ** 3, partial(torch.matmul, a, a)
        else:
            x = torch.randn(4, 512, 32, 32, dtype=dtype).contiguous(memory_format=CHANNELS_LAST)
            weight = torch.randn(512, 512, 3, 3, dtype=dtype)
            macs, step = 9 * 512 * x.numel(), partial(F.conv2d, x, weight, padding=1)
        best = min(timed(step) for _ in range(10))
        peaks[str(dtype).removeprefix('torch.')] = macs / best / 1e9
    return peaks


def profile(steps: Steps, top: int = 6) -> list[dict[str, Any]]:
    """The operations that take most of a step, by their own time on the device."""
    timer = 'self_device_time_total' if DEVICE == 'cuda' else 'self_cpu_time_total'
    with torch.profiler.profile() as profiler:
        timed(steps[0][1])
    events = sorted(profiler.key_averages(), key=lambda e: -getattr(e, timer))
    total = sum(getattr(e, timer) for e in events)
    return [
        dict(operation=e.key, calls=e.count, share=getattr(e, timer) / total) for e in events[:top]
    ]


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


# Data


def data_root(cfg: Config) -> str:
    """The config's pictures, or the embedded ones where these are not there."""
    try:
        resolve_root(cfg.data_root, 'data_root')
    except FileNotFoundError:
        say(f"'{cfg.data_root}' is not there: the embedded pictures are used, enlarged")
        return 'embedded:heads64'
    return cfg.data_root


def batch_of(cfg: Config, root: str) -> Tensor:
    """One training batch (B, 3, H, H) in [-1, 1] on the device."""
    dataset = DATASETS.build({**cfg.train_dataloader.dataset, 'data_root': root})
    draws = [Draw(i, seed=i) for i in range(cfg.train_dataloader.batch_size)]
    items = [dataset[draw]['inputs']['img'] for draw in draws]
    return from_uint8(torch.stack(items)).to(DEVICE)


def data_wait(cfg: Config, root: str, steps: Steps | None, batches: int = 12) -> dict[str, float]:
    """Pictures per second of the loader alone, and the share of a loop that waits for it."""
    loader = cfg.train_dataloader.copy()
    loader.dataset = {**loader.dataset, 'data_root': root}
    loader.pin_memory = DEVICE == 'cuda'
    iterator = iter(Runner.build_dataloader(loader, seed=0))
    for _ in range(2 * loader.num_workers + 1):  # what was read ahead
        next(iterator)
    start = time.perf_counter()
    for _ in range(batches):
        next(iterator)
    result = dict(
        workers=loader.num_workers,
        loader_img_per_s=batches * loader.batch_size / (time.perf_counter() - start),
    )
    if steps:
        waiting = working = 0.0
        for _ in range(batches):
            start = time.perf_counter()
            next(iterator)
            waiting += time.perf_counter() - start
            working += timed(steps[0][1])
        result['wait_share'] = waiting / (waiting + working)
    return result


# Report


def machine() -> dict[str, Any]:
    """Names of what was measured on."""
    name = platform.processor() or platform.machine()
    if os.path.exists('/proc/cpuinfo'):
        with open('/proc/cpuinfo') as file:
            lines = [line for line in file if line.startswith('model name')]
        name = lines[0].partition(':')[2].strip() if lines else name
    return dict(
        cpu=name,
        threads=torch.get_num_threads(),
        gpu=torch.cuda.get_device_name() if DEVICE == 'cuda' else None,
        torch=torch.__version__,
        python=platform.python_version(),
    )


def markdown(report: dict[str, Any]) -> str:
    """The report as Markdown tables."""
    on = report['machine']
    place = on['gpu'] or f'{on["cpu"]}, {on["threads"]} threads'
    lines = [
        f'{report["config"]} at {report["img_size"]} px, LR {report["lr_size"]}, batches of '
        f'{report["batch_size"]} pictures; {place}; torch {on["torch"]}; measured peak '
        + ', '.join(f'{v:,.0f} GMAC/s {k}' for k, v in report['matrix_peak_gmac_per_s'].items()),
        '',
        '| step | s | (min-max) | img/s | s/kimg | speed-up | GMAC/img | GMAC/s | of peak | GiB |',
        '|---|---|---|---|---|---|---|---|---|---|',
    ]
    for name, r in report['steps'].items():
        lines.append(
            f'| {name} | {r["median_s"]:.3f} | {r["spread_s"][0]:.3f}-{r["spread_s"][1]:.3f} | '
            f'{r["img_per_s"]:.2f} | {r["s_per_kimg"]:.0f} | {r["speedup"]:.2f} | '
            f'{r["gmac_per_image"]:.1f} | {r["gmac_per_s"]:.0f} | {r["share_of_peak"]:.0%} | '
            f'{r["peak_memory_gib"]:.2f} |'
        )
    lines += [
        '',
        f'| relative difference from the {REFERENCE} in float64 | '
        + ' | '.join(next(iter(report['differences'].values())))
        + ' |',
        '|---' * (1 + len(next(iter(report['differences'].values())))) + '|',
    ]
    for name, r in report['differences'].items():
        lines.append(f'| {name} | ' + ' | '.join(f'{v:.0e}' for v in r.values()) + ' |')
    for name, operations in report['profiles'].items():
        lines += ['', f'| profile: {name} | calls | share |', '|---|---|---|']
        for r in operations:
            lines.append(f'| {r["operation"]} | {r["calls"]} | {r["share"]:.1%} |')
    lines += ['', '| inference | img/s | largest difference |', '|---|---|---|']
    for name, r in report['inference'].items():
        lines.append(f'| {name} | {r["img_per_s"]:.2f} | {r["largest_difference"]:.0e} |')
    if data := report.get('data'):
        wait = f'; the step waits {data["wait_share"]:.1%} of the time' if len(data) > 2 else ''
        lines += [
            '',
            f'Input pipeline: {data["loader_img_per_s"]:.0f} img/s with {data["workers"]} '
            f'workers{wait}.',
        ]
    return '\n'.join([*lines, ''])
