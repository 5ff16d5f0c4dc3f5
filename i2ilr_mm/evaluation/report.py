"""Scores with what they were measured on: as plain data, as a table, side by side."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from i2ilr.scores import format_interval, number, table

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
        warning: Why it says little.
        protocol: The pairs that were scored.
        role: '' for the score itself. Numbers to compare it with have a role, such as 'chance' or
            'copy_source', and the same name.
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
    warning: str | None = None
    protocol: str | None = None
    role: str = ''


def score_of(
    name: str,
    estimate: Estimate,
    unit: str,
    better: str,
    n: int,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    **fields: Any,
) -> Score:
    """An estimate as a score, with its interval cut off at the bounds."""
    low, high = interval(estimate, bounds)
    fields = dict(fields, spread=estimate.spread)
    return Score(name, estimate.value, unit, better, n, low, high, **fields)


def collect_reports(metrics: Sequence[Any]) -> list[Score]:
    """The scores of the last evaluation of several metrics."""
    return [score for metric in metrics for score in getattr(metric, 'report', [])]


def report_dict(scores: Sequence[Score]) -> dict[str, dict]:
    """Scores as plain data, keyed by name, without empty fields; JSON has no nan, so null.

    The numbers to compare a score with are in its field ``beside``, keyed by role.
    """
    report: dict[str, dict] = {}
    for score in scores:
        fields = {
            k: None if k == 'value' and math.isnan(v) else v
            for k, v in asdict(score).items()
            if k not in ('name', 'role') and v is not None
        }
        if score.role:
            report[score.name].setdefault('beside', {})[score.role] = fields
        else:
            report[score.name] = fields
    return report


def report_table(scores: Sequence[Score]) -> str:
    """Scores as a table for the terminal; those with others beside them, and problems, below it."""
    compared = {s.name for s in scores if s.role}
    rows = [('score', 'value', '95 % interval', 'unit', 'n', 'n real', 'feature network')]
    for s in scores:
        if s.name not in compared:
            better = f', {s.better} is better' if s.better else ''
            network = f'{s.network} {s.weights}' if s.network else '-'
            interval = format_interval(s.low, s.high)
            spread = '' if s.spread is None else f' (spread {number(s.spread)})'
            unit, real = s.unit + spread + better, str(s.n_real or '-')
            rows.append((s.name, number(s.value), interval, unit, str(s.n), real, network))
    messages: dict[str, list[str]] = {}  # several scores may have one problem
    for s in scores:
        if s.problem or s.warning:
            messages.setdefault(str(s.problem or s.warning), []).append(s.name)
    problems = [f'{", ".join(names)}: {message}' for message, names in messages.items()]
    parts = [table(rows), _compared_table([s for s in scores if s.name in compared])]
    return '\n\n'.join(part for part in (*parts, '\n'.join(problems)) if part)


def _compared_table(scores: Sequence[Score]) -> str:
    """One row per score, with a column for each role beside it; '-' where it has no such role."""
    if not scores:
        return ''
    roles = list(dict.fromkeys(s.role for s in scores if s.role))
    values = {(s.name, s.role): s.value for s in scores}
    rows = [('score', 'value', '95 % interval', *roles, 'unit', 'n')]
    for s in scores:
        if not s.role:
            others = [number(values.get((s.name, role))) for role in roles]
            interval = format_interval(s.low, s.high)
            rows.append((s.name, number(s.value), interval, *others, s.unit, str(s.n)))
    return table(rows)
