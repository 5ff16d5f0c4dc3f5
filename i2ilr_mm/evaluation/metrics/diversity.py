"""How much the results of one source differ."""

from collections import Counter
from math import inf
from typing import Any

import torch
from mmagic.registry import METRICS
from mmengine.dist import get_dist_info
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..estimate import mean_over_tasks, sample_mean
from ..lr_match import diversity
from ..real import gather_by_index
from ..report import Score, score_of
from .base import ResultFeatures


@METRICS.register_module()
class LPIPSDiversity(ResultFeatures):
    """Mean LPIPS between all pairs of one source's results, over all sources.

    The loader must give all results of a source to one rank, one after the other, as
    :class:`i2ilr_mm.engine.SourceSampler` does; so only one source's features are held at a time.

    Args:
        net: Backbone, 'alex' or 'vgg'.
        weights: Its weight file; None looks in ~/.cache/i2ilr_mm.
        by_class: Take each (source class, target class) on its own, and average.
        **kwargs: See :class:`ResultFeatures`.

    Raises:
        FileNotFoundError: If the weight file is missing; says what to put where.
        ValueError: If a source has a single target, or the data are no pairs.
    """

    def __init__(
        self, net: str = 'alex', weights: str | None = None, by_class: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(dict(type='LPIPS', net=net, weights=weights), **kwargs)
        self.by_class = by_class
        self.pending: dict[tuple[str, ...], dict[int, Tensor]] = {}
        self.sizes: dict[tuple[str, ...], int] = {}

    def prepare(self, module: nn.Module, dataloader: DataLoader) -> None:
        super().prepare(module, dataloader)
        self.sizes = Counter(self._set_key(i) for i in range(len(self.dataset)))
        key, fewest = min(self.sizes.items(), key=lambda item: item[1])
        if fewest < 2:
            raise ValueError(
                'LPIPSDiversity compares the results of one source with several targets, and '
                f'{key[0]!r} has a single one{f" of class {key[2]!r}" if self.by_class else ""} '
                f'(n_targets is {self.dataset.n_targets})'
            )

    def _set_key(self, index: int) -> tuple[str, ...]:
        info = self.dataset.get_data_info(index)
        classes = (info['class_name'], info['target_class']) if self.by_class else ()
        return (info['name'], *classes)

    def process(self, data_batch: Any, data_samples: list[dict]) -> None:
        """Reduce each set of results to its diversity as soon as all its results are there."""
        for sample, row in zip(data_samples, self.features(data_samples)):
            key = self._set_key(sample['sample_idx'])
            rows = self.pending.setdefault(key, {})
            rows[sample['sample_idx']] = row
            if len(rows) == self.sizes[key]:
                first = min(rows)
                self.rows[first] = diversity(torch.stack(list(self.pending.pop(key).values())))

    def evaluate(self) -> dict[str, float]:
        unfinished = len(self.pending)
        self.pending = {}
        if any(gather_by_index({get_dist_info()[0]: unfinished}).values()):
            raise ValueError(
                'LPIPSDiversity did not get all results of a source on one rank, or got some '
                "twice; set the loader's sampler=dict(type='SourceSampler')"
            )
        return super().evaluate()

    def score(self, rows: dict[int, float]) -> list[Score]:
        tasks: dict[tuple[str, ...], list[int]] = {}
        for i in rows:
            tasks.setdefault(self._set_key(i)[1:], []).append(i)
        estimates = [
            sample_mean(torch.tensor([rows[i] for i in task])).grouped(fake=self.sources(task))
            for task in tasks.values()
        ]
        network, settings = self.network, f'mean over {len(tasks)} class pairs'
        return [
            score_of(
                'lpips_diversity',
                mean_over_tasks(estimates),
                'LPIPS between results of one source',
                'higher',
                sum(self.sizes.values()),
                (0, inf),
                network=network.name,
                weights=network.weights_hash,
                resize=network.resize,
                settings=settings if self.by_class else None,
            )
        ]
