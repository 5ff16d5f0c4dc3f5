"""Hooks: checkpoints as plain data, losses and throughput, sample grids."""

import os
from typing import Any

import numpy as np
import torch
from mmagic.registry import HOOKS
from mmengine.dist import get_world_size, master_only
from mmengine.hooks import CheckpointHook, Hook, LoggerHook, RuntimeInfoHook
from mmengine.logging import HistoryBuffer
from mmengine.runner import Runner, find_latest_checkpoint

from ..evaluation.grid import load_pairs, sample_grid
from ..inference.model import check_state
from ..models.i2ilr import unwrap


def plain(value: Any) -> Any:
    """Containers, tensors, numbers and text in place of NumPy's and MMEngine's objects."""
    if isinstance(value, dict):
        return {key: plain(child) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(child) for child in value]
    if isinstance(value, HistoryBuffer):
        return torch.stack([torch.as_tensor(part, dtype=torch.float64) for part in value.data])
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    return value.item() if isinstance(value, np.generic) else value


@HOOKS.register_module()
class PlainCheckpointHook(CheckpointHook):
    """MMEngine's checkpoint hook, writing files that hold tensors and plain data only.

    MMEngine keeps its log as HistoryBuffer objects and NumPy scalars, which
    ``torch.load(weights_only=True)`` refuses. Here histories become tensors in the file, and
    objects again on loading. Arguments are those of ``mmengine.hooks.CheckpointHook``.
    """

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        for part in ('meta', 'message_hub'):
            checkpoint[part] = plain(checkpoint[part])

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check that the file fits, which MMEngine does not, and make the histories anew."""
        path = runner._load_from or find_latest_checkpoint(runner.work_dir)
        check_state(unwrap(runner.model), checkpoint.get('state_dict', {}), path)
        if runner._resume and not {'optimizer', 'message_hub'} <= checkpoint.keys():
            raise ValueError(
                f"'{path}' holds weights only and cannot be resumed: start a new run from it with "
                f'--cfg-options load_from={path}'
            )
        hub = checkpoint.get('message_hub', {})
        for name, best in list(hub.get('runtime_info', {}).items()):
            # MMEngine deletes the best checkpoint so far for a better one; not another run's.
            if name.startswith('best_ckpt') and not _is_inside(best, runner.work_dir):
                del hub['runtime_info'][name]
        scalars = hub.get('log_scalars', {})
        for name, log in scalars.items():
            if isinstance(log, torch.Tensor):
                scalars[name] = HistoryBuffer(*log.cpu().numpy())

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        if runner.iter >= runner.max_iters:
            runner.logger.warning(
                f'this run is at iteration {runner.iter} of {runner.max_iters} already; to go on, '
                f'raise train_cfg.max_iters'
            )


def _is_inside(path: str, folder: str) -> bool:
    return os.path.dirname(os.path.realpath(path)) == os.path.realpath(folder)


@HOOKS.register_module()
class DeferredRuntimeInfoHook(RuntimeInfoHook):
    """MMEngine's hook, reading the losses when they are logged instead of in every step.

    Reading a number makes the processor wait for the GPU, which then has nothing to do next.
    """

    def __init__(self) -> None:
        self.waiting: list[dict[str, torch.Tensor]] = []
        self.interval = 1

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        loggers = [h.interval for h in runner.hooks if isinstance(h, LoggerHook)]
        self.interval = min(loggers, default=1)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        self.waiting.append(outputs or {})
        if self.every_n_inner_iters(batch_idx, self.interval) or self.is_last_train_iter(runner):
            values = [value for output in self.waiting for value in output.values()]
            numbers = iter(torch.stack(values).tolist())  # one read for all
            for name in (name for output in self.waiting for name in output):
                runner.message_hub.update_scalar(f'train/{name}', next(numbers))
            self.waiting.clear()


@HOOKS.register_module()
class ThroughputHook(Hook):
    """Log pictures per second over all ranks (``img_per_s``) and thousands seen (``kimg``).

    The speed is that of the log's window: a single step ends before the GPU has done its work.
    """

    priority = 'NORMAL'  # after IterTimerHook, before LoggerHook

    def after_train_iter(self, runner: Runner, batch_idx: int, *args: object, **kwargs: object):
        batch = runner.train_dataloader.batch_size * get_world_size()
        seconds = runner.message_hub.get_scalar('train/time').mean(runner.log_processor.window_size)
        runner.message_hub.update_scalar('train/img_per_s', batch / max(seconds, 1e-9))
        runner.message_hub.update_scalar('train/kimg', batch * (runner.iter + 1) / 1000)


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
