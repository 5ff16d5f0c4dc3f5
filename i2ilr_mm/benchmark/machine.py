"""The machine that `i2ilr check` looks at, and how a check runs commands on it."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field

import torch

from .timing import DEVICE

CONFIG = 'i2ilr_heads64_small'
"""What the short trainings train, on pictures that are embedded."""


class LeftOut(Exception):
    """This machine cannot run the check; the text says why."""


class Failed(Exception):
    """The check ran and its bar is not met, or a command of it failed."""


@dataclass
class Machine:
    """Where the checks run.

    Args:
        out: Folder for the report, the logs and the work dirs of trainings.
        configs: Names of the configs whose steps are timed.
        rounds: Timed steps of each variant.
        options: Options over those of the configs.
        device: 'cuda' or 'cpu'.
        gpus: Number of GPUs.
    """

    out: str
    configs: list[str]
    rounds: int = 5
    options: list[str] = field(default_factory=list)
    device: str = DEVICE
    gpus: int = field(default_factory=torch.cuda.device_count)

    def command(self, name: str, *arguments: str, ranks: int = 1, **env: str) -> str:
        """Run ``i2ilr`` in processes of its own; its output goes to ``name``.log.

        Raises:
            Failed: If the exit code is not 0.
        """
        start = [sys.executable]
        if ranks > 1:
            start += ['-m', 'torch.distributed.run', '--standalone', f'--nproc-per-node={ranks}']
        log = os.path.join(self.out, f'{name}.log')
        with open(log, 'w') as file:
            code = subprocess.run(
                [*start, '-m', 'i2ilr_mm', *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path)), **env},
            ).returncode
        if code:
            raise Failed(f'exit code {code}: {_error_of(log)}; the whole output is in {log}')
        return log

    def train(self, name: str, *options: str, resume: str = '', ranks: int = 1, **env: str) -> str:
        """Train a few steps with fixed random numbers; returns the work dir."""
        work = os.path.join(self.out, name)
        if not resume:
            shutil.rmtree(work, ignore_errors=True)
        self.command(
            f'{name}{resume}',
            *('train', CONFIG, '--work-dir', work),
            *(['--resume'] if resume else []),
            *(['--launcher', 'pytorch'] if ranks > 1 else []),
            *('--cfg-options', 'randomness.deterministic=True', 'default_hooks.cost=None'),
            *('default_hooks.checkpoint.interval=1', 'default_hooks.logger.interval=1'),
            *('default_hooks.checkpoint.max_keep_ckpts=-1', 'train_cfg.val_interval=1000'),
            *(
                'model.source_loss.queue_size=8',
                'default_hooks.checkpoint.save_best=None',
                'default_hooks.samples=None',
            ),
            *('val_dataloader=None', 'val_cfg=None', 'val_evaluator=None'),
            *self.options,
            *options,
            ranks=ranks,
            CUBLAS_WORKSPACE_CONFIG=':4096:8',
            **env,
        )
        return work


def _error_of(log: str) -> str:
    """The line of an output that says what went wrong."""
    with open(log) as file:
        lines = file.read().strip().splitlines() or ['no output']
    return next(
        (line for line in reversed(lines) if re.match(r'error: |\w*Error: ', line)), lines[-1]
    )[:300]
