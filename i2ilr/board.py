"""Rows of the board: how long a training took to reach a realism that keeps its source."""

import ast
from pathlib import Path

from .curves import read_rows, read_validations
from .scores import number

HEAD = [
    'set',
    'recipe',
    'minutes',
    'pictures',
    'KD-lite0',
    'kept, Lite0',
    'KD-lite2',
    'date',
    'commit',
    'machine',
    'command',
]


def board_row(
    work_dir: str, kd: float, kept: float, commit: str, machine: str, recipe: str = ''
) -> str:
    """A row of docs/board.md for a training.

    Args:
        work_dir: Of the training.
        kd: KD-lite0 is to be at most this.
        kept: ``source_kept_lite0`` is to be at least this, at the same validation.
        commit: Of the code that trained.
        machine: Processor and number of threads.
        recipe: What the row calls it; '' takes the config's name.

    Returns:
        A line of a Markdown table with the columns :data:`HEAD`.

    Raises:
        FileNotFoundError: If the work dir has no logs or no config.
        ValueError: If a bar is out of range, or no validation measured both scores.
    """
    if not kd > 0 or not 0 <= kept <= 1:
        raise ValueError(f'the bars are KD {kd} and kept {kept}; KD is above 0, kept in [0, 1]')
    settings, config = _config(work_dir)
    at, scores, reached = first_within(work_dir, kd, kept)
    minutes = training_minutes(work_dir, at)
    before = '' if reached else 'not within '
    command = f'`i2ilr train {config} --cfg-options img_size={settings["img_size"]}`'
    date = min(p.name for p in Path(work_dir).iterdir() if (p / 'vis_data').is_dir())[:8]
    cells = [
        f'{Path(str(settings["data_root"])).name}, {settings["img_size"]} px',
        recipe or config,
        f'{before}{minutes:.0f}',
        f'{before}{at * 1000:,.0f}',
        *(number(scores[name]) for name in ('kd_lite0', 'source_kept_lite0', 'kd_lite2')),
        f'{date[:4]}-{date[4:6]}-{date[6:]}',
        commit,
        machine,
        command,
    ]
    return '| ' + ' | '.join(cells) + ' |'


def first_within(work_dir: str, kd: float, kept: float) -> tuple[float, dict[str, float], bool]:
    """The first validation within both bars, or else the last one.

    Returns:
        Thousands of pictures seen there, its scores (NaN where one was not measured), and whether
        it is within the bars.

    Raises:
        ValueError: If no validation measured both scores.
    """
    curves = {name: dict(points) for name, points in read_validations(work_dir).items()}
    both = curves.get('kd_lite0', {}).keys() & curves.get('source_kept_lite0', {}).keys()
    if not both:
        raise ValueError(
            f"the validations in '{work_dir}' lack kd_lite0 or source_kept_lite0: train with the "
            f"config's val_evaluator"
        )
    for at in sorted(both):
        scores = {name: points.get(at, float('nan')) for name, points in curves.items()}
        scores.setdefault('kd_lite2', float('nan'))
        if scores['kd_lite0'] <= kd and scores['source_kept_lite0'] >= kept:
            return at, scores, True
    return at, scores, False


def training_minutes(work_dir: str, kimg: float) -> float:
    """Minutes that the steps took until so many thousand pictures were seen.

    Start-up, validations and checkpoints are left out. A step that was made again after a stop
    counts once.
    """
    rows = {row['step']: row for row in read_rows(work_dir) if 'kimg' in row}
    seconds, before = 0.0, 0
    for step, row in sorted(rows.items()):
        if row['kimg'] > kimg + 1e-6:
            break
        seconds += (step - before) * row['time']  # the mean since the last line
        before = step
    return seconds / 60


def _config(work_dir: str) -> tuple[dict[str, object], str]:
    """Top-level settings of the config that a training left in its work dir, and its name."""
    found = sorted(Path(work_dir).glob('*.py'))
    if not found:
        raise FileNotFoundError(f"'{work_dir}' holds no config: give the work dir of a training")
    settings: dict[str, object] = {}
    for node in ast.parse(found[0].read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            settings[getattr(node.targets[0], 'id', '')] = node.value.value
    return settings, found[0].stem
