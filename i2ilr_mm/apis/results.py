"""Write results into their folder, and report them."""

import json
import os
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

from i2ilr.files import shown

from ..inference.translation import Failure, Translation
from .tasks import Inputs, Task

REPORT = 'report.jsonl'


def write_results(
    results: Iterable[tuple[Task, Translation | Failure]],
    count: int,
    folder: str | None,
    settings: dict[str, str],
    inputs: Inputs,
) -> tuple[int, float]:
    """Save results, and report them.

    Args:
        results: What came of each task.
        count: How many there will be.
        folder: Where the report is kept; None keeps none.
        settings: What results depend on besides their pictures.
        inputs: Tells pictures by their contents.

    Returns:
        How many failed, and the worst LR error of the rest.
    """
    if folder is not None:
        os.makedirs(folder, exist_ok=True)
    path = os.devnull if folder is None else os.path.join(folder, REPORT)
    failed, worst = 0, 0.0
    with (
        open(path, 'a', encoding='utf-8', errors='backslashreplace') as report,
        tqdm(total=count, unit='picture', disable=None) as bar,
    ):
        for task, result in results:
            saved = _save(result, task, settings, inputs)
            if isinstance(saved, Failure):
                failed += 1
                problem = str(saved.error) or f"{type(saved.error).__name__} at '{task.source}'"
                inputs.report(bar, problem)
                _add(report, dict(source=task.source, target=task.target, error=problem))
            else:
                figures = dict(saved.report(), source=task.source, target=task.target)
                _add(report, dict(file=task.file, **figures))
                worst = max(worst, saved.lr_worst)
            bar.update()
    return failed, worst


def summary(what: str, made: int, count: int, failed: int, worst: float) -> str:
    """A line on the results that a call made, of those that there are to be."""
    return (
        f'{made} of {count} {what}'
        + (f', {failed} could not be' if failed else '')
        + (f'; worst LR error {worst:.2f} grey levels' if made else '')
    )


def _save(
    result: Translation | Failure, task: Task, settings: dict[str, str], inputs: Inputs
) -> Translation | Failure:
    """Write a result's file, if there is one; returns the result, or what went wrong."""
    if isinstance(result, Failure):
        return result
    try:
        # Full paths go into the report alone: pictures are passed on to others.
        result.source_name = shown(os.path.basename(task.source))
        result.target_name = shown(os.path.basename(task.target))
        result.metadata = dict(settings, inputs=inputs.hash(task))
        result.save(task.file)
    except (OSError, ValueError) as error:
        return Failure(error)
    return result


def _add(report: Any, line: dict) -> None:
    report.write(json.dumps({k: _text(v) for k, v in line.items()}, ensure_ascii=False) + '\n')
    report.flush()


def _text(value: Any) -> Any:
    """JSON holds any text but parts of names that are no text."""
    return value.encode('utf-8', 'backslashreplace').decode() if isinstance(value, str) else value
