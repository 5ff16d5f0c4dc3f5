"""One draw of a training picture: which one, and the chance that augments it."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch


class Draw(NamedTuple):
    """A picture of a pool by its index, and the seed of its augmentation this time."""

    picture: int
    seed: int


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
