"""The training loop."""

from typing import Any

from mmagic.registry import LOOPS
from mmengine.dist import all_gather_object, get_world_size
from mmengine.runner import IterBasedTrainLoop, Runner
from mmengine.runner.base_loop import BaseLoop
from torch import nn
from torch.utils.data import DataLoader

from .samplers import PairSampler


@LOOPS.register_module()
class ResumableTrainLoop(IterBasedTrainLoop):
    """MMEngine's iteration loop; on a resume, its data continue at once where they stopped.

    MMEngine starts to read before it loads the checkpoint, and reads all past batches again. Here
    the sampler starts at the images seen so far, which the checkpoint holds (in the message hub,
    with the sampler's seed); one that does not hold them counts as iterations of today's batch.

    Args:
        runner: The runner.
        dataloader: The training loader or its config; its sampler must be a PairSampler.
        **kwargs: Those of ``mmengine.runner.IterBasedTrainLoop``.

    Raises:
        ValueError: If the sampler cannot start anywhere.
    """

    dataloader: DataLoader

    def __init__(self, runner: Runner, dataloader: DataLoader | dict, **kwargs: Any) -> None:
        BaseLoop.__init__(self, runner, dataloader)
        loader, sampler = self.dataloader, self.dataloader.sampler
        if not isinstance(sampler, PairSampler):
            raise ValueError(
                f"train_cfg.type='ResumableTrainLoop' resumes exactly by "
                f"train_dataloader.sampler=dict(type='PairSampler'), and got "
                f"{type(sampler).__name__}: use that, or train_cfg.type='IterBasedTrainLoop'"
            )
        # MMEngine starts to read in __init__: give it nothing to read.
        super().__init__(runner, DataLoader(loader.dataset, sampler=()), **kwargs)
        self.dataloader, self.sampler = loader, sampler
        self.batch_size = loader.batch_size * get_world_size()
        self.images_seen = 0

    def run(self) -> nn.Module:
        """Train up to ``max_iters``, with validation in between; returns the model."""
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        self._find_place()
        self.dataloader_iterator = iter(self.dataloader)
        self._validate()  # what a kill between a checkpoint and its validation has left out
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            self._validate()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def _find_place(self) -> None:
        hub, sampler = self.runner.message_hub, self.sampler
        self.images_seen = hub.get_info('images_seen', self._iter * self.batch_size)
        sampler.start = self.images_seen
        # The seed is drawn anew by each run where randomness.seed is None.
        sampler.seed = hub.get_info('sampler_seed', sampler.seed)
        hub.update_info('sampler_seed', sampler.seed)
        places = all_gather_object((self._iter, self.images_seen, sampler.seed))
        if len(set(places)) > 1:
            raise ValueError(
                f'the processes do not start at the same place; (iteration, images seen, seed) are '
                f'{places} by rank: --work-dir must be a folder that all of them share'
            )

    def _validate(self) -> None:
        """Validate if that is due here and was not done."""
        self._decide_current_val_interval()
        at_end = self._iter == self._max_iters
        due = self._iter >= self.val_begin and (self._iter % self.val_interval == 0 or at_end)
        hub = self.runner.message_hub
        if self.runner.val_loop is None or not self._iter or not due:
            return
        if hub.get_info('last_validation', 0) < self._iter:
            # First, as the checkpoint hook stores it with a best one.
            hub.update_info('last_validation', self._iter)
            self.runner.val_loop.run()

    def run_iter(self, data_batch: Any) -> None:
        """One step; counts its images first, as hooks write checkpoints within it."""
        self.images_seen += self.batch_size
        self.runner.message_hub.update_info('images_seen', self.images_seen)
        super().run_iter(data_batch)
