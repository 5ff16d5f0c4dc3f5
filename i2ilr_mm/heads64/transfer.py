"""Transfer truth: whether results take from target and source what they should."""

import json
import os
from logging import WARNING
from typing import Any

import torch
from mmagic.registry import METRICS
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..datasets.pictures import PictureError, picture_path, read_bytes
from ..evaluation.estimate import sample_mean
from ..evaluation.metrics.base import SHARE, PairScores
from ..evaluation.report import Score, score_of
from ..lr import down, from_uint8, to_uint8, up
from .probes import ATTRIBUTES, Attribute, load_probes


def read_attributes(root: str) -> dict[str, dict]:
    """The truth that a root's heads were rendered from, by their names in it.

    Raises:
        FileNotFoundError: If the root has no attributes.json.
    """
    try:
        return json.loads(read_bytes(picture_path(root, 'attributes.json')))
    except PictureError as error:
        raise FileNotFoundError(
            f"TransferTruth needs the truth that the heads were rendered from, and '{root}' has no "
            f"attributes.json (it is for 'embedded:heads64' and sets like it)"
        ) from error


@METRICS.register_module()
class TransferTruth(PairScores):
    """How often a result shows what it should: the target's colours and pose, the source's detail.

    For rendered heads, whose attributes are known. Probes that were trained on real heads alone
    read the attributes off the results; only pairs whose source and target differ in an attribute
    count for it. The report compares each share with four others, by their roles:

    - ``ceiling``: the probe reads the real picture that the result should follow.
    - ``copy_source``: the probe reads the source itself.
    - ``upscale_target``: the probe reads the enlarged LR target.
    - ``chance``: what the same results would score if any other picture had been followed. It is
      estimated from all results whose other picture has the same class. What a share has above
      chance, the result took from the picture.

    Args:
        lr_method: The operator of the LR targets, see :func:`i2ilr_mm.lr.down`; None takes the
            model's.
        **kwargs: See :class:`i2ilr_mm.evaluation.metrics.base.PairScores`.

    Raises:
        ValueError: If the data has no attributes.json.
    """

    def __init__(self, lr_method: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lr_method = lr_method
        self.probes, self.weights_hash = load_probes()
        self.truth: list[dict] = []
        self.pool_classes: tuple[Tensor, Tensor, Tensor] | None = None

    def prepare(self, module: nn.Module, dataloader: DataLoader) -> None:
        """Find the truth of every picture of the pool."""
        super().prepare(module, dataloader)
        root = self.dataset.resolved_root
        self.lr_method = self.lr_method or str(module.lr_method)
        try:
            truth = read_attributes(root)
        except FileNotFoundError as error:
            print_log(f'{error}: its scores are left out', 'current', WARNING)
            self.truth = []
            return
        names = [name_in_root(path, root) for path in self.dataset.real_pictures()]
        missing = [name for name in names if name not in truth]
        if missing:
            raise ValueError(
                f"attributes.json of '{root}' does not know {len(missing)} of its {len(names)} "
                f"pictures, among them '{missing[0]}'"
            )
        self.truth = [truth[name] for name in names]
        self.probes.to(self.device)

    @torch.inference_mode()
    def _read(self, images: Tensor) -> Tensor:
        """Classes (B, attributes) that the probes read off uint8 pictures (B, 3, H, W)."""
        classes = self.probes.read(images.to(self.device))
        return torch.stack([classes[name] for name in ATTRIBUTES], dim=1).cpu()

    def process(self, data_batch: Any, data_samples: list[dict]) -> None:
        """Keep what the probes read off each result."""
        if not self.truth:
            self.rows.update((sample['sample_idx'], None) for sample in data_samples)
            return
        images = torch.stack([self.picture(sample) for sample in data_samples])
        self.rows.update(zip((s['sample_idx'] for s in data_samples), self._read(images)))

    def score(self, rows: dict[int, Tensor]) -> list[Score]:
        if not self.truth:
            return []
        self.pool_classes = self.pool_classes or self._pool_classes()
        labels, real, enlarged = self.pool_classes
        index = {p['img_path']: i for i, p in enumerate(self.dataset.pictures)}
        source = [index[self.info(i, 'img_path')] for i in rows]
        target = [index[self.info(i, 'target_path')] for i in rows]
        groups = self.sources(rows)
        results = torch.stack(list(rows.values()))
        scores = []
        for column, (name, attribute) in enumerate(ATTRIBUTES.items()):
            table = labels[:, column], real[:, column], enlarged[:, column]
            hits, differ = _hits(attribute, results[:, column], *table, source, target)
            differing = [group for group, keep in zip(groups, differ) if keep]
            scores += [
                self._share(f'transfer_{name}', role, hit[differ], differing, attribute.follows)
                for role, hit in hits.items()
            ]
        return scores

    def _share(self, name: str, role: str, hits: Tensor, groups: list, follows: str) -> Score:
        fields: dict[str, Any] = dict(
            role=role,
            network=self.probes.name,
            weights=self.weights_hash,
            resize='64 x 64, bilinear',
            settings=f'shrunk by {self.lr_method}',
        )
        unit, better = f'share like the {follows}', '' if role else 'higher'
        if not len(hits):
            problem = 'no pair differs in it'
            return Score(name, float('nan'), unit, better, 0, problem=problem, **fields)
        estimate = sample_mean(hits).grouped(fake=groups)
        return score_of(name, estimate, unit, better, len(hits), SHARE, **fields)

    def _pool_classes(self) -> tuple[Tensor, Tensor, Tensor]:
        """True classes, classes read, and classes read off the enlarged LR target, (n, attributes).

        Of every picture of the pool; -1 where an attribute does not apply.
        """
        labels, real, enlarged = [], [], []
        paths, size = self.dataset.real_pictures(), 64
        for start in range(0, len(paths), size):
            images = torch.stack([self.dataset.real_image(p) for p in paths[start : start + size]])
            classes = self.probes.labels(self.truth[start : start + size], images)
            labels.append(torch.stack([classes[name] for name in ATTRIBUTES], dim=1))
            real.append(self._read(images))
            lr = down(from_uint8(images), self.dataset.lr_size, self.lr_method or 'box')
            enlarged.append(self._read(to_uint8(up(lr, images.shape[-1], 'bicubic'))))
        return torch.cat(labels), torch.cat(real), torch.cat(enlarged)


def _hits(
    attribute: Attribute,
    results: Tensor,
    labels: Tensor,
    real: Tensor,
    enlarged: Tensor,
    source: list[int],
    target: list[int],
) -> tuple[dict[str, Tensor], Tensor]:
    """Which results, and which pictures in their place, have the class that is to be followed.

    Returns:
        Role -> (pairs,) hits or their probability, and the pairs in which source and target differ.
    """
    pictures = (target, source) if attribute.follows == 'target' else (source, target)
    followed, other = (labels[picture] for picture in pictures)
    applies = (followed >= 0) & (other >= 0)
    # P(result read as f | other picture of class o): what a result shows without the one followed.
    frequency = _frequency(other[applies], results[applies], len(attribute.classes))
    hits = {
        '': results == followed,
        'chance': frequency[other, followed],
        'ceiling': real[pictures[0]] == followed,
        'copy_source': real[source] == followed,
        'upscale_target': enlarged[target] == followed,
    }
    return hits, applies & (followed != other)


def _frequency(true: Tensor, read: Tensor, classes: int) -> Tensor:
    """Share of each class that was read (columns) among the samples of each given class (rows)."""
    counts = torch.zeros(classes, classes)
    counts.index_put_((true, read), torch.ones(len(read)), accumulate=True)
    return counts / counts.sum(dim=1, keepdim=True).clamp(min=1)


def name_in_root(path: str, root: str) -> str:
    """A picture's name relative to its root, folder or zip."""
    member = path.partition('::')[2]
    return member or os.path.relpath(path, root).replace(os.sep, '/')
