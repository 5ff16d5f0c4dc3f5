"""The machine's name and the report as Markdown."""

import os
import platform
from typing import Any

import torch

from .timing import DEVICE
from .variants import REFERENCE


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
    lines = [*_steps(report), *_differences(report['differences'])]
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


def _steps(report: dict[str, Any]) -> list[str]:
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
    return lines


def _differences(differences: dict[str, dict[str, float]]) -> list[str]:
    names = next(iter(differences.values()))
    return [
        '',
        f'| relative difference from the {REFERENCE} in float64 | ' + ' | '.join(names) + ' |',
        '|---' * (1 + len(names)) + '|',
        *(
            f'| {name} | ' + ' | '.join(f'{v:.0e}' for v in values.values()) + ' |'
            for name, values in differences.items()
        ),
    ]
