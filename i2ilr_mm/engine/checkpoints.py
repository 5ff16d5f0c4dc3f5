"""The checkpoint hook: it writes plain data, and deletes an old file after the new one is there."""

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from mmagic.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.logging import HistoryBuffer
from mmengine.runner import Runner, find_latest_checkpoint

from ..loading import check_state, state_of
from ..models.networks import unwrap
from .checkpoint_files import latest_checkpoint, remove_partials
from .watch import check_weights


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
    """MMEngine's checkpoint hook, writing whole files that hold tensors and plain data only.

    MMEngine keeps its log as HistoryBuffer objects and NumPy scalars, which
    ``torch.load(weights_only=True)`` refuses. Here histories become tensors in the file, and
    objects again on loading. Files are replaced in one go, and an old one is deleted only when what
    takes its place is written, so that a kill at any moment leaves a checkpoint to go on from.
    Arguments are those of ``mmengine.hooks.CheckpointHook``, without ``backend_args``.
    """

    keep_ckpt_ids: list[int]  # type: ignore[assignment]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(backend_args=dict(backend='whole_files'), **kwargs)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        name = self.filename_tmpl.format(step)
        self.last_ckpt = os.path.join(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        outdated = self._keep(runner, step)
        runner.save_checkpoint(
            self.out_dir,
            name,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler and bool(runner.param_schedulers),
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            note = os.path.join(runner.work_dir, 'last_checkpoint')
            self.file_backend.put_text(self.last_ckpt, note)
            _delete(os.path.join(self.out_dir, self.filename_tmpl.format(i)) for i in outdated)

    def _keep(self, runner: Runner, step: int) -> list[int]:
        """Note a step as kept; returns those that go once it is written.

        The checkpoint itself lists them, too: after a kill in between the resumed run deletes them.
        """
        if self.max_keep_ckpts < 1:
            return []
        steps = [*(i for i in self.keep_ckpt_ids if i != step), step]
        runner.message_hub.update_info('keep_ckpt_ids', steps)
        self.keep_ckpt_ids = steps[-self.max_keep_ckpts :]
        return steps[: -self.max_keep_ckpts]

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        if not self.save_best:
            return
        indicators = set(self.key_indicators or []) - {'auto'}
        if missing := indicators - metrics.keys():
            runner.logger.warning(
                f'no best checkpoint is kept: the validation has no {min(missing)!r}, it has '
                f'{sorted(metrics)}; set default_hooks.checkpoint.save_best to one of these'
            )
            return
        before = self._best_paths()
        super()._save_best_checkpoint(runner, metrics)
        if is_main_process():
            _delete(before - self._best_paths())

    def _best_paths(self) -> set[str]:
        several = getattr(self, 'best_ckpt_path_dict', {}).values()
        return {path for path in (*several, getattr(self, 'best_ckpt_path', None)) if path}

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        check_weights(runner, checkpoint.get('state_dict', {}))
        for part in {'meta', 'message_hub', 'param_schedulers'} & checkpoint.keys():
            checkpoint[part] = plain(checkpoint[part])

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check that the file fits, and rebuild the log histories. MMEngine does neither."""
        path = runner._load_from or find_latest_checkpoint(runner.work_dir)
        checkpoint['state_dict'] = state_of(checkpoint, path)
        check_state(unwrap(runner.model), checkpoint['state_dict'], path)
        if runner._resume and not {'optimizer', 'message_hub'} <= checkpoint.keys():
            raise ValueError(
                f"'{path}' holds weights only and cannot be resumed: start a new run from it with "
                f'--cfg-options load_from={path}'
            )
        if runner._resume:
            _check_interval(runner, checkpoint['optimizer'], path)
        hub = checkpoint.get('message_hub', {})
        _forget_other_runs(hub.get('runtime_info', {}), path, runner)
        scalars = hub.get('log_scalars', {})
        for name, log in scalars.items():
            if isinstance(log, torch.Tensor):
                scalars[name] = HistoryBuffer(*log.cpu().numpy())

    def before_train(self, runner: Runner) -> None:
        kept_ids = list(runner.message_hub.get_info('keep_ckpt_ids', []))
        super().before_train(runner)
        self.keep_ckpt_ids = kept_ids  # MMEngine drops those that are one too many
        if is_main_process():
            for folder in {self.out_dir, runner.work_dir}:
                remove_partials(folder)
            self._mend_note(runner.work_dir)
        if runner.iter >= runner.max_iters:
            runner.logger.warning(
                f'this run is at iteration {runner.iter} of {runner.max_iters} already; to go on, '
                f'raise train_cfg.max_iters'
            )

    def _mend_note(self, work_dir: str) -> None:
        """Bring ``last_checkpoint`` up to date, which a killed run may have left behind."""
        latest = latest_checkpoint(work_dir)
        if latest:
            self.file_backend.put_text(latest, os.path.join(work_dir, 'last_checkpoint'))


def _check_interval(runner: Runner, optimizers: dict, path: str) -> None:
    """Refuse to resume with another interval of R1: stored rates and betas fit only one."""
    groups = optimizers.get('discriminator', {}).get('param_groups', [{}])
    objective = getattr(unwrap(runner.model), 'objective', None)  # other models have none
    then, now = groups[0].get('r1_interval', 1), getattr(objective, 'r1_interval', 1)
    if then != now:
        raise ValueError(
            f"'{path}' was trained with model.r1_loss.interval={then}, and the config has {now}: "
            f'resume with --cfg-options model.r1_loss.interval={then}, or start a new run with '
            f'load_from={path}'
        )


def _delete(paths: Iterable[str]) -> None:
    for path in paths:
        if os.path.isfile(path):
            os.remove(path)


def _is_inside(path: str, folder: str) -> bool:
    return os.path.dirname(os.path.realpath(path)) == os.path.realpath(folder)


def _forget_other_runs(info: dict, path: str, runner: Runner) -> None:
    """MMEngine deletes the best checkpoint so far for a better one; it must not be another run's.

    Args:
        info: The stored runtime information, with the paths of the best checkpoints.
        path: The checkpoint that was loaded.
        runner: This run.
    """
    for name, best in list(info.items()):
        if not name.startswith('best_ckpt') or _is_inside(best, runner.work_dir):
            continue
        moved = os.path.join(runner.work_dir, os.path.basename(best))
        if _is_inside(path, runner.work_dir) and os.path.isfile(moved):
            info[name] = moved  # the whole folder has a new place
        else:
            del info[name]
