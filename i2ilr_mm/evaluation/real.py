"""Features of real pictures: computed once, kept on disk, shared by all ranks."""

import hashlib
import os
from collections.abc import Callable
from logging import WARNING
from typing import Any

import torch
from mmengine.dist import all_gather_object, broadcast_object_list, get_dist_info, is_main_process
from mmengine.logging import print_log
from torch import Tensor

from i2ilr.files import at_home, replacing

from ..weights import CACHE_DIR

FEATURES_DIR = os.path.join(CACHE_DIR, 'features')


def gather_by_index(rows: dict[int, Any]) -> dict[int, Any]:
    """Merge the ranks' results by sample index: padding for even ranks leaves no duplicates."""
    merged: dict[int, Any] = {}
    for part in all_gather_object(rows):
        merged.update(part)
    return dict(sorted(merged.items()))


def real_features(
    pool: Any,
    network: Callable[[Tensor], Tensor],
    identity: str,
    batch_size: int,
    cache_dir: str | None = FEATURES_DIR,
) -> Tensor | None:
    """Features (n, d) of a pool's pictures; every rank computes a part of them.

    A file of the cache that cannot be read or written is reported, and the features are computed.

    Args:
        pool: An :class:`i2ilr_mm.datasets.ImagePool`; its transforms make the pictures.
        network: From uint8 pictures (B, 3, H, W) to features (B, d).
        identity: What the network computes and its weights' hash; part of the file's name, with
            the pictures' contents, the transforms and the size.
        batch_size: Pictures at a time.
        cache_dir: Folder of the file; None keeps the features in memory only.

    Returns:
        The features on the main rank, None on the others.
    """
    path = _cache_path(pool, identity, cache_dir)
    features = _load(path)
    cached = [features is not None]
    broadcast_object_list(cached)  # the main rank's view of the folder decides for all
    if cached[0]:
        return features
    rows = gather_by_index(_rows_of_this_rank(pool, network, batch_size))
    if not is_main_process():
        return None
    features = torch.stack(list(rows.values()))
    _save(features, path)
    return features


def _rows_of_this_rank(
    pool: Any, network: Callable[[Tensor], Tensor], batch_size: int
) -> dict[int, Tensor]:
    pictures = pool.real_pictures()
    rank, world_size = get_dist_info()
    indices = list(range(rank, len(pictures), world_size))
    rows: dict[int, Tensor] = {}
    for start in range(0, len(indices), batch_size):
        chunk = indices[start : start + batch_size]
        images = torch.stack([pool.real_image(pictures[i]) for i in chunk])
        rows.update(zip(chunk, map(torch.clone, network(images))))
    return rows


def _cache_path(pool: Any, identity: str, cache_dir: str | None) -> str | None:
    if not cache_dir or not is_main_process():
        return None
    key = f'{pool.pipeline} {pool.img_size} {identity} {pool.content_hash}'
    name = hashlib.sha256(key.encode()).hexdigest()[:32]
    return os.path.join(at_home(cache_dir), f'{name}.pt')


def _load(path: str | None) -> Tensor | None:
    if not path or not os.path.exists(path):
        return None
    try:
        features = torch.load(path, weights_only=True)
    except Exception as error:  # whatever a damaged file may lead to
        print_log(f"'{path}' cannot be read and is made anew: {error}", 'current', WARNING)
        return None
    print_log(f'features of {len(features)} real pictures: {path}', 'current')
    return features


def _save(features: Tensor, path: str | None) -> None:
    if not path:
        return
    try:
        with replacing(path) as partial:
            torch.save(features, partial)
    except OSError as error:
        print_log(f'the features of real pictures are not kept: {error}', 'current', WARNING)
