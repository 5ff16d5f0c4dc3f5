"""Whether the results keep their source."""

from typing import Any

import torch
from mmagic.registry import METRICS
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ...lr import DOWN_METHODS, check_choice, down, from_uint8, project, to_uint8
from ..baselines import Baseline
from ..real import FEATURES_DIR, real_features
from ..report import Score, score_of
from ..source_kept import GALLERY, source_kept
from .base import SHARE, ResultFeatures

MADE = ('upscale_target', 'project_source')
"""Baselines that make a result for every pair. Those of copy-source are the sources."""


@METRICS.register_module()
class SourceKept(ResultFeatures):
    """Share of results whose own source is the nearest of 100 sources, by detail alone.

    Realism and LR match can be had by ignoring the source. Here every result and every source is
    first brought to one and the same LR picture (the mean of the sources'), so that colours and
    layout tell nothing; then a feature network says which source is nearest, see
    :func:`source_kept`. No labels are needed. A model that ignores its source scores about 0.01
    (role ``chance``), one that copies it 1. The report also gives the shares of the baselines on
    the same pairs: ``copy_source``, ``upscale_target`` and ``project_source``.

    The measure is this project's own. Judge by a network that took no part in the training.

    Args:
        network: Config of a feature network, such as ``dict(type='EfficientNetLite2')``.
        lr_method: The operator of the LR targets, see :func:`i2ilr_mm.lr.down`; None takes the
            model's.
        cache_dir: Folder for the features of the sources; None keeps them in memory only.
        **kwargs: See :class:`i2ilr_mm.evaluation.metrics.base.ResultFeatures`.

    Raises:
        FileNotFoundError: If the network's weight file is missing; says what to put where.
        ValueError: If an option is unknown, or there are fewer than two sources.
    """

    def __init__(
        self,
        network: dict[str, Any],
        lr_method: str | None = None,
        cache_dir: str | None = FEATURES_DIR,
        **kwargs: Any,
    ) -> None:
        super().__init__(network, **kwargs)
        if lr_method is not None:
            check_choice('lr_method', lr_method, DOWN_METHODS)
        self.lr_method, self.cache_dir = lr_method, cache_dir
        self.common: Tensor | None = None
        self.source_features: Tensor | None = None
        self.baseline_features: dict[int, dict[str, Tensor]] = {}

    def prepare(self, module: nn.Module, dataloader: DataLoader) -> None:
        """Find the common LR picture, and the features of the sources brought to it."""
        super().prepare(module, dataloader)
        if self.source_features is not None:
            return
        self.lr_method = self.lr_method or str(module.lr_method)
        if len(self.dataset.pictures) < 2:
            raise ValueError(
                f'SourceKept tells sources apart, and the data hold {len(self.dataset.pictures)} '
                f'picture: at least two are needed'
            )
        self.common = self._mean_lr()
        network = self.network
        self.source_features = real_features(
            self.dataset,
            self._detail,
            f'{network.name} {network.weights_hash} {network.resize}, detail beyond the mean LR '
            f'picture of {self.dataset.lr_size}, {self.lr_method}',
            self.batch_size,
            self.cache_dir,
        )

    def process(self, data_batch: Any, data_samples: list[dict]) -> None:
        """Keep the features of each result's detail, and of the baselines' for the same pair."""
        indices = [sample['sample_idx'] for sample in data_samples]
        details = self._detail(torch.stack([self.picture(sample) for sample in data_samples]))
        new = [i for i in indices if i not in self.baseline_features]
        if new:
            pairs = [self._baselines(i, s['lr']) for i, s in zip(indices, data_samples) if i in new]
            for name, images in zip(MADE, zip(*pairs)):
                for i, row in zip(new, self._detail(torch.cat(images))):
                    self.baseline_features.setdefault(i, {})[name] = row.clone()
        for i, row in zip(indices, details):
            self.rows[i] = {'': row.clone(), **self.baseline_features[i]}

    def score(self, rows: dict[int, dict[str, Tensor]]) -> list[Score]:
        assert self.source_features is not None
        index = {p['img_path']: i for i, p in enumerate(self.dataset.pictures)}
        own = torch.tensor([index[self.info(i, 'img_path')] for i in rows])
        size = min(GALLERY, len(self.source_features))
        groups = self.sources(rows)
        fields: dict[str, Any] = dict(
            network=self.network.name,
            weights=self.network.weights_hash,
            resize=self.network.resize,
            settings=f'nearest of {size}, shrunk by {self.lr_method}',
        )
        stem, n = f'source_kept{self.network.suffix}', len(rows)
        features = {name: torch.stack([row[name] for row in rows.values()]) for name in ('', *MADE)}
        features['copy_source'] = self.source_features[own]
        scores = []
        for role, row_features in features.items():
            estimate = source_kept(row_features, self.source_features, own, size).grouped(
                fake=groups
            )
            better = '' if role else 'higher'
            scores.append(score_of(stem, estimate, 'share', better, n, SHARE, role=role, **fields))
        scores.insert(1, Score(stem, 1 / size, 'share', '', n, role='chance', **fields))
        return scores

    def _mean_lr(self) -> Tensor:
        """Mean LR picture of the sources, (1, 3, s, s) in [-1, 1]; the same on every rank."""
        size, paths = self.dataset.lr_size, self.dataset.real_pictures()
        total = torch.zeros(1, 3, size, size, dtype=torch.float64)
        for path in paths:
            image = from_uint8(self.dataset.real_image(path)[None]).double()
            total += down(image, size, self.lr_method or 'box')
        return (total / len(paths)).float()

    def _detail(self, images: Tensor) -> Tensor:
        """Features of uint8 pictures (B, 3, H, W), brought to the common LR picture."""
        assert self.common is not None
        moved = project(from_uint8(images.cpu()), self.common, self.lr_method or 'box', 'bilinear')
        return self.compute(to_uint8(moved))

    def _baselines(self, index: int, lr: Tensor) -> tuple[Tensor, ...]:
        """Results of the baselines :data:`MADE` for a pair, (1, 3, H, W) uint8 each."""
        source = from_uint8(self.dataset.real_image(self.info(index, 'img_path'))[None])
        method, lr = self.lr_method or 'box', lr[None].float().cpu()
        made = (Baseline(name.replace('_', '-'), method) for name in MADE)
        return tuple(to_uint8(baseline(source, lr)) for baseline in made)
