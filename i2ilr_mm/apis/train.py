"""Train the model of a config: what `i2ilr train` does."""

import os

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner

from ..building import config_errors
from ..datasets.pictures import PictureError
from ..device import without_denormals
from ..engine.checkpoint_files import latest_checkpoint
from ..loading import strict_loading
from .runner import build_runner, leave_group


def set_resume(cfg: Config, resume: str | None) -> None:
    """Set up resuming: None starts anew, 'auto' takes the work dir's latest checkpoint, or a path.

    Raises:
        FileNotFoundError: If the named checkpoint does not exist.
        FileExistsError: If a new run would write into the work dir of an earlier one.
    """
    last = latest_checkpoint(cfg.work_dir)
    if resume is None and cfg.get('resume') and not cfg.get('load_from'):
        resume = 'auto'  # MMEngine would believe last_checkpoint, which a kill leaves behind
    if resume is None:
        if last and not cfg.get('resume'):
            raise FileExistsError(
                f"'{cfg.work_dir}' holds an earlier run, up to '{os.path.basename(last)}': go on "
                f'with it by --resume, or choose another --work-dir'
            )
    elif resume == 'auto' and last is None:
        print_log(f"--resume: no checkpoint in '{cfg.work_dir}' yet, starting anew", 'current')
        cfg.resume = False
    else:
        cfg.load_from = last if resume == 'auto' else _named_checkpoint(cfg, resume, last)
        cfg.resume = True


def _named_checkpoint(cfg: Config, path: str, last: str | None) -> str:
    """A checkpoint that the user names; warns if the work dir holds another one."""
    if not os.path.isfile(path):
        raise FileNotFoundError(f"--resume: there is no checkpoint '{path}'")
    if last and os.path.realpath(last) != os.path.realpath(path):
        print_log(
            f"--resume: '{cfg.work_dir}' also holds '{os.path.basename(last)}', which a plain "
            f'--resume would take; another --work-dir keeps the two apart',
            'current',
            30,
        )
    return path


def set_amp(cfg: Config) -> None:
    """Switch bfloat16 autocast on, where the hardware has it; else say so and stay in float32."""
    if torch.cuda.is_available() and torch.cuda.get_device_capability() < (8, 0):
        print_log('--amp: this GPU has no bfloat16; training stays in float32', 'current', 30)
        return
    cfg.model.autocast = 'bfloat16'


def build_loops(runner: Runner) -> None:
    """Build the loops with their data sets.

    Raises:
        PictureError: Naming the bad pictures of both data sets at once.
    """
    problems = []
    for loop in ('train_loop', 'val_loop'):
        try:
            getattr(runner, loop)
        except PictureError as error:
            problems.append(str(error))
    if problems:
        raise PictureError('; '.join(dict.fromkeys(problems)))


@without_denormals()
def train(cfg: Config) -> None:
    """Train the model of a config.

    Raises:
        FileNotFoundError: If the data root does not exist.
        ValueError: If a part of the config cannot be built.
    """
    runner = build_runner(cfg)
    with config_errors(cfg):  # built here, not in train(), where errors of any kind can come up
        build_loops(runner)
    try:
        with strict_loading(), config_errors(cfg, building=False):
            runner.train()
    except KeyboardInterrupt:
        last = latest_checkpoint(runner.work_dir)
        raise SystemExit(
            f'interrupted at iteration {runner.iter}; last checkpoint: {last or "none yet"}; '
            f'the same command with --resume goes on from there'
        ) from None
    del runner
    leave_group()
