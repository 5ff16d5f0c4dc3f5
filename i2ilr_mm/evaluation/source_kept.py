"""Source kept: whether a result can be told from others by its own source's detail."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .estimate import Estimate, sample_mean

TIE = 1e-9
"""Difference of cosines that rounding alone could have made."""

GALLERY = 100
"""Sources among which a result has to find its own."""


def galleries(sources: int, size: int = GALLERY) -> Tensor:
    """Draw at random, for each source, the others to compare with: (sources, size - 1) indices.

    The draw depends on nothing but the numbers, so that scores can be compared.
    """
    rows = []
    for i in range(sources):
        others = np.random.RandomState([0, i]).permutation(sources - 1)[: size - 1]
        rows.append(torch.from_numpy(others + (others >= i)))
    return torch.stack(rows)


def source_kept(results: Tensor, sources: Tensor, own: Tensor, size: int = GALLERY) -> Estimate:
    """Share of results that are nearer to their own source than to any of 99 others.

    Similarity is the cosine after the sources' mean is taken away. A tie is no hit, so that results
    that are all alike score 0, not 1.

    Args:
        results: (n, d) features of the results.
        sources: (m, d) features of all sources, m >= 2.
        own: (n,) index of each result's source.
        size: Sources that each result is compared with, its own included; m if there are fewer.

    Returns:
        The share, with the influence of each result.

    Raises:
        ValueError: If there are fewer than two sources, or values are not finite.
    """
    if len(sources) < 2:
        raise ValueError(f'{len(sources)} source: at least two are needed to be told apart')
    if not (results.isfinite().all() and sources.isfinite().all()):
        raise ValueError('the features are not finite')
    centre = sources.double().mean(dim=0)
    queries, keys = (F.normalize(x.double() - centre, dim=1) for x in (results, sources))
    others = galleries(len(sources), min(size, len(sources)))[own]
    similarity = queries @ keys.T
    nearest = similarity.gather(1, others.to(similarity.device)).max(dim=1).values
    return sample_mean(similarity.gather(1, own[:, None]).squeeze(1) > nearest + TIE)
