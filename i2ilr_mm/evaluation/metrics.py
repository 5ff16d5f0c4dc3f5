"""Scores as MMagic metrics, for MultiValLoop and MultiTestLoop."""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from math import inf
from typing import Any

import torch
from mmagic.evaluation.metrics.base_gen_metric import GenerativeMetric, GenMetric
from mmagic.registry import DATASETS, METRICS
from mmengine.dist import broadcast_object_list, get_dist_info, is_main_process
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..lr import DOWN_METHODS, GREY_LEVELS, check_choice, down
from .estimate import Estimate, average, mean
from .features import FeatureNetwork, build_features
from .frechet import frechet
from .kid import kid
from .lr_match import diversity, lr_match
from .neighbours import precision_recall
from .real import FEATURES_DIR, gather_by_index, real_features
from .report import Score, score_of

SHARE = (0.0, 1.0)
Unit = tuple[str, str, tuple[float, float]]
Function = Callable[[Tensor, Tensor], dict[str, Estimate]]


class PairScores(GenMetric):
    """Base of scores over the results of a loader: one row of numbers each, scored at the end.

    Attributes:
        report: The scores of the last evaluation.

    Args:
        fake_key: Where a model's output holds the result, with dots for nested ones.
        channel_order: 'rgb', or 'bgr' as most of MMagic's own models return pictures.
        sample_model: 'ema' or 'orig', for models of MMagic's that make both.
        prefix: Put before the names of the scores, with a '/'; tells several evaluators apart.

    Raises:
        ValueError: If an option is unknown.
    """

    SAMPLER_MODE = 'normal'
    need_cond_input = False
    default_prefix = ''  # score names are unique as they are
    needs_pairs = True

    def __init__(
        self,
        fake_key: str = 'fake_img',
        channel_order: str = 'rgb',
        sample_model: str = 'ema',
        prefix: str | None = None,
    ) -> None:
        super().__init__(-1, fake_key=fake_key, sample_model=sample_model, prefix=prefix)
        check_choice('channel_order', channel_order, ('rgb', 'bgr'))
        self.channel_order = channel_order
        self.rows: dict[int, Any] = {}
        self.report: list[Score] = []
        self.dataset: Any = None
        self.device: Any = 'cpu'

    def prepare(self, module: nn.Module, dataloader: DataLoader) -> None:
        """Look at the data before the first result comes.

        Raises:
            ValueError: If the metric needs pairs, and the data are something else.
        """
        self.dataset = dataloader.dataset
        if self.needs_pairs and not hasattr(self.dataset, 'pairs'):
            raise ValueError(
                f'{type(self).__name__} scores pairs of a source and an LR target, and the data '
                f'are a {type(self.dataset).__name__}: it takes a PairedPool'
            )
        self.device = module.data_preprocessor.device

    def get_metric_sampler(
        self, model: nn.Module, dataloader: DataLoader, metrics: list[GenMetric]
    ) -> Any:
        """All metrics of this kind share one pass over the loader."""
        return dataloader

    def evaluate(self) -> dict[str, float]:
        """Gather the rows of all ranks, score them on the main one, tell all."""
        rows = gather_by_index(self.rows)
        self.rows = {}
        if not rows:
            raise ValueError(f'{type(self).__name__} saw no samples: the dataset is empty')
        reports: list[Any] = [None]
        if is_main_process():
            reports = [self.score(rows)]
        broadcast_object_list(reports)
        self.report = reports[0]
        for score in self.report if self.prefix else ():
            score.name = f'{self.prefix}/{score.name}'
        return {score.name: score.value for score in self.report if '.' not in score.name}

    def picture(self, sample: Any) -> Tensor:
        """The result in a model's output, (3, H, W) uint8 RGB.

        Raises:
            ValueError: If there is none, or its values are not finite.
        """
        found = sample.get(self.sample_model, sample)
        for part in self.fake_key.split('.'):
            if part not in found:
                raise ValueError(
                    f"{type(self).__name__}: the model's output has no '{self.fake_key}', it has "
                    f'{sorted(key for key in sample if key != "_features")}; set fake_key'
                )
            found = found[part]
        if found.dtype != torch.uint8:
            if not found.isfinite().all():
                raise ValueError(
                    f'{type(self).__name__}: the model gives values that are not finite'
                )
            found = found.round().clamp(0, 255).to(torch.uint8)
        return found if self.channel_order == 'rgb' else found.flip(-3)

    def score(self, rows: dict[int, Any]) -> list[Score]:
        """Turn the rows of all results, by their index, into scores."""
        raise NotImplementedError

    def info(self, index: int, name: str) -> Any:
        """What the dataset says of a pair."""
        return self.dataset.get_data_info(index)[name]

    def sources(self, rows: Iterable[int]) -> list[Hashable]:
        """The source of each row: results of one source are not independent of each other."""
        return [self.info(i, 'name') for i in rows]


@METRICS.register_module()
class LRConsistency(PairScores):
    """Match of the results with their LR targets, of the pictures as they would be saved (uint8).

    Gives lr_mae (grey levels), lr_psnr (dB) and lr_within2 (share of cells within 2 levels), see
    :func:`i2ilr_mm.evaluation.lr_match.lr_match`.

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
            shrunk = down(fake[None], lr.shape[-1], self.lr_method or 'box')[0]
            self.rows[sample['sample_idx']] = torch.stack([shrunk, (lr + 1) * GREY_LEVELS])

    def score(self, rows: dict[int, Tensor]) -> list[Score]:
        shrunk, target = torch.stack(list(rows.values())).unbind(1)
        self.errors = dict(zip(rows, (shrunk - target).abs().mean(dim=(1, 2, 3)).tolist()))
        estimates, n = lr_match(shrunk, target), len(rows)
        labelled = {k: e.grouped(fake=self.sources(rows)) for k, e in estimates.items()}
        about = dict(settings=f'shrunk by {self.lr_method}')
        return [
            score_of(f'lr_{name}', labelled[name], unit, better, n, ends, **about)
            for name, unit, better, ends in (
                ('mae', 'grey levels', 'lower', (0, 255)),
                ('psnr', 'dB', 'higher', (0, 100)),
                ('within2', 'share of cells', 'higher', SHARE),
            )
        ]


class ResultFeatures(PairScores):
    """Base of metrics on a feature network's view of the results.

    Several metrics with the same network share its instance and each batch's features.

    Args:
        network: Config of a feature network, such as ``dict(type='EfficientNetLite0')``.
        batch_size: Pictures at a time.
        **kwargs: See :class:`PairScores`.

    Raises:
        FileNotFoundError: If the network's weight file is missing; says what to put where.
        ValueError: If an option is unknown or the weight file is another one.
    """

    def __init__(
        self,
        network: dict[str, Any],
        batch_size: int = 16,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.network: FeatureNetwork = build_features(network)
        self.batch_size = batch_size

    def prepare(self, module: nn.Module, dataloader: DataLoader) -> None:
        super().prepare(module, dataloader)
        self.network.to(self.device)

    @torch.inference_mode()
    def compute(self, images: Tensor) -> Tensor:
        """Features (B, d) of uint8 RGB pictures (B, 3, H, W), on the CPU."""
        chunks = images.to(self.device).split(self.batch_size)
        return torch.cat([self.network(chunk).float().cpu() for chunk in chunks])

    def features(self, samples: list[dict]) -> list[Tensor]:
        """Features of a batch of results; of those that another metric has seen, its own."""
        key = id(self.network), self.fake_key, self.channel_order
        known = [sample.setdefault('_features', {}) for sample in samples]
        new = [i for i, features in enumerate(known) if key not in features]
        if new:
            pictures = [self.picture(samples[i]) for i in new]
            one_size = len({picture.shape for picture in pictures}) == 1
            batches = [torch.stack(pictures)] if one_size else [p[None] for p in pictures]
            for i, row in zip(new, (row for batch in batches for row in self.compute(batch))):
                known[i][key] = row.clone()  # alone it is gathered without the rest of its batch
        return [features[key] for features in known]


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
        self.pool = DATASETS.build(self.real) if self.real else self.dataset
        if not hasattr(self.pool, 'real_pictures'):
            raise ValueError(
                f'DistributionScores: {type(self.dataset).__name__} does not say which pictures '
                f"are real; set real=dict(type='ImagePool', data_root=..., split=..., ...)"
            )
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

    def _check_classes(self) -> None:
        there = {picture['class_name'] for picture in self.pool.pictures}
        paired = hasattr(self.dataset, 'pairs')
        wanted = {p['class_name'] for p in self.dataset.pictures} if paired else set()
        if len(wanted) < 2 or not wanted <= there:
            raise ValueError(
                f'DistributionScores: by_class needs the same class sub-folders for pairs and real '
                f'pictures; the pairs have {sorted(wanted)}, the real pictures {sorted(there)}'
            )

    def process(self, data_batch: Any, data_samples: list[dict]) -> None:
        """Keep the features of each result."""
        rank, world_size = get_dist_info()
        first = len(self.rows)
        wanted = {}
        for i, sample in enumerate(data_samples):
            index = sample.get('sample_idx')
            if index is None or self.SAMPLER_MODE != 'normal':
                index = (first + i) * world_size + rank
            if not 0 <= self.fake_nums <= index:
                wanted[index] = sample
        self.rows.update(zip(wanted, self.features(list(wanted.values()))))

    def score(self, rows: dict[int, Tensor]) -> list[Score]:
        assert self.real_features is not None
        self.results = rows
        tasks = self._tasks(rows)
        smallest = min(len(part) for task in tasks for part in task)
        size = self.kid_subset_size if smallest >= self.kid_subset_size else smallest // 2
        about: dict[str, Any] = dict(
            n_real=len(set().union(*(reals for _, reals in tasks))),
            real=self.real_stamp,
            network=self.network.name,
            weights=self.network.weights_hash,
            resize=self.network.resize,
        )
        width = next(iter(rows.values())).numel()
        if FEW * smallest < width:
            about['warning'] = (
                f'measured on as few as {smallest} pictures, in {width} dimensions; the interval '
                f'holds for other draws of these pictures, and the number says little of others'
            )
        per_task = f'; mean over {len(tasks)} class pairs' if self.by_class else ''
        scores = []
        for names, settings, function in self._families(size):
            about['settings'] = (settings + per_task).removeprefix('; ') or None
            problem = None
            try:
                found = [self._estimates(function, rows, *task) for task in tasks]
            except (ValueError, RuntimeError) as error:  # of what it is given, or in solvers
                problem = str(error)
            for name, (unit, better, bounds) in names.items():
                if problem:
                    nan = float('nan')
                    score = Score(name, nan, unit, better, len(rows), problem=problem, **about)
                else:
                    estimate = average([each[name] for each in found])
                    score = score_of(name, estimate, unit, better, len(rows), bounds, **about)
                scores.append(score)
        return scores

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

    def _tasks(self, rows: dict[int, Tensor]) -> list[tuple[list[int], list[int]]]:
        """Indices of the fakes and of the reals that are compared with each other."""
        everyone = list(range(len(self.pool.real_pictures())))
        if not self.by_class:
            return [(list(rows), everyone)]
        fakes: dict[tuple[str, str], list[int]] = {}
        for i in rows:
            task = self.info(i, 'class_name'), self.info(i, 'target_class')
            fakes.setdefault(task, []).append(i)
        classes = [picture['class_name'] for picture in self.pool.pictures]
        reals = {c: [i for i in everyone if classes[i] == c] for c in set(classes)}
        return [(fakes[task], reals[task[1]]) for task in sorted(fakes)]

    def _estimates(
        self, function: Function, rows: dict[int, Tensor], fakes: list[int], reals: list[int]
    ) -> dict[str, Estimate]:
        """Scores of one task; what they share with other tasks is labelled."""
        assert self.real_features is not None
        fake = torch.stack([rows[i] for i in fakes]).to(self.device)
        real = self.real_features[reals].to(self.device)
        known = self.SAMPLER_MODE == 'normal' and hasattr(self.dataset, 'pairs')
        sources = self.sources(fakes) if known else fakes
        estimates = function(fake, real)
        return {name: e.grouped(fake=sources, real=reals) for name, e in estimates.items()}


def _key(name: str) -> str:
    """'FID (torchvision)' -> 'fid_torchvision'"""
    return re.sub(r'\W+', '_', name.lower()).strip('_')


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
        self.sizes = Counter(self._set_of(i) for i in range(len(self.dataset)))
        of, fewest = min(self.sizes.items(), key=lambda item: item[1])
        if fewest < 2:
            raise ValueError(
                'LPIPSDiversity compares the results of one source with several targets, and '
                f'{of[0]!r} has a single one{f" of class {of[2]!r}" if self.by_class else ""} '
                f'(n_targets is {self.dataset.n_targets})'
            )

    def _set_of(self, index: int) -> tuple[str, ...]:
        info = self.dataset.get_data_info(index)
        classes = (info['class_name'], info['target_class']) if self.by_class else ()
        return (info['name'], *classes)

    def process(self, data_batch: Any, data_samples: list[dict]) -> None:
        """Reduce each set of results to its diversity as soon as it is whole."""
        for sample, row in zip(data_samples, self.features(data_samples)):
            of = self._set_of(sample['sample_idx'])
            rows = self.pending.setdefault(of, {})
            rows[sample['sample_idx']] = row
            if len(rows) == self.sizes[of]:
                first = min(rows)
                self.rows[first] = diversity(torch.stack(list(self.pending.pop(of).values())))

    def evaluate(self) -> dict[str, float]:
        left = len(self.pending)
        self.pending = {}
        if any(gather_by_index({get_dist_info()[0]: left}).values()):
            raise ValueError(
                'LPIPSDiversity did not get all results of a source on one rank, or got some '
                "twice; set the loader's sampler=dict(type='SourceSampler')"
            )
        return super().evaluate()

    def score(self, rows: dict[int, float]) -> list[Score]:
        tasks: dict[tuple[str, ...], list[int]] = {}
        for i in rows:
            tasks.setdefault(self._set_of(i)[1:], []).append(i)
        estimates = [
            mean(torch.tensor([rows[i] for i in task])).grouped(fake=self.sources(task))
            for task in tasks.values()
        ]
        network, settings = self.network, f'mean over {len(tasks)} class pairs'
        return [
            score_of(
                'lpips_diversity',
                average(estimates),
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
