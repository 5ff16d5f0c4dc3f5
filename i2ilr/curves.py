"""Plots of scores over training, from the logs in work dirs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .files import replacing

KEPT = 'source_kept'

TITLES = {'lr_mae': 'LR error, grey levels', 'lr_within2': 'cells within 2 levels'}
"""Titles of curves that are not their score's name."""


Curves = dict[str, list[tuple[float, float]]]
"""Score -> (kimg, value) of every validation."""


def read_validations(work_dir: str) -> Curves:
    """All validations that the logs of a work dir hold: score -> (kimg, value), in order.

    A run that was resumed has several logs; of two validations at one step the later one counts.

    Raises:
        FileNotFoundError: If there are no logs.
        ValueError: If they hold no validation yet.
    """
    validations: dict[int, dict] = {}
    seen = {0: 0.0}
    for row in read_rows(work_dir):
        if 'iter' in row:  # of training
            seen[row['step']] = row.get('kimg', 0.0)
        else:
            validations[row['step']] = row
    if not validations:
        raise ValueError(f"the logs in '{work_dir}' hold no validation yet")
    return _against_kimg(validations, seen)


def read_rows(work_dir: str) -> list[dict]:
    """All lines of the logs of a work dir, those of later runs last.

    Raises:
        FileNotFoundError: If there are no logs.
        ValueError: If a line is damaged.
    """
    logs = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    if not logs:
        raise FileNotFoundError(
            f"'{work_dir}' holds no log (*/vis_data/scalars.json): give the work dir of a training"
        )
    return [row for log in logs for row in _rows(log)]


def _against_kimg(validations: dict[int, dict], seen: dict[int, float]) -> Curves:
    """The scores of each validation, at the thousands of pictures seen by its step."""
    steps, kimg = zip(*sorted(seen.items()))
    curves: Curves = {}
    for step, row in sorted(validations.items()):
        for name, value in row.items():
            if name not in ('step', 'data_time', 'time') and isinstance(value, (int, float)):
                at = float(np.interp(step, steps, kimg))
                curves.setdefault(name, []).append((at, value))
    return curves


def _rows(log: Path) -> Iterator[dict]:
    """Lines of a log; the last one may be half written, by a run that goes on or was killed."""
    lines = log.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        try:
            yield json.loads(line)
        except ValueError as error:
            if number < len(lines):
                raise ValueError(f"line {number} of '{log}' is damaged: {error}") from error


def plot_curves(runs: dict[str, str], path: str) -> None:
    """Draw the validation scores of trainings against the thousands of pictures seen.

    Last come realism and source kept against each other, for every network that judged both: either
    can be had by giving up the other.

    Args:
        runs: Name -> work dir.
        path: The picture to write.

    Raises:
        FileNotFoundError: If a work dir holds no logs.
        ValueError: If it holds no validation yet.
    """
    curves = {name: read_validations(work_dir) for name, work_dir in runs.items()}
    shown = list(dict.fromkeys(key for run in curves.values() for key in run))
    against = [(key, f'kd{key.removeprefix(KEPT)}') for key in shown if key.startswith(KEPT)]
    against = [(source_kept, realism) for source_kept, realism in against if realism in shown]
    count = len(shown) + len(against)
    columns = min(4, count)
    rows = -(-count // columns)
    figure, axes = new_figure(rows, columns)
    for axis, key in zip(axes, shown):
        _draw_score(axis, curves, key)
    for axis, scores in zip(axes[len(shown) :], against):
        _draw_trade_off(axis, curves, *scores)
    for axis in axes[count:]:
        axis.remove()
    if len(curves) > 1:
        axes[0].legend()
    save_figure(figure, path)


def _draw_score(axis: Any, curves: dict[str, Curves], key: str) -> None:
    for name, run in curves.items():
        if key in run:
            axis.plot(*zip(*run[key]), marker='.', label=name)
    axis.set_title(TITLES.get(key, key))
    axis.set_xlabel('thousand pictures seen')
    if axis.get_ylim()[0] < 0.5 * axis.get_ylim()[1]:
        axis.set_ylim(bottom=0)  # near enough that it should be seen


def _draw_trade_off(axis: Any, curves: dict[str, Curves], source_kept: str, realism: str) -> None:
    for name, run in curves.items():
        if source_kept in run and realism in run:
            _draw_against(axis, dict(run[source_kept]), dict(run[realism]), name)
    axis.set_title(f'{realism} against {source_kept}')
    axis.set_xlabel('source kept (right is better)')
    axis.set_ylabel('kernel distance (down is better)')


def _draw_against(axis: Any, source_kept: dict, realism: dict, name: str) -> None:
    """One run's way, with the thousands of pictures at its end."""
    kimg = sorted(source_kept.keys() & realism.keys())
    if kimg:
        x, y = [source_kept[at] for at in kimg], [realism[at] for at in kimg]
        axis.plot(x, y, marker='.', label=name)
        axis.annotate(f'{kimg[-1]:.0f}k', (x[-1], y[-1]))


def new_figure(rows: int, columns: int) -> tuple[Any, Any]:
    """A Matplotlib figure without a window, and its axes in a row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6 * columns, 3 * rows), layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for axis in axes:
        axis.grid(alpha=0.3)
    return figure, axes


def save_figure(figure: Any, path: str) -> None:
    """Write a figure as PNG."""
    with replacing(path) as partial:
        figure.savefig(partial, format='png', dpi=120)
