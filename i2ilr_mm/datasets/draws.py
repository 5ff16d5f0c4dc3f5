"""One draw of a training picture: which one, and the chance that augments it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


class Draw(int):
    """A picture of a pool by its index, and the seed of its augmentation this time.

    It is an index wherever one is asked for. What ConcatDataset and RepeatDataset make of it, an
    index into the pool inside, has its seed.

    Attributes:
        seed: Seed of the augmentation.
    """

    seed: int

    def __new__(cls, picture: int, seed: int) -> Draw:
        draw = super().__new__(cls, picture)
        draw.seed = seed
        return draw

    def __getnewargs__(self) -> tuple[int, int]:  # type: ignore[override]
        return int(self), self.seed  # for the loader's workers

    def __sub__(self, other: int) -> Draw:
        return Draw(int(self) - other, self.seed)

    def __mod__(self, other: int) -> Draw:
        return Draw(int(self) % other, self.seed)

    def __eq__(self, other: object) -> bool:
        return int(self) == other and self.seed == getattr(other, 'seed', self.seed)

    def __ne__(self, other: object) -> bool:
        return not self == other  # int has one of its own

    def __hash__(self) -> int:
        return super().__hash__()

    def __repr__(self) -> str:
        return f'Draw({int(self)}, seed={self.seed})'


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of Python, NumPy and torch (CPU); put them back afterwards.

    Transforms draw from any of the three. Each gets a seed of its own, as NumPy's and torch's
    generators are the same algorithm.
    """
    python, numpy = random.getstate(), np.random.get_state()
    python_seed, numpy_seed, torch_seed = np.random.SeedSequence(seed).generate_state(3).tolist()
    with torch.random.fork_rng(devices=[]):
        try:
            random.seed(python_seed)
            np.random.seed(numpy_seed)
            torch.default_generator.manual_seed(torch_seed)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
