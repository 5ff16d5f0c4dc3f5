"""What `i2ilr check` runs: whether a machine trains and translates as it should."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from i2ilr.files import replacing, write_json

from .checks import checks
from .machine import Failed, LeftOut, Machine
from .report import machine
from .timing import say


@dataclass
class Outcome:
    """What became of a check: ``state`` is 'passed', 'FAILED' or 'left out'."""

    name: str
    state: str
    seconds: float
    text: str


def run_checks(machine: Machine) -> list[Outcome]:
    """Run every check, and write ``check.md`` and ``check.json`` after each."""
    os.makedirs(machine.out, exist_ok=True)
    outcomes: list[Outcome] = []
    for name, check in checks(machine):
        say(f'{name} ...')
        outcomes.append(outcome(name, check, machine))
        say(f'{name}: {outcomes[-1].state}: {outcomes[-1].text}')
        write_report(machine, outcomes)
    return outcomes


def outcome(name: str, check: Callable[[Machine], str], machine: Machine) -> Outcome:
    """Run one check; whatever goes wrong in it is its outcome."""
    start = time.perf_counter()
    try:
        state, text = 'passed', check(machine)
    except LeftOut as error:
        state, text = 'left out', str(error)
    except Exception as error:  # the report is for whoever has to find out why
        kind = '' if isinstance(error, Failed) else f'{type(error).__name__}: '
        state, text = 'FAILED', f'{kind}{error}'
    return Outcome(name, state, time.perf_counter() - start, ' '.join(text.split()))


def write_report(checked: Machine, outcomes: list[Outcome]) -> None:
    """Write ``check.json`` and ``check.md`` of the checks so far."""
    on = machine()
    facts = dict(on, gpus=checked.gpus, configs=checked.configs, options=checked.options)
    report = dict(machine=facts, checks=[vars(o) for o in outcomes])
    write_json(os.path.join(checked.out, 'check.json'), report)
    lines = [
        f'{on["gpu"] or on["cpu"]}, GPUs: {checked.gpus}, torch {on["torch"]}, '
        f'Python {on["python"]}',
        '',
        '| check | outcome | seconds | what was seen |',
        '|---|---|---|---|',
        *(f'| {o.name} | {o.state} | {o.seconds:.0f} | {o.text} |' for o in outcomes),
    ]
    for config in checked.configs:
        table = os.path.join(checked.out, f'steps_{config}', 'benchmark.md')
        if os.path.exists(table):
            with open(table) as file:
                lines += ['', file.read().rstrip()]
    with replacing(os.path.join(checked.out, 'check.md')) as path, open(path, 'w') as file:
        file.write('\n'.join([*lines, '']))
