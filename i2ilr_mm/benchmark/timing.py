"""Seconds of steps that are run in turns, the machine's peak, and where the time goes."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
Step = Callable[[], Any]
Steps = list[tuple[float, Step]]
"""What a variant does, each with its share of the steps; they are several where R1 is lazy."""


def say(text: str) -> None:
    print(text, flush=True)


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
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        return {
            str(dtype).removeprefix('torch.'): _matrix_peak(dtype)
            for dtype in (torch.float32, torch.bfloat16)
        }
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def _matrix_peak(dtype: torch.dtype) -> float:
    """:func:`matrix_peaks` of one data type, with the process as it is."""
    if DEVICE == 'cuda':
        a = torch.randn(8192, 8192, device=DEVICE, dtype=dtype)
        macs, step = len(a) ** 3, partial(torch.matmul, a, a)
    else:
        x = torch.randn(4, 512, 32, 32, dtype=dtype).contiguous(memory_format=torch.channels_last)
        weight = torch.randn(512, 512, 3, 3, dtype=dtype)
        macs, step = 9 * 512 * x.numel(), partial(F.conv2d, x, weight, padding=1)
    best = min(timed(step) for _ in range(10))
    return macs / best / 1e9


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
