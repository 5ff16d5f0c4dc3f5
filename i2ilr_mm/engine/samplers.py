"""The order of training and test samples."""

from collections.abc import Iterable, Iterator
from itertools import count

import numpy as np
import torch
from mmagic.registry import DATA_SAMPLERS
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Dataset, Sampler

from ..datasets.draws import Draw
from ..datasets.pairs import PairedPool

ORDER, AUGMENTATION = 0, 1
"""What a seed is for; the two never share one."""


@DATA_SAMPLERS.register_module()
class PairSampler(Sampler):
    """Endless shuffled pairs, dealt out to the ranks one pair at a time.

    Two neighbours always reach the same rank, and the union of the ranks' batches is the batch that
    one process would see. The order is a function of the seed and the epoch, a picture's
    augmentation of the seed and its position in the run, so that the stream can start anywhere at
    once. An odd picture sits out each epoch.

    Attributes:
        start: Images seen by all ranks together before the next iterator begins; even.
        seed: Seed of the order and of every augmentation.

    Args:
        dataset: The pool to draw from, at least two pictures.
        seed: See above; None agrees on one between the ranks.

    Raises:
        ValueError: If there are fewer than two pictures.
    """

    def __init__(self, dataset: Dataset, seed: int | None = None) -> None:
        self.size = len(dataset)  # type: ignore[arg-type]
        if self.size < 2:
            raise ValueError(f'training needs pairs, and the pool holds {self.size} picture')
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        self.start = 0

    def _seed_of(self, purpose: int, number: int) -> int:
        """Mixed, so that neighbouring seeds, epochs and positions have nothing in common."""
        mixed = np.random.SeedSequence(self.seed, spawn_key=(purpose, number))
        return int(mixed.generate_state(1)[0])

    def _order(self, epoch: int) -> list[int]:
        generator = torch.Generator().manual_seed(self._seed_of(ORDER, epoch))
        return torch.randperm(self.size, generator=generator).tolist()

    def _draws(self, pairs: Iterable[int]) -> Iterator[Draw]:
        shuffled, order = -1, list[int]()
        for pair in pairs:
            epoch, offset = divmod(2 * pair, len(self))
            if epoch != shuffled:
                shuffled, order = epoch, self._order(epoch)
            for i in range(2):
                yield Draw(order[offset + i], self._seed_of(AUGMENTATION, 2 * pair + i))

    def __iter__(self) -> Iterator[Draw]:
        yield from self._draws(count(self.start // 2 + self.rank, self.world_size))

    def draws(self, first: int, number: int) -> list[Draw]:
        """The next draws of all ranks together, after ``first`` images; both numbers are even."""
        return list(self._draws(range(first // 2, (first + number) // 2)))

    def __len__(self) -> int:
        """Pictures in one epoch over all ranks."""
        return self.size // 2 * 2


@DATA_SAMPLERS.register_module()
class SourceSampler(Sampler):
    """All pairs in order, none twice; the pairs of one source stay together on one rank.

    The ranks get neighbouring blocks of sources; one may get fewer, or none.

    Args:
        dataset: A :class:`i2ilr_mm.datasets.PairedPool`.
        seed: Not used; MMEngine's loaders give one.
    """

    def __init__(self, dataset: PairedPool, seed: int | None = None) -> None:
        rank, world_size = get_dist_info()
        sources = [dataset.get_data_info(i)['name'] for i in range(len(dataset))]
        starts = [i for i, name in enumerate(sources) if i == 0 or name != sources[i - 1]]
        starts.append(len(sources))
        share = -(-(len(starts) - 1) // world_size)
        first, last = (min(share * r, len(starts) - 1) for r in (rank, rank + 1))
        self.indices = range(starts[first], starts[last])

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        """Pairs of this rank."""
        return len(self.indices)
