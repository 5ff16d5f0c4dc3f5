"""What all metrics share: pairs, pictures and sources; the view of a feature network."""

from collections.abc import Callable, Hashable, Iterable
from typing import Any

import torch
from mmagic.evaluation.metrics.base_gen_metric import GenMetric
from mmengine.dist import broadcast_object_list, is_main_process
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ...lr import check_choice
from ..estimate import Estimate
from ..features import FeatureNetwork, LastBatch, build_features
from ..real import gather_by_index
from ..report import Score

SHARE = (0.0, 1.0)
Unit = tuple[str, str, tuple[float, float]]
Function = Callable[[Tensor, Tensor], dict[str, Estimate]]


class PairScores(GenMetric):
    """Base of scores over a loader's results: keeps a row per result, and scores them at the end.

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
        """Gather the rows of all ranks, score them on the main rank, and send the scores to all."""
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
        return {score.name: score.value for score in self.report if not score.role}

    def picture(self, sample: Any) -> Tensor:
        """The result in a model's output, (3, H, W) uint8 RGB.

        Raises:
            ValueError: If there is none, or its values are not finite.
        """
        image = sample.get(self.sample_model, sample)
        for part in self.fake_key.split('.'):
            if part not in image:
                raise ValueError(
                    f"{type(self).__name__}: the model's output has no '{self.fake_key}', it has "
                    f'{sorted(sample)}; set fake_key'
                )
            image = image[part]
        if image.dtype != torch.uint8:
            if not image.isfinite().all():
                raise ValueError(
                    f'{type(self).__name__}: the model gives values that are not finite'
                )
            image = image.round().clamp(0, 255).to(torch.uint8)
        return image if self.channel_order == 'rgb' else image.flip(-3)

    def score(self, rows: dict[int, Any]) -> list[Score]:
        """Turn the rows of all results, by their index, into scores."""
        raise NotImplementedError

    def info(self, index: int, name: str) -> Any:
        """One field of the dataset's entry for a pair."""
        return self.dataset.get_data_info(index)[name]

    def sources(self, rows: Iterable[int]) -> list[Hashable]:
        """The source of each row: results of one source are not independent of each other."""
        return [self.info(i, 'name') for i in rows]


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

    def evaluate(self) -> dict[str, float]:
        self.network.last_batch = LastBatch()  # scoring is over: no pictures stay in memory
        return super().evaluate()

    @torch.inference_mode()
    def compute(self, images: Tensor) -> Tensor:
        """Features (B, d) of uint8 RGB pictures (B, 3, H, W), on the CPU."""
        chunks = images.to(self.device).split(self.batch_size)
        return torch.cat([self.network(chunk).float().cpu() for chunk in chunks])

    def features(self, samples: list[dict]) -> list[Tensor]:
        """Features of a batch of results; reuses those that another metric has computed."""
        cached = self.network.last_batch.features(samples, f'{self.fake_key} {self.channel_order}')
        new = [i for i, sample in enumerate(samples) if id(sample) not in cached]
        if new:
            pictures = [self.picture(samples[i]) for i in new]
            one_size = len({picture.shape for picture in pictures}) == 1
            batches = [torch.stack(pictures)] if one_size else [p[None] for p in pictures]
            for i, row in zip(new, (row for batch in batches for row in self.compute(batch))):
                # Alone it is gathered without the rest of its batch.
                cached[id(samples[i])] = row.clone()
        return [cached[id(sample)] for sample in samples]
