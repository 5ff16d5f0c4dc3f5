"""The contrastive source loss: a result must be closer to its own source than to others."""

from typing import Any

import torch
import torch.nn.functional as F
from mmagic.registry import MODELS
from mmengine.dist import all_gather, get_rank, get_world_size
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from ..lr import down
from .exact import ExactLR
from .frozen import FrozenStages, build_frozen
from .layers import deviation

MOMENTUM = 0.01
"""Share of a batch in the running moments of the features."""
MOST_CELLS = 8
"""Finer LR pictures are shrunk to this side before features are predicted from them."""
SOLVE_EVERY = 16
"""Steps from one solution of the running least squares to the next."""


@MODELS.register_module()
class ContrastiveSourceLoss(nn.Module):
    """InfoNCE between results and sources, on what the LR picture does not show.

    Source and result lose their LR picture (x - U D x), so that neither colours nor layout tell
    them apart. A frozen network sees what is left; its features are pooled over each level, brought
    to zero mean and unit variance by running moments, and normalised. Each result has to find its
    own source among those of the batch and a queue of earlier ones: cross entropy over cosine
    similarities. Source: InfoNCE (van den Oord et al. 2018), its use in CUT (Park et al. 2020), a
    queue as in MoCo (He et al. 2020).

    Detail also says what the LR picture says: where the outline is, which way a head looks. A
    result takes this from its target, and a loss that asks for it from the source pulls it back.
    With ``beyond_lr`` a :class:`LeastSquares` of the features on the LR picture is taken out of
    sources and results, each by its own LR picture; what is left is the source's alone.

    The loss is 0 until the queue is full. Queue, moments and least squares are in the checkpoint,
    and are the same on every process.

    Args:
        img_size: Side H of the pictures.
        lr_size: Side s of the LR pictures.
        network: Config of the frozen network, see :mod:`i2ilr_mm.models.frozen`.
        loss_weight: Factor of the loss.
        temperature: Divides the similarities.
        queue_size: Number of earlier sources that a result is compared with.
        beyond_lr: Whether to subtract from the features what the LR picture predicts of them.
        lr_method: The LR operator D, see :func:`i2ilr_mm.lr.down`.

    Raises:
        FileNotFoundError: If the weights of the frozen network are missing; says what to install.
        ValueError: If a value is out of range, or the pictures are too small for the network.
    """

    queue: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(
        self,
        img_size: int,
        lr_size: int,
        network: dict[str, Any] | None = None,
        loss_weight: float = 1.0,
        temperature: float = 0.15,
        queue_size: int = 256,
        beyond_lr: bool = True,
        lr_method: str = 'box',
    ) -> None:
        super().__init__()
        if temperature <= 0 or queue_size < 1:
            raise ValueError(
                f'ContrastiveSourceLoss has temperature={temperature} and queue_size={queue_size}; '
                f'the first must be above 0, the second at least 1'
            )
        self.network: FrozenStages = build_frozen(network or dict(type='EfficientNetLite0Stages'))
        self.network.check_size(img_size, 'img_size')
        self.exact = ExactLR(img_size, lr_size, lr_method, 'bilinear')
        self.lr_size, self.lr_method = lr_size, lr_method
        self.loss_weight, self.temperature = loss_weight, temperature
        # Means of all levels but the finest, deviations of the two finest.
        width = sum(self.network.channels[1:]) + sum(self.network.channels[:2])
        self.register_buffer('queue', torch.zeros(queue_size, width))
        self.register_buffer('mean', torch.zeros(width))
        self.register_buffer('variance', torch.zeros(width))
        cells = min(lr_size, MOST_CELLS)
        regressors = 3 * cells**2 + 2 * cells * (cells - 1) + 1
        # Its name stands in checkpoints.
        self.told = LeastSquares(regressors, width) if beyond_lr else None
        self.seen = 0

    def get_extra_state(self) -> Tensor:
        """The number of sources seen, kept in the state dict."""
        return torch.tensor(self.seen)

    def set_extra_state(self, state: Tensor) -> None:
        self.seen = int(state)

    @torch.no_grad()
    def sources(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Take in a batch of sources; once a step, before :meth:`forward`.

        Args:
            images: This process's (B, 3, H, H) in [-1, 1], neighbours are pairs.

        Returns:
            ``candidates`` (N, d), the sources of all processes and the queue, and ``positives``
            (B,), where among them this process's are.
        """
        # f: the pooled features of a source, f_hat = f - W^T r what its LR picture does not say,
        # k = (f_hat - mean) / std, brought to |k| = 1.
        pooled, positives = _gather_pairs(self._pooled(images))
        with torch.autocast(images.device.type, enabled=False):
            if self.told is not None:
                regressors, _ = _gather_pairs(self._regressors(images))
                # By earlier sources alone: with its own row in the fit, a source would in part
                # predict itself, and a result would not.
                predicted = self.told(regressors)
                self.told.update(regressors, pooled)
                pooled = pooled - predicted
            self._update_moments(pooled)
            keys = self._normalised(pooled)
        # First in, first out: the newest stand in front, the oldest fall off the end.
        candidates = torch.cat([keys, self.queue])
        self.queue.copy_(candidates[: len(self.queue)])
        self.seen += len(keys)
        return candidates, positives

    def forward(self, results: Tensor, candidates: Tensor, positives: Tensor) -> Tensor:
        """Loss of results (B, 3, H, H) whose sources are ``candidates[positives]``."""
        # The zeros that the queue starts with are no sources. A zero with a graph keeps the
        # backward pass the same in every step.
        if self.seen <= len(self.queue):
            return results.sum() * 0
        pooled = self._pooled(results)
        with torch.autocast(results.device.type, enabled=False):
            if self.told is not None:
                pooled = pooled - self.told(self._regressors(results.detach()))
            # InfoNCE (van den Oord et al. 2018, eq. 4) with the density ratio exp(q.k / tau), both
            # of norm 1, over the N candidates k_j; k_(pos(i)) is the source of result i:
            #   L = -1/B sum_i log(exp(q_i.k_(pos(i)) / tau) / sum_j exp(q_i.k_j / tau))
            # L is ln N where all similarities are equal. The candidates carry no gradient: results
            # move, sources do not.
            similarity = self._normalised(pooled) @ candidates.T
            return self.loss_weight * F.cross_entropy(similarity / self.temperature, positives)

    def _regressors(self, images: Tensor) -> Tensor:
        """Regressors (B, n): colours of the LR pictures, steps between their cells, and 1."""
        # With c = min(s, 8) cells a side:  3 c^2 colours,  c (c - 1) steps |l[x + 1] - l[x]| across
        # and as many down, and the 1 of the intercept.
        lr = down(images.to(self.mean.dtype), self.lr_size, self.lr_method)
        lr = F.adaptive_avg_pool2d(lr, min(self.lr_size, MOST_CELLS))
        steps = [lr.diff(dim=dim).abs().mean(dim=1).flatten(1) for dim in (3, 2)]
        return torch.cat([lr.flatten(1), *steps, lr.new_ones(len(lr), 1)], dim=1)

    def _pooled(self, images: Tensor) -> Tensor:
        # The network sees x - U (D x D^T) U^T, the picture without its LR picture.
        levels = self.network(self.exact.detail(images).to(images.dtype))
        means = [x.mean(dim=(2, 3)) for x in levels[1:]]
        deviations = [deviation(x) for x in levels[:2]]
        return torch.cat([*means, *deviations], dim=1).to(self.mean.dtype)

    def _update_moments(self, pooled: Tensor) -> None:
        # m <- m + a (E f - m),  v <- v + a (E (f - m)^2 - v)  about the new m; a = 1 for the first
        # batch, which has no past.
        first = self.seen == 0
        share = 1.0 if first else MOMENTUM
        self.mean.lerp_(pooled.mean(dim=0), share)
        self.variance.lerp_((pooled - self.mean).square().mean(dim=0), share)

    def _normalised(self, pooled: Tensor) -> Tensor:
        # + 1e-3, for features that never vary.
        return F.normalize((pooled - self.mean) / (self.variance.sqrt() + 1e-3), dim=1)


def build_source_loss(config: dict, generator: Any) -> nn.Module:
    """The source loss of a generator; of one with several LR sizes, one for each in a ModuleDict.

    What the LR picture leaves as detail differs with its size, and so do the features of it. Sizes
    beyond the generator's ``lr_size`` have none: there the target says what the detail is, and a
    loss that asks for the source's lays it over the target's.
    """
    sizes = getattr(generator, 'lr_sizes', ())
    if len(sizes) < 2:
        return MODELS.build(config)
    sizes = [size for size in sizes if size <= generator.lr_size]
    losses = [MODELS.build({**config, 'lr_size': size}) for size in sizes]
    for loss in losses:
        loss.network = losses[0].network
    return nn.ModuleDict(dict(zip(map(str, sizes), losses)))


def of_size(loss: Any, lr: Tensor) -> Any:
    """Of what :func:`build_source_loss` built, the loss for LR targets; None if they have none."""
    if not isinstance(loss, nn.ModuleDict):
        return loss
    return dict(loss.items()).get(str(lr.shape[-1]))


class LeastSquares(nn.Module):
    """A linear prediction of features from regressors, by running least squares.

    Old batches fade. A ridge on the diagonal keeps the prediction sane while few rows were seen. It
    is n / (rows that count) of each regressor's mean square, which was near the best ridge for 64
    to 7,200 rows of the rendered heads.

    Args:
        regressors: Their number n.
        features: Their number d.
    """

    moments: Tensor
    cross: Tensor
    weights: Tensor
    memory = 1000
    """Number of batches that the running means hold."""

    def __init__(self, regressors: int, features: int) -> None:
        super().__init__()
        self.register_buffer('moments', torch.zeros(regressors, regressors))
        self.register_buffer('cross', torch.zeros(regressors, features))
        self.register_buffer('weights', torch.zeros(regressors, features))
        self.updates = 0

    def get_extra_state(self) -> Tensor:
        """The number of updates, kept in the state dict."""
        return torch.tensor(self.updates)

    def set_extra_state(self, state: Tensor) -> None:
        self.updates = int(state)

    @torch.no_grad()
    def update(self, x: Tensor, y: Tensor) -> None:
        """Take in regressors x (B, n) and features y (B, d)."""
        # M <- M + a (E x x^T - M),  C <- C + a (E x y^T - C),  a = 1 / min(t, memory): plain means
        # over the first t = memory batches; later, old ones fade by 1 - 1 / memory each time.
        share = 1 / min(self.updates + 1, self.memory)
        self.moments.lerp_(x.T @ x / len(x), share)
        self.cross.lerp_(x.T @ y / len(x), share)
        if self.updates % SOLVE_EVERY == 0 or self.updates < 4 * SOLVE_EVERY:
            # W = (M + R)^-1 C minimises E |y - W^T x|^2 + tr W^T R W, with the ridge
            #   R = diag(n / N_rows M_jj + 1e-5),    N_rows = B / a  the rows that count
            # R scales with each regressor, so that units do not matter, and fades as rows come in.
            ridge = len(self.moments) * share / len(x) * self.moments.diagonal() + 1e-5
            self.weights.copy_(torch.linalg.solve(self.moments + ridge.diag(), self.cross))
        self.updates += 1

    def forward(self, x: Tensor) -> Tensor:
        """Predict features (B, d) from regressors x (B, n)."""
        return x @ self.weights


def _gather_pairs(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The rows (B, d) of all processes, in the order that one process would have, and the places of
    this process's rows among them.

    Processes get pairs in turns (:class:`i2ilr_mm.engine.PairSampler`).
    """
    ranks, rank = get_world_size(), get_rank()
    if isinstance(rows, FakeTensor):  # the cost forecast, which the main process makes alone
        ranks, rank = 1, 0
    # Global pair g = i * ranks + rank is pair i of that rank; its rows are 2 g and 2 g + 1.
    gathered = torch.stack(all_gather(rows) if ranks > 1 else [rows]).unflatten(1, (-1, 2))
    place = torch.arange(ranks * len(rows), device=rows.device).view(-1, ranks, 2)
    # (ranks, pairs, 2, d), by pairs first
    return gathered.transpose(0, 1).flatten(0, 2), place[:, rank].flatten()
