"""Scores as MMagic metrics, for MultiValLoop and MultiTestLoop."""

import hashlib
import os
from dataclasses import asdict, dataclass
from typing import Any

import torch
from mmagic.evaluation.metrics import TransFID
from mmagic.evaluation.metrics.base_gen_metric import GenMetric
from mmagic.registry import METRICS
from mmengine.dist import all_gather_object, broadcast_object_list, get_dist_info, is_main_process
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..datasets.pictures import read_bytes
from ..files import replacing
from ..lr import GREY_LEVELS, check_choice, down
from .features import (
    WEIGHTS_DIR,
    EfficientNetLite0,
    FeatureNetwork,
    PyTorchInception,
    StyleGANInception,
)
from .scores import frechet_distance, lr_scores


@dataclass
class Score:
    """One number of a report, with what it was measured on."""

    name: str
    value: float
    unit: str
    better: str
    n: int
    n_real: int | None = None
    network: str | None = None
    weights: str | None = None


def gather_by_index(rows: dict[int, Any]) -> dict[int, Any]:
    """Merge the ranks' results by sample index: padding for even ranks leaves no duplicates."""
    merged: dict[int, Any] = {}
    for part in all_gather_object(rows):
        merged.update(part)
    return dict(sorted(merged.items()))


class PairScores(GenMetric):
    """Base of scores over the pairs of a loader: one row of numbers per pair, scored at the end.

    Attributes:
        report: The scores of the last evaluation.
    """

    SAMPLER_MODE = 'normal'
    need_cond_input = False
    default_prefix = ''  # score names are unique as they are

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rows: dict[int, Tensor] = {}
        self.report: list[Score] = []

    def get_metric_sampler(
        self, model: nn.Module, dataloader: DataLoader, metrics: list[GenMetric]
    ) -> DataLoader:
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
            reports = [self.score(torch.stack(list(rows.values())))]
        broadcast_object_list(reports)
        self.report = reports[0]
        return {score.name: score.value for score in self.report}

    def score(self, rows: Tensor) -> list[Score]:
        """Turn the rows of all pairs, (N, ...), into scores."""
        raise NotImplementedError


@METRICS.register_module()
class LRConsistency(PairScores):
    """Match of the results with their LR targets, of the pictures as they would be saved (uint8).

    Gives lr_mae (grey levels), lr_psnr (dB) and lr_within2 (share of cells within 2 levels), see
    :func:`i2ilr_mm.evaluation.scores.lr_scores`.

    Args:
        lr_method: The operator of the LR targets, see :func:`i2ilr_mm.lr.down`.
    """

    def __init__(self, lr_method: str = 'box') -> None:
        super().__init__(fake_nums=-1, sample_model='ema')
        self.lr_method = lr_method

    def process(self, data_batch: Any, data_samples: list[dict]) -> None:
        """Keep shrunk result and target of each pair, in grey levels."""
        for sample in data_samples:
            lr = sample['lr'].float().cpu()
            fake = sample['fake_img'].float().cpu()
            shrunk = down(fake[None], lr.shape[-1], self.lr_method)[0]
            self.rows[sample['sample_idx']] = torch.stack([shrunk, (lr + 1) * GREY_LEVELS])

    def score(self, rows: Tensor) -> list[Score]:
        values, n = lr_scores(rows[:, 0], rows[:, 1]), len(rows)
        return [
            Score('lr_mae', values['mae'], 'grey levels', 'lower', n),
            Score('lr_psnr', values['psnr'], 'dB', 'higher', n),
            Score('lr_within2', values['within2'], 'share of cells', 'higher', n),
        ]


@METRICS.register_module()
class I2ILRFID(PairScores, TransFID):
    """MMagic's FID for translation, mended.

    Against TransFID: fake_nums=-1 takes every pair, and more than there are is refused by name;
    results do not depend on the number of ranks; the real side is every picture of the pool once,
    cached under its content; both Inception styles read a local file; the Frechet term is our own.

    Args:
        fake_nums: Number of pairs to score, -1 for all.
        real_nums: Number of real pictures, -1 for all.
        inception_style: 'StyleGAN' (default of published numbers) or 'PyTorch' (pytorch-fid).
        inception_path: Weight file; None looks in ~/.cache/i2ilr_mm.
        cache_dir: Folder for real features; None keeps them in memory only.

    Raises:
        FileNotFoundError: If the weight file is missing; says what to put where.
        ValueError: If an option is unknown, or more pictures are asked for than there are.
    """

    score_name, score_key = 'FID', 'fid'

    def __init__(
        self,
        fake_nums: int = -1,
        real_nums: int = -1,
        inception_style: str = 'StyleGAN',
        inception_path: str | None = None,
        cache_dir: str | None = os.path.join(WEIGHTS_DIR, 'features'),
    ) -> None:
        super().__init__(
            fake_nums=fake_nums,
            real_nums=real_nums,
            inception_style=inception_style,
            inception_path=inception_path,
        )
        self.cache_dir = cache_dir
        self.real_features: Tensor | None = None

    def _load_inception(self, style: str, path: str | None) -> tuple[FeatureNetwork, str]:
        check_choice('inception_style', style, ('StyleGAN', 'PyTorch'))
        network = StyleGANInception(path) if style == 'StyleGAN' else PyTorchInception(path)
        return network, style

    @torch.no_grad()
    def forward_inception(self, image: Tensor) -> Tensor:
        """Features (B, d) of uint8 RGB pictures (B, 3, H, W), on the CPU."""
        return self.inception(image.to(self.device)).float().cpu()

    def prepare(self, module: Any, dataloader: Any) -> None:
        """Check the counts and get the features of the real pictures."""
        dataset = dataloader.dataset
        pictures = dataset.real_pictures()
        for option, asked, there in (
            ('fake_nums', self.fake_nums, len(dataset)),
            ('real_nums', self.real_nums, len(pictures)),
        ):
            if asked > there or asked in (0, 1):
                raise ValueError(
                    f'{self.score_name}: {option}={asked}, and the data has {there}; '
                    f'accepted are -1 (all) and 2 to {there}'
                )
        self.device = module.data_preprocessor.device
        self.inception.to(self.device)
        if self.real_nums > 0:
            pictures = pictures[: self.real_nums]
        self.real_features = self._real_features(dataset, pictures, dataloader.batch_size)

    def _real_features(self, dataset: Any, pictures: list[str], batch_size: int) -> Tensor:
        path = self._cache_path(dataset, pictures)
        found = [torch.load(path, weights_only=True) if path and os.path.exists(path) else None]
        broadcast_object_list(found)  # one rank's view of the cache decides for all
        if found[0] is not None:
            print_log(f'{self.score_name}: real features from {path}', 'current')
            return found[0]
        rank, world_size = get_dist_info()
        mine = list(range(rank, len(pictures), world_size))
        rows: dict[int, Tensor] = {}
        for start in range(0, len(mine), batch_size):
            chunk = mine[start : start + batch_size]
            images = torch.stack([dataset.real_image(pictures[i]) for i in chunk])
            rows.update(zip(chunk, self.forward_inception(images)))
        features = torch.stack(list(gather_by_index(rows).values()))
        if path and is_main_process():
            with replacing(path) as partial:
                torch.save(features, partial)
        return features

    def _cache_path(self, dataset: Any, pictures: list[str]) -> str | None:
        """A file name made of all that the features depend on: contents, pipeline, network."""
        if not self.cache_dir or not is_main_process():
            return None
        key = hashlib.sha256(f'{dataset.pipeline} {dataset.img_size}'.encode())
        key.update(f'{self.inception.name} {self.inception.weights_hash}'.encode())
        for picture in pictures:
            key.update(hashlib.sha256(read_bytes(picture)).digest())
        folder = os.path.expanduser(self.cache_dir)
        return os.path.join(folder, f'{self.score_key}-{key.hexdigest()[:32]}.pt')

    def process(self, data_batch: Any, data_samples: list[dict]) -> None:
        """Keep the features of each result."""
        wanted = [s for s in data_samples if not 0 <= self.fake_nums <= s['sample_idx']]
        if wanted:
            features = self.forward_inception(torch.stack([s['fake_img'] for s in wanted]))
            self.rows.update(zip((s['sample_idx'] for s in wanted), features))

    def score(self, rows: Tensor) -> list[Score]:
        assert self.real_features is not None
        value = frechet_distance(rows, self.real_features)
        network = self.inception
        return [
            Score(
                self.score_key,
                value,
                self.score_name,
                'lower',
                n=len(rows),
                n_real=len(self.real_features),
                network=network.name,
                weights=network.weights_hash,
            )
        ]


@METRICS.register_module()
class FDLite0(I2ILRFID):
    """The Frechet score on EfficientNet-Lite0 features, FD-lite0; works offline.

    Args:
        fake_nums: Number of pairs to score, -1 for all.
        real_nums: Number of real pictures, -1 for all.
        cache_dir: Folder for real features; None keeps them in memory only.
    """

    score_name, score_key = 'FD-lite0', 'fd_lite0'

    def __init__(
        self,
        fake_nums: int = -1,
        real_nums: int = -1,
        cache_dir: str | None = os.path.join(WEIGHTS_DIR, 'features'),
    ) -> None:
        super().__init__(
            fake_nums=fake_nums,
            real_nums=real_nums,
            cache_dir=cache_dir,
        )

    def _load_inception(self, style: str, path: str | None) -> tuple[FeatureNetwork, str]:
        return EfficientNetLite0(), 'EfficientNet-Lite0'


def collect_reports(metrics: list[Any]) -> list[Score]:
    """The scores of the last evaluation of several metrics."""
    return [score for metric in metrics for score in getattr(metric, 'report', [])]


def report_dict(scores: list[Score]) -> dict[str, dict]:
    """Scores as plain data, keyed by name, without empty fields."""
    return {
        s.name: {k: v for k, v in asdict(s).items() if k != 'name' and v is not None}
        for s in scores
    }


def report_table(scores: list[Score]) -> str:
    """Scores as a table for the terminal."""
    head = ('score', 'value', 'unit', 'n', 'n real', 'feature network')
    body = [
        (
            s.name,
            f'{s.value:.3f}' + (' (lower is better)' if s.better == 'lower' else ''),
            s.unit,
            str(s.n),
            str(s.n_real or '-'),
            f'{s.network} {s.weights}' if s.network else '-',
        )
        for s in scores
    ]
    widths = [max(len(row[i]) for row in (head, *body)) for i in range(len(head))]
    lines = ['  '.join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in (head, *body)]
    lines.insert(1, '-' * len(lines[0]))
    return '\n'.join(lines)
