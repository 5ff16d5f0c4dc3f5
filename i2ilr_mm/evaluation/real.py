"""What real pictures look like to a network: computed once, kept on disk, shared by all ranks."""

import hashlib
import os
from collections.abc import Callable
from typing import Any

import torch
from mmengine.dist import all_gather_object, broadcast_object_list, get_dist_info, is_main_process
from mmengine.logging import print_log
from torch import Tensor

from ..datasets.pictures import read_bytes
from ..files import replacing
from .weights import CACHE_DIR

FEATURES_DIR = os.path.join(CACHE_DIR, 'features')


def gather_by_index(rows: dict[int, Any]) -> dict[int, Any]:
    """Merge the ranks' results by sample index: padding for even ranks leaves no duplicates."""
    merged: dict[int, Any] = {}
    for part in all_gather_object(rows):
        merged.update(part)
    return dict(sorted(merged.items()))


def real_features(
    pool: Any,
    pictures: list[str],
    network: Callable[[Tensor], Tensor],
    identity: str,
    batch_size: int,
    cache_dir: str | None = FEATURES_DIR,
) -> Tensor:
    """Features (n, d) of a pool's pictures, of one rank's making or its share of it.

    Args:
        pool: An :class:`i2ilr_mm.datasets.ImagePool`; its transforms make the pictures.
        pictures: Paths of the pictures wanted.
        network: From uint8 pictures (B, 3, H, W) to features (B, d).
        identity: What the network computes and its weights' hash; part of the file's name, with
            the pictures' contents, their order, the transforms and the size.
        batch_size: Pictures at a time.
        cache_dir: Folder of the file; None keeps the features in memory only.
    """
    path = _cache_path(pool, pictures, identity, cache_dir)
    found = [torch.load(path, weights_only=True) if path and os.path.exists(path) else None]
    broadcast_object_list(found)  # one rank's view of the folder decides for all
    if found[0] is not None:
        print_log(f'features of {len(pictures)} real pictures: {path}', 'current')
        return found[0]
    rank, world_size = get_dist_info()
    mine = list(range(rank, len(pictures), world_size))
    rows: dict[int, Tensor] = {}
    for start in range(0, len(mine), batch_size):
        chunk = mine[start : start + batch_size]
        images = torch.stack([pool.real_image(pictures[i]) for i in chunk])
        rows.update(zip(chunk, network(images)))
    features = torch.stack(list(gather_by_index(rows).values()))
    if path and is_main_process():
        with replacing(path) as partial:
            torch.save(features, partial)
    return features


def _cache_path(pool: Any, pictures: list[str], identity: str, cache_dir: str | None) -> str | None:
    if not cache_dir or not is_main_process():
        return None
    key = hashlib.sha256(f'{pool.pipeline} {pool.img_size} {identity}'.encode())
    for picture in pictures:
        key.update(hashlib.sha256(read_bytes(picture)).digest())
    return os.path.join(os.path.expanduser(cache_dir), f'{key.hexdigest()[:32]}.pt')
