"""Reference values: the published networks at 64 px with seeded weights, in eval mode.

data/golden_64_8.* hold names, shapes, outputs, losses and gradient norms; the weights are made from
the names, so that no large file is needed.
"""

import json
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

DATA = Path(__file__).parent / 'data'


def seeded_weight(name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    rng = np.random.RandomState((zlib.crc32(name.encode()) + seed) % 2**32)
    values = rng.standard_normal(tuple(shape)).astype(np.float32)
    if name.endswith(('weight_u', 'weight_v')):
        values /= np.linalg.norm(values)
    elif len(shape) == 4:
        values *= (2.0 / np.prod(shape[1:])) ** 0.5
    elif name.endswith('weight'):
        values = 1 + 0.1 * values
    else:
        values *= 0.05
    return torch.from_numpy(values.astype(np.float32))


def seeded_image(shape: tuple[int, ...], seed: int) -> Tensor:
    rng = np.random.RandomState(seed)
    layers = (
        torch.from_numpy(rng.uniform(-1, 1, (shape[0], 3, k, k)).astype(np.float32))
        for k in (4, 16, 64)
    )
    enlarged = [F.interpolate(x, size=shape[2:], mode='bilinear') for x in layers]
    return (sum(x / (i + 1) for i, x in enumerate(enlarged)) / 1.2).clamp(-1, 1)


@lru_cache
def values() -> tuple[dict, dict[str, Tensor]]:
    """The json's content, and the arrays of the npz as tensors."""
    with np.load(DATA / 'golden_64_8.npz') as arrays:
        tensors = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    return json.loads((DATA / 'golden_64_8.json').read_text()), tensors


@lru_cache
def _weights() -> dict[str, dict[str, Tensor]]:
    golden, tensors = values()
    return {
        part: {
            name: tensors.get(
                f'buf:{part}.{name}', seeded_weight(name, shape, golden['seed'] + offset)
            )
            for name, shape in golden['spec'][part]
        }
        for offset, part in enumerate(('Gen', 'Dis'))
    }


def checkpoint() -> dict[str, dict[str, Tensor]]:
    """A checkpoint in the published format with the seeded weights.

    The dicts are the caller's own. The tensors are those of every call, and are not to be changed.
    """
    states = {part: dict(state) for part, state in _weights().items()}
    return {**states, 'AverageG': dict(states['Gen']), 'optG': {}, 'optD': {}}


def images() -> tuple[Tensor, Tensor]:
    """The two input batches, (2, 3, 64, 64) each."""
    seed = values()[0]['seed']
    return seeded_image((2, 3, 64, 64), seed + 2), seeded_image((2, 3, 64, 64), seed + 3)
