"""The order of training samples."""

from collections.abc import Iterator
from itertools import count, islice

import torch
from mmagic.registry import DATA_SAMPLERS
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Dataset, Sampler


@DATA_SAMPLERS.register_module()
class PairSampler(Sampler):
    """Endless shuffled pairs, dealt out to the ranks one pair at a time.

    Two neighbours always reach the same rank, and the union of the ranks' batches is the batch that
    one process would see. The order is a function of the seed alone. An odd picture sits out each
    epoch.

    Args:
        dataset: The pool to draw from, at least two pictures.
        seed: Seed of the order; None agrees on one between the ranks.

    Raises:
        ValueError: If there are fewer than two pictures.
    """

    def __init__(self, dataset: Dataset, seed: int | None = None) -> None:
        self.size = len(dataset)  # type: ignore[arg-type]
        if self.size < 2:
            raise ValueError(f'training needs pairs, and the pool holds {self.size} picture')
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed

    def _pairs(self) -> Iterator[list[int]]:
        for epoch in count():
            generator = torch.Generator().manual_seed(self.seed + epoch)
            order = torch.randperm(self.size, generator=generator)
            yield from order[: self.size // 2 * 2].view(-1, 2).tolist()

    def __iter__(self) -> Iterator[int]:
        for pair in islice(self._pairs(), self.rank, None, self.world_size):
            yield from pair

    def __len__(self) -> int:
        """Pictures in one epoch over all ranks."""
        return self.size // 2 * 2
