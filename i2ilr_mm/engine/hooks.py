"""Hooks: losses and throughput, sample grids."""

import os
from typing import Any

import numpy as np
import torch
from mmagic.registry import HOOKS
from mmengine.dist import get_world_size, master_only
from mmengine.hooks import CheckpointHook, Hook, LoggerHook, RuntimeInfoHook
from mmengine.runner import Runner

from ..evaluation.grid import load_pairs, sample_grid
from ..models.networks import unwrap
from .watch import check_losses


@HOOKS.register_module()
class DeferredRuntimeInfoHook(RuntimeInfoHook):
    """MMEngine's hook, reading the losses when they are logged or stored, not in every step.

    Reading a number makes the processor wait for the GPU, which then has nothing to do next. Losses
    that are not finite stop the training, before anything made of them is stored.
    """

    def __init__(self) -> None:
        self.waiting: list[dict[str, torch.Tensor]] = []
        self.intervals: set[int] = set()

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        readers = (LoggerHook, CheckpointHook)
        self.intervals = {h.interval for h in runner.hooks if isinstance(h, readers)}
        self.intervals.add(runner.val_interval)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        self.waiting.append(outputs or {})
        due = any(self.every_n_inner_iters(batch_idx, interval) for interval in self.intervals)
        if (
            due
            or self.end_of_epoch(runner.train_dataloader, batch_idx)
            or self.is_last_train_iter(runner)
        ):
            values = [value for output in self.waiting for value in output.values()]
            numbers = iter(torch.stack(values).tolist())  # one read for all
            steps = [{name: next(numbers) for name in output} for output in self.waiting]
            self.waiting.clear()
            check_losses(runner, steps)
            for name, number in (item for losses in steps for item in losses.items()):
                runner.message_hub.update_scalar(f'train/{name}', number)


@HOOKS.register_module()
class ThroughputHook(Hook):
    """Log pictures per second over all ranks (``img_per_s``) and thousands seen (``kimg``).

    The speed is that of the log's window: a single step ends before the GPU has done its work.
    """

    priority = 'NORMAL'  # after IterTimerHook, before LoggerHook

    def after_train_iter(self, runner: Runner, batch_idx: int, *args: object, **kwargs: object):
        batch = runner.train_dataloader.batch_size * get_world_size()
        if 'train/time' in runner.message_hub.log_scalars:  # default_hooks.timer can be off
            times = runner.message_hub.get_scalar('train/time')
            seconds = times.mean(runner.log_processor.window_size)
            runner.message_hub.update_scalar('train/img_per_s', batch / max(seconds, 1e-9))
        seen = runner.message_hub.get_info('images_seen', batch * (runner.iter + 1))
        runner.message_hub.update_scalar('train/kimg', seen / 1000)


@HOOKS.register_module()
class SampleGridHook(Hook):
    """Draw the same validation pairs every N iterations.

    Rows of source, LR target, result of the live generator, result of the EMA generator; written to
    ``work_dir/samples/iter_N.png`` and to the visualiser's backends.

    Args:
        interval: Iterations between two grids.
        n_pairs: Rows.

    Raises:
        ValueError: If the interval or the number of rows is not positive.
    """

    priority = 'LOW'

    def __init__(self, interval: int = 1000, n_pairs: int = 6) -> None:
        if interval < 1 or n_pairs < 1:
            raise ValueError(f'interval={interval} and n_pairs={n_pairs} must be at least 1')
        self.interval, self.n_pairs = interval, n_pairs

    def before_train(self, runner: Runner) -> None:
        if runner.val_loop is None:
            raise ValueError(
                'SampleGridHook draws validation pairs: set val_dataloader and val_cfg'
            )

    def after_train_iter(
        self, runner: Runner, batch_idx: int, *args: object, **kwargs: object
    ) -> None:
        if self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner):
            self._draw(runner)

    @master_only
    def _draw(self, runner: Runner) -> None:
        dataset = runner.val_loop.dataloaders[0].dataset
        model = unwrap(runner.model)
        source, lr = load_pairs(model, dataset, range(min(self.n_pairs, len(dataset))))
        grid = sample_grid(
            {
                'source': source,
                'LR target': lr,
                'result (live)': model.predict(source, lr, 'generator'),
                'result (EMA)': model.predict(source, lr),
            }
        )
        folder = os.path.join(runner.work_dir, 'samples')
        os.makedirs(folder, exist_ok=True)
        grid.save(os.path.join(folder, f'iter_{runner.iter + 1}.png'))
        runner.visualizer.add_image('samples', np.array(grid), step=runner.iter + 1)
