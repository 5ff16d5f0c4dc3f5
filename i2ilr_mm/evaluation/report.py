"""Scores with what they were measured on: as plain data, as a table, side by side."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .estimate import Estimate, interval


@dataclass
class Score:
    """One number of a report, with what it was measured on.

    Attributes:
        name: Its key.
        value: The number; nan if it could not be computed.
        unit: What it counts.
        better: 'lower', 'higher', or '' for what is no score but something to compare with.
        n: Results it was computed from.
        low: Lower end of its 95 % bootstrap interval.
        high: Upper end.
        n_real: Real pictures it was computed from.
        real: Their split and the hash of their contents.
        network: Name of the feature network.
        weights: Hash of the network's weights.
        resize: How pictures came to the network's size.
        settings: Constants of the score, as text.
        spread: Standard deviation over its subsets.
        problem: Why the number could not be computed.
        protocol: The pairs that were scored.
    """

    name: str
    value: float
    unit: str
    better: str
    n: int
    low: float | None = None
    high: float | None = None
    n_real: int | None = None
    real: str | None = None
    network: str | None = None
    weights: str | None = None
    resize: str | None = None
    settings: str | None = None
    spread: float | None = None
    problem: str | None = None
    protocol: str | None = None


COMPARED = ('protocol', 'n', 'n_real', 'real', 'network', 'weights', 'resize', 'settings', 'unit')
"""What two numbers must have in common to be compared."""


def score_of(
    name: str,
    estimate: Estimate,
    unit: str,
    better: str,
    n: int,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    **about: Any,
) -> Score:
    """An estimate as a score, with its interval cut off at the bounds."""
    low, high = interval(estimate, bounds)
    about = dict(about, spread=estimate.spread)
    return Score(name, estimate.value, unit, better, n, low, high, **about)


def collect_reports(metrics: Sequence[Any]) -> list[Score]:
    """The scores of the last evaluation of several metrics."""
    return [score for metric in metrics for score in getattr(metric, 'report', [])]


def report_dict(scores: Sequence[Score]) -> dict[str, dict]:
    """Scores as plain data, keyed by name, without empty fields; JSON has no nan, so null."""
    return {
        s.name: {
            k: None if k == 'value' and math.isnan(v) else v
            for k, v in asdict(s).items()
            if k != 'name' and v is not None
        }
        for s in scores
    }


def number(value: float | None) -> str:
    """A number with four digits that count, and at most four after the point."""
    if value is None or math.isnan(value):
        return '-'
    if 1e-9 < abs(value) < 1e-3:
        return f'{value:.2g}'
    digits = min(4, max(1, 3 - math.floor(math.log10(max(abs(value), 1e-9)))))
    return f'{value:.{digits}f}'


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text in columns, the first one underlined."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ['  '.join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in rows]
    lines.insert(1, '-' * max(map(len, lines)))
    return '\n'.join(lines)


def report_table(scores: Sequence[Score]) -> str:
    """Scores as a table for the terminal; those with others beside them, and problems, below it."""
    beside = {s.name.partition('.')[0] for s in scores if '.' in s.name}
    rows = [('score', 'value', '95 % interval', 'unit', 'n', 'n real', 'feature network')]
    for s in scores:
        if s.name.partition('.')[0] not in beside:
            better = f', {s.better} is better' if s.better else ''
            network = f'{s.network} {s.weights}' if s.network else '-'
            interval = _interval(s.low, s.high)
            spread = '' if s.spread is None else f' (spread {number(s.spread)})'
            unit, real = s.unit + spread + better, str(s.n_real or '-')
            rows.append((s.name, number(s.value), interval, unit, str(s.n), real, network))
    problems = [f'{s.name}: {s.problem}' for s in scores if s.problem]
    parts = [table(rows), _table_beside([s for s in scores if s.name.partition('.')[0] in beside])]
    return '\n\n'.join(part for part in (*parts, '\n'.join(problems)) if part)


def _table_beside(scores: Sequence[Score]) -> str:
    """One row per score, with those named score.role beside it; '-' where it has no such role."""
    if not scores:
        return ''
    roles = list(dict.fromkeys(s.name.partition('.')[2] for s in scores if '.' in s.name))
    values = {s.name: s.value for s in scores}
    rows = [('score', 'value', '95 % interval', *roles, 'unit', 'n')]
    for s in scores:
        if '.' not in s.name:
            others = [number(values.get(f'{s.name}.{role}')) for role in roles]
            interval = _interval(s.low, s.high)
            rows.append((s.name, number(s.value), interval, *others, s.unit, str(s.n)))
    return table(rows)


def _interval(low: float | None, high: float | None) -> str:
    return '-' if low is None else f'{number(low)} - {number(high)}'


def read_report(path: str) -> dict[str, Any]:
    """A metrics.json as tools/test.py writes it.

    Raises:
        ValueError: If it cannot be read or holds no scores.
    """
    try:
        with open(path, encoding='utf-8') as file:
            content = json.load(file)
        if not isinstance(content['scores'], dict):
            raise KeyError('scores')
    except OSError as error:
        raise ValueError(f"'{path}' cannot be read: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"'{path}' holds no scores; give a metrics.json of tools/test.py"
        ) from error
    return content


def compare(runs: dict[str, dict[str, Any]]) -> str:
    """Several reports side by side.

    Args:
        runs: Name -> report, see :func:`read_report`.

    Raises:
        ValueError: If they were measured by different protocols, on different data, or with other
            counts, networks or constants; says where they differ.
    """
    differences = [*_differ('', {n: r.get('protocol') or {} for n, r in runs.items()})]
    keys = list(dict.fromkeys(key for run in runs.values() for key in run['scores']))
    for key in keys:
        found = {n: r['scores'][key] for n, r in runs.items() if key in r['scores']}
        about = {n: {k: s.get(k) for k in COMPARED} for n, s in found.items()}
        differences += _differ(f'{key}: ', about)
    if differences:
        raise ValueError(
            'these scores cannot be compared, as they differ in what was measured:\n  '
            + '\n  '.join(dict.fromkeys(differences))
            + '\nscore all runs with the same protocol, data and settings'
        )
    rows = [('score', *runs, 'unit', 'n', 'feature network')]
    for key in keys:
        if '.' in key:  # what stands beside another score, the same in all runs
            continue
        some = next(r['scores'][key] for r in runs.values() if key in r['scores'])
        values = [_cell(run['scores'].get(key)) for run in runs.values()]
        better = f', {some["better"]} is better' if some['better'] else ''
        real = f' / {some["n_real"]} real' if 'n_real' in some else ''
        unit, n = f'{some["unit"]}{better}', f'{some["n"]}{real}'
        rows.append((key, *values, unit, n, some.get('network', '-')))
    stamp = next(iter(runs.values())).get('protocol') or {}
    return f'protocol: {", ".join(f"{k} {v}" for k, v in stamp.items())}\n\n{table(rows)}'


def _differ(where: str, items: dict[str, dict]) -> list[str]:
    keys = dict.fromkeys(key for item in items.values() for key in item)
    return [
        f'{where}{key}: ' + ', '.join(f'{item.get(key)} ({name})' for name, item in items.items())
        for key in keys
        if len({str(item.get(key)) for item in items.values()}) > 1
    ]


def _cell(score: dict | None) -> str:
    if score is None or score['value'] is None:
        return '-'
    interval = _interval(score.get('low'), score.get('high'))
    return number(score['value']) + (f' ({interval})' if interval != '-' else '')
