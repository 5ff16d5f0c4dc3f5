"""Plots of scores: over training, and against the number of results."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..files import replacing
from .frechet import frechet_distance

CURVES = {
    'lr_mae': 'LR error, grey levels',
    'lr_within2': 'cells within 2 levels',
    'fd_lite0': 'FD-lite0',
    'kd_lite0': 'KD-lite0',
    'precision_lite0': 'precision',
    'recall_lite0': 'recall',
    'density_lite0': 'density',
    'coverage_lite0': 'coverage',
}
"""Scores of a validation that have a curve of their own, and its title."""


def read_validations(work_dir: str) -> dict[str, list[tuple[float, float]]]:
    """All validations that the logs of a work dir hold: score -> (kimg, value), in order.

    A run that was resumed has several logs; of two validations at one step the later one counts.

    Raises:
        FileNotFoundError: If there are no logs.
        ValueError: If they hold no validation yet.
    """
    logs = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    if not logs:
        raise FileNotFoundError(
            f"'{work_dir}' holds no log (*/vis_data/scalars.json): give the work dir of a training"
        )
    validations: dict[int, dict] = {}
    kimg: dict[int, float] = {}
    for log in logs:
        for line in log.read_text().splitlines():
            row = json.loads(line)
            if 'kimg' in row:
                kimg[row['step']] = row['kimg']
            elif 'lr_mae' in row:
                validations[row['step']] = row
    if not validations:
        raise ValueError(f"the logs in '{work_dir}' hold no validation yet")
    per_step = next((k / step for step, k in kimg.items() if step), 0.0)
    curves: dict[str, list[tuple[float, float]]] = {}
    for step, row in sorted(validations.items()):
        for name, value in row.items():
            if name not in ('step', 'data_time', 'time') and isinstance(value, (int, float)):
                curves.setdefault(name, []).append((step * per_step, value))
    return curves


def plot_curves(runs: dict[str, str], path: str) -> None:
    """Draw the validation scores of trainings against the thousands of pictures seen.

    Args:
        runs: Name -> work dir.
        path: The picture to write.

    Raises:
        FileNotFoundError: If a work dir holds no logs.
        ValueError: If it holds no validation yet.
    """
    curves = {name: read_validations(work_dir) for name, work_dir in runs.items()}
    shown = [key for key in CURVES if any(key in run for run in curves.values())]
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    figure, axes = _figure(rows, columns)
    for axis, key in zip(axes, shown):
        for name, run in curves.items():
            if key in run:
                axis.plot(*zip(*run[key]), marker='.', label=name)
        axis.set_title(CURVES[key])
        axis.set_xlabel('thousand pictures seen')
        if axis.get_ylim()[0] < 0.5 * axis.get_ylim()[1]:
            axis.set_ylim(bottom=0)  # near enough that it should be seen
    if len(curves) > 1:
        axes[0].legend()
    _save(figure, path)


def plot_frechet_against_n(
    sets: Iterable[tuple[str, Tensor, Tensor]], path: str, draws: int = 5, steps: int = 6
) -> None:
    """Draw the Frechet distance against the number of results that it is computed from.

    Shows how far a score is from what more results would give: it falls with n, as 1 / n. Besides
    the distance to all reals the plot has that between two halves of them, which no model can beat
    at that n.

    Args:
        sets: Name of the score, features of the results (n1, d) and of the reals (n2, d).
        path: The picture to write.
        draws: Random subsets per n, to show their spread.
        steps: Values of n.
    """
    sets = list(sets)
    figure, axes = _figure(1, len(sets))
    generator = torch.Generator().manual_seed(0)
    for axis, (name, fake, real) in zip(axes, sets):
        for label, x, y in (('results', fake, real), ('half of the reals', *_halves(real))):
            sizes = [max(2, len(x) * i // steps) for i in range(1, steps + 1)]
            values = [[_drawn(x, n, y, generator) for _ in range(draws)] for n in sizes]
            means = [sum(v) / draws for v in values]
            axis.plot(sizes, means, marker='.', label=label)
            axis.fill_between(sizes, [*map(min, values)], [*map(max, values)], alpha=0.2)
        axis.set_title(name)
        axis.set_xlabel('number of pictures')
        axis.set_ylim(bottom=0)
        axis.legend()
    _save(figure, path)


def _halves(real: Tensor) -> tuple[Tensor, Tensor]:
    return real[::2], real[1::2]


def _drawn(x: Tensor, n: int, y: Tensor, generator: torch.Generator) -> float:
    return frechet_distance(x[torch.randperm(len(x), generator=generator)[:n]], y)


def _figure(rows: int, columns: int):  # type: ignore[no-untyped-def]
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6 * columns, 3 * rows), layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for axis in axes:
        axis.grid(alpha=0.3)
    return figure, axes


def _save(figure, path: str) -> None:  # type: ignore[no-untyped-def]
    with replacing(path) as partial:
        figure.savefig(partial, format='png', dpi=120)


def spread_evenly(order: Sequence[int], count: int) -> list[int]:
    """``count`` entries of a sequence, evenly spaced, the first and the last among them."""
    count = min(count, len(order))
    return [order[round(i * (len(order) - 1) / max(1, count - 1))] for i in range(count)]
