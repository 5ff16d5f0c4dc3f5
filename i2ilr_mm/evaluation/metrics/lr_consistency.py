"""The match of results with their LR targets."""

from typing import Any

import torch
from mmagic.registry import METRICS
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ...binding import bound
from ...lr import DOWN_METHODS, GREY_LEVELS, check_choice, down
from ..lr_match import lr_match
from ..report import Score, score_of
from .base import SHARE, PairScores


@METRICS.register_module()
class LRConsistency(PairScores):
    """Match of the results, rounded to uint8 as when they are saved, with their LR targets.

    Gives lr_mae (grey levels), lr_psnr (dB) and lr_within2 (share of cells within 2 levels), see
    :func:`i2ilr_mm.evaluation.lr_match.lr_match`. What a target leaves free counts as met.

    Attributes:
        errors: Mean absolute error of each pair of the last evaluation, by its index.

    Args:
        lr_method: The operator of the LR targets, see :func:`i2ilr_mm.lr.down`; None takes the
            model's.
        **kwargs: See :class:`PairScores`.

    Raises:
        ValueError: If an option is unknown.
    """

    def __init__(self, lr_method: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if lr_method is not None:
            check_choice('lr_method', lr_method, DOWN_METHODS)
        self.lr_method = lr_method
        self.errors: dict[int, float] = {}

    def prepare(self, module: nn.Module, dataloader: DataLoader) -> None:
        super().prepare(module, dataloader)
        self.lr_method = self.lr_method or str(module.lr_method)

    def process(self, data_batch: Any, data_samples: list[dict]) -> None:
        """Keep shrunk result and target of each pair, in grey levels."""
        for sample in data_samples:
            lr = sample['lr'].float().cpu()
            fake = self.picture(sample).float().cpu()
            shrunk = down(fake[None], lr.shape[-1], self.lr_method or 'box')
            target = bound(shrunk / GREY_LEVELS - 1, lr[None])
            self.rows[sample['sample_idx']] = torch.cat([shrunk, (target + 1) * GREY_LEVELS])

    def score(self, rows: dict[int, Tensor]) -> list[Score]:
        shrunk, target = torch.stack(list(rows.values())).unbind(1)
        self.errors = dict(zip(rows, (shrunk - target).abs().mean(dim=(1, 2, 3)).tolist()))
        estimates, n = lr_match(shrunk, target), len(rows)
        labelled = {k: e.grouped(fake=self.sources(rows)) for k, e in estimates.items()}
        fields = dict(settings=f'shrunk by {self.lr_method}')
        return [
            score_of(f'lr_{name}', labelled[name], unit, better, n, ends, **fields)
            for name, unit, better, ends in (
                ('mae', 'grey levels', 'lower', (0, 255)),
                ('psnr', 'dB', 'higher', (0, 100)),
                ('within2', 'share of cells', 'higher', SHARE),
            )
        ]
