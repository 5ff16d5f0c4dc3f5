"""The pictures that are trained on while timing, and how fast they are read."""

import time

import torch
from mmagic.registry import DATASETS
from mmengine.config import Config
from mmengine.runner import Runner
from torch import Tensor

from i2ilr_mm.datasets.draws import Draw
from i2ilr_mm.datasets.pictures import resolve_root
from i2ilr_mm.lr import from_uint8

from .timing import DEVICE, Steps, say, timed


def data_root(cfg: Config) -> str:
    """The training pictures, or the embedded ones where these are not there.

    Raises:
        ValueError: If they are not one ImagePool.
    """
    dataset = cfg.train_dataloader.dataset
    if 'data_root' not in dataset:
        raise ValueError(
            f'train_dataloader.dataset is {dataset.type}, and one ImagePool is timed: set '
            f'train_dataloader.dataset to one of those that are joined'
        )
    try:
        resolve_root(dataset.data_root, 'data_root')
    except FileNotFoundError:
        say(f"'{dataset.data_root}' is not there: the embedded pictures are used, enlarged")
        return 'embedded:heads64'
    return dataset.data_root


def batch_of(cfg: Config, root: str) -> Tensor:
    """One training batch (B, 3, H, H) in [-1, 1] on the device."""
    dataset = DATASETS.build({**cfg.train_dataloader.dataset, 'data_root': root})
    draws = [Draw(i, seed=i) for i in range(cfg.train_dataloader.batch_size)]
    items = [dataset[draw]['inputs']['img'] for draw in draws]
    return from_uint8(torch.stack(items)).to(DEVICE)


def data_wait(cfg: Config, root: str, steps: Steps | None, batches: int = 12) -> dict[str, float]:
    """Pictures per second of the loader alone, and the share of a loop that waits for it."""
    loader = cfg.train_dataloader.copy()
    loader.dataset = {**loader.dataset, 'data_root': root}
    loader.pin_memory = DEVICE == 'cuda'
    iterator = iter(Runner.build_dataloader(loader, seed=0))
    for _ in range(2 * loader.num_workers + 1):  # what was read ahead
        next(iterator)
    start = time.perf_counter()
    for _ in range(batches):
        next(iterator)
    result = dict(
        workers=loader.num_workers,
        loader_img_per_s=batches * loader.batch_size / (time.perf_counter() - start),
    )
    if steps:
        waiting = working = 0.0
        for _ in range(batches):
            start = time.perf_counter()
            next(iterator)
            waiting += time.perf_counter() - start
            working += timed(steps[0][1])
        result['wait_share'] = waiting / (waiting + working)
    return result
