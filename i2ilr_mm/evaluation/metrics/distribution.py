"""Realism: distances between results and real pictures."""

import re
from collections.abc import Iterator
from math import inf
from typing import Any

import torch
from mmagic.evaluation.metrics.base_gen_metric import GenerativeMetric, GenMetric
from mmagic.registry import DATASETS, METRICS
from mmengine.dist import get_dist_info
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..estimate import Estimate, mean_over_tasks
from ..frechet import frechet
from ..kid import kid
from ..neighbours import precision_recall
from ..real import FEATURES_DIR, real_features
from ..report import Score, score_of
from .base import SHARE, Function, ResultFeatures, Unit

Task = tuple[list[int], list[int]]
"""Indices of the fakes and of the reals that are compared with each other."""

FEW = 10
"""Scores of fewer pictures than a tenth of the features' dimensions come with a warning."""


@METRICS.register_module()
class DistributionScores(ResultFeatures):
    """Distances between results and real pictures in a feature network's eyes, in one pass.

    Frechet distance (fid, or fd_lite0), kernel distance (kid, kd_lite0) with its spread over
    subsets, precision, recall, density and coverage; see :mod:`i2ilr_mm.evaluation.frechet`,
    :mod:`i2ilr_mm.evaluation.kid` and :mod:`i2ilr_mm.evaluation.neighbours`. Real features are
    cached on disk under the contents they were made from. A score that cannot be computed, as of
    too few pictures, is nan and says why.

    Attributes:
        real_features: (n, d), of the real pictures.
        results: Features of each result of the last evaluation, by its index; on the main rank.

    Args:
        network: Config of the feature network.
        real: Config of the real pictures, an :class:`i2ilr_mm.datasets.ImagePool`; None takes each
            picture of the loader's own pool once.
        by_class: Score every (source class, target class) on its own, against the real pictures of
            the target class, and average.
        k: Rank of the neighbour in precision, recall, density and coverage.
        kid_subsets: Subsets of the kernel distance.
        kid_subset_size: Samples in each; of smaller sets half of the smaller one.
        fake_nums: Results to score, -1 for all; needed where the model makes them from noise.
        from_noise: The model makes results from noise, as MMagic's unconditional ones do, not from
            the loader's pictures.
        cache_dir: Folder for real features; None keeps them in memory only.
        **kwargs: See :class:`ResultFeatures`.

    Raises:
        FileNotFoundError: If data or a weight file is missing.
        ValueError: If an option does not fit the data; says what is accepted.
    """

    needs_pairs = False

    def __init__(
        self,
        network: dict[str, Any],
        real: dict[str, Any] | None = None,
        by_class: bool = False,
        k: int = 5,
        kid_subsets: int = 100,
        kid_subset_size: int = 1000,
        fake_nums: int = -1,
        from_noise: bool = False,
        cache_dir: str | None = FEATURES_DIR,
        **kwargs: Any,
    ) -> None:
        super().__init__(network, **kwargs)
        if fake_nums in (0, 1) or (from_noise and fake_nums < 2):
            raise ValueError(
                f'DistributionScores: fake_nums={fake_nums}; accepted are at least 2, or -1 for '
                f'all of a loader'
            )
        self.fake_nums = fake_nums
        self.real, self.by_class, self.k = real, by_class, k
        self.kid_subsets, self.kid_subset_size = kid_subsets, kid_subset_size
        self.cache_dir = cache_dir
        self.sample_kwargs: dict = {}
        if from_noise:
            self.SAMPLER_MODE = GenerativeMetric.SAMPLER_MODE
        self.pool: Any = None
        self.real_stamp = ''
        self.real_features: Tensor | None = None
        self.results: dict[int, Tensor] = {}

    def get_metric_sampler(
        self, model: nn.Module, dataloader: DataLoader, metrics: list[GenMetric]
    ) -> Any:
        if self.SAMPLER_MODE == 'normal':
            return dataloader
        return GenerativeMetric.get_metric_sampler(self, model, dataloader, metrics)

    def prepare(self, module: nn.Module, dataloader: DataLoader) -> None:
        """Check counts and classes, and get the features of the real pictures."""
        super().prepare(module, dataloader)
        if self.SAMPLER_MODE == 'normal' and self.fake_nums > len(self.dataset):
            raise ValueError(
                f'DistributionScores: fake_nums={self.fake_nums}, and the data has '
                f'{len(self.dataset)} pairs; accepted are -1 (all) and 2 to {len(self.dataset)}'
            )
        self.pool = self._real_pool()
        if self.by_class:
            self._check_classes()
        self.real_stamp = f'{self.pool.split} {self.pool.content_hash}'
        network = self.network
        self.real_features = real_features(
            self.pool,
            self.compute,
            f'{network.name} {network.weights_hash} {network.resize}',
            self.batch_size,
            self.cache_dir,
        )

    def _real_pool(self) -> Any:
        pool = DATASETS.build(self.real) if self.real else self.dataset
        if not hasattr(pool, 'real_pictures'):
            raise ValueError(
                f'DistributionScores: {type(self.dataset).__name__} does not say which pictures '
                f"are real; set real=dict(type='ImagePool', data_root=..., split=..., ...)"
            )
        return pool

    def _check_classes(self) -> None:
        real_classes = {picture['class_name'] for picture in self.pool.pictures}
        paired = hasattr(self.dataset, 'pairs')
        pair_classes = {p['class_name'] for p in self.dataset.pictures} if paired else set()
        if len(pair_classes) < 2 or not pair_classes <= real_classes:
            raise ValueError(
                f'DistributionScores: by_class needs the same class sub-folders for pairs and real '
                f'pictures; the pairs have {sorted(pair_classes)}, the real pictures '
                f'{sorted(real_classes)}'
            )

    def process(self, data_batch: Any, data_samples: list[dict]) -> None:
        """Keep the features of each result."""
        rank, world_size = get_dist_info()
        first = len(self.rows)
        chosen = {}
        for i, sample in enumerate(data_samples):
            index = sample.get('sample_idx')
            if index is None or self.SAMPLER_MODE != 'normal':
                index = (first + i) * world_size + rank
            if not 0 <= self.fake_nums <= index:
                chosen[index] = sample
        self.rows.update(zip(chosen, self.features(list(chosen.values()))))

    def score(self, rows: dict[int, Tensor]) -> list[Score]:
        assert self.real_features is not None
        self.results = rows
        tasks = self._tasks(rows)
        smallest = min(len(part) for task in tasks for part in task)
        size = self.kid_subset_size if smallest >= self.kid_subset_size else smallest // 2
        fields = self._fields(rows, tasks, smallest)
        per_task = f'; mean over {len(tasks)} class pairs' if self.by_class else ''
        scores: list[Score] = []
        for names, constants, function in self._families(size):
            settings = (constants + per_task).removeprefix('; ') or None
            scores += self._family(names, function, rows, tasks, dict(fields, settings=settings))
        return scores

    def _fields(self, rows: dict[int, Tensor], tasks: list[Task], smallest: int) -> dict[str, Any]:
        """What all scores have in common: what they were measured on, and how far to trust it."""
        fields: dict[str, Any] = dict(
            n_real=len(set().union(*(reals for _, reals in tasks))),
            real=self.real_stamp,
            network=self.network.name,
            weights=self.network.weights_hash,
            resize=self.network.resize,
        )
        width = next(iter(rows.values())).numel()
        if FEW * smallest < width:
            fields['warning'] = (
                f'measured on as few as {smallest} pictures, in {width} dimensions; the interval '
                f'holds for other draws of these pictures, and the number says little of others'
            )
        return fields

    def _family(
        self,
        names: dict[str, Unit],
        function: Function,
        rows: dict[int, Tensor],
        tasks: list[Task],
        fields: dict[str, Any],
    ) -> Iterator[Score]:
        """The scores that one function computes; nan, with the reason, where it cannot."""
        n = len(rows)
        try:
            estimates = [self._estimates(function, rows, *task) for task in tasks]
        except (ValueError, RuntimeError) as error:  # of what it is given, or in solvers
            fields['problem'] = str(error)
            for name, (unit, better, _) in names.items():
                yield Score(name, float('nan'), unit, better, n, **fields)
            return
        for name, (unit, better, bounds) in names.items():
            estimate = mean_over_tasks([each[name] for each in estimates])
            yield score_of(name, estimate, unit, better, n, bounds, **fields)

    def _families(self, subset_size: int) -> Iterator[tuple[dict[str, Unit], str, Function]]:
        """Scores that are computed together: their names, their constants, and how."""
        network, end = self.network, self.network.suffix
        fd, kd = _key(network.frechet), _key(network.kernel)
        yield {fd: (network.frechet, 'lower', (0, inf))}, '', lambda f, r: {fd: frechet(f, r)}
        yield (
            {kd: (f'{network.kernel}, squared MMD', 'lower', (-inf, inf))},
            f'{self.kid_subsets} subsets of {subset_size}',
            lambda f, r: {kd: kid(f, r, self.kid_subsets, subset_size)},
        )
        shares = {f'{name}{end}': ('share', 'higher', SHARE) for name in ('precision', 'recall')}
        yield (
            {
                **shares,
                f'density{end}': ('neighbourhoods over k', 'higher', (0, inf)),
                f'coverage{end}': ('share', 'higher', SHARE),
            },
            f'k = {self.k}',
            lambda f, r: {
                f'{name}{end}': estimate
                for name, estimate in precision_recall(f, r, self.k).items()
            },
        )

    def _tasks(self, rows: dict[int, Tensor]) -> list[Task]:
        """Indices of the fakes and of the reals that are compared with each other."""
        all_reals = list(range(len(self.pool.real_pictures())))
        if not self.by_class:
            return [(list(rows), all_reals)]
        fakes: dict[tuple[str, str], list[int]] = {}
        for i in rows:
            task = self.info(i, 'class_name'), self.info(i, 'target_class')
            fakes.setdefault(task, []).append(i)
        classes = [picture['class_name'] for picture in self.pool.pictures]
        reals = {c: [i for i in all_reals if classes[i] == c] for c in set(classes)}
        return [(fakes[task], reals[task[1]]) for task in sorted(fakes)]

    def _estimates(
        self, function: Function, rows: dict[int, Tensor], fakes: list[int], reals: list[int]
    ) -> dict[str, Estimate]:
        """Scores of one task; sources and real pictures that other tasks share are labelled."""
        assert self.real_features is not None
        fake = torch.stack([rows[i] for i in fakes]).to(self.device)
        real = self.real_features[reals].to(self.device)
        has_pairs = self.SAMPLER_MODE == 'normal' and hasattr(self.dataset, 'pairs')
        sources = self.sources(fakes) if has_pairs else fakes
        estimates = function(fake, real)
        return {name: e.grouped(fake=sources, real=reals) for name, e in estimates.items()}


def _key(name: str) -> str:
    """'FID (torchvision)' -> 'fid_torchvision'"""
    return re.sub(r'\W+', '_', name.lower()).strip('_')
