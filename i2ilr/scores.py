"""Files of scores: reading them, and several side by side."""

import json
import math
from collections.abc import Sequence
from typing import Any

from .files import at_home

COMPARED = ('protocol', 'n', 'n_real', 'real', 'network', 'weights', 'resize', 'settings', 'unit')
"""What two numbers must have in common to be compared."""


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


def format_interval(low: float | None, high: float | None) -> str:
    """An interval as text; '-' if there is none."""
    return '-' if low is None else f'{number(low)} - {number(high)}'


def read_report(path: str) -> dict[str, Any]:
    """A metrics.json as `i2ilr test` writes it.

    Raises:
        ValueError: If it cannot be read or holds no scores.
    """
    try:
        with open(at_home(path), encoding='utf-8') as file:
            content = json.load(file)
        if not isinstance(content['scores'], dict):
            raise KeyError('scores')
    except OSError as error:
        raise ValueError(f"'{path}' cannot be read: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"'{path}' holds no scores; give a metrics.json of `i2ilr test`"
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
    keys = list(dict.fromkeys(key for run in runs.values() for key in run['scores']))
    _check_comparable(runs, keys)
    rows = [('score', *runs, 'unit', 'n', 'feature network')]
    for key in keys:
        some = next(r['scores'][key] for r in runs.values() if key in r['scores'])
        values = [_cell(run['scores'].get(key)) for run in runs.values()]
        better = f', {some["better"]} is better' if some['better'] else ''
        real = f' / {some["n_real"]} real' if 'n_real' in some else ''
        unit, n = f'{some["unit"]}{better}', f'{some["n"]}{real}'
        rows.append((key, *values, unit, n, some.get('network', '-')))
    stamp = next(iter(runs.values())).get('protocol') or {}
    return f'protocol: {", ".join(f"{k} {v}" for k, v in stamp.items())}\n\n{table(rows)}'


def _check_comparable(runs: dict[str, dict[str, Any]], keys: Sequence[str]) -> None:
    differences = [*_differ('', {n: r.get('protocol') or {} for n, r in runs.items()})]
    for key in keys:
        scores = {n: r['scores'][key] for n, r in runs.items() if key in r['scores']}
        conditions = {n: {k: s.get(k) for k in COMPARED} for n, s in scores.items()}
        differences += _differ(f'{key}: ', conditions)
    if differences:
        raise ValueError(
            'these scores cannot be compared, as they differ in what was measured:\n  '
            + '\n  '.join(dict.fromkeys(differences))
            + '\nscore all runs with the same protocol, data and settings'
        )


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
    interval = format_interval(score.get('low'), score.get('high'))
    return number(score['value']) + (f' ({interval})' if interval != '-' else '')
