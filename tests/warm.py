"""Work that tests would otherwise do again and again in each command."""

import importlib
from typing import Any

LATE = ('torch._dynamo', 'torchvision', 'matplotlib.figure', 'matplotlib.backends.backend_agg')
"""What commands import on their way, for a second; the first of it with the first optimiser."""


def import_late_modules() -> None:
    """For a process that forks: its children have behind them what comes late otherwise."""
    for name in LATE:
        importlib.import_module(name)


def format_configs_once() -> None:
    """Keep what a process has formatted.

    MMEngine formats the config anew for its log, its dump and every checkpoint: in a training of
    four steps that is eight times, and a third of the time.
    """
    from mmengine.config import config

    plain, known = config.FormatCode, {}

    def format_code(text: str, **style: Any) -> Any:
        if text not in known:
            known[text] = plain(text, **style)
        return known[text]

    config.FormatCode = format_code
