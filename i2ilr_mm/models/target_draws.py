"""What a training step asks of the generator: an LR size, and free cells."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmagic.registry import MODELS
from mmengine.dist import get_rank, get_world_size
from torch import Tensor

from ..binding import draw_mask, join
from ..lr import down


@MODELS.register_module()
class TargetDraws:
    """Draws the LR size of each step, and what of each pair's targets binds.

    All of it depends on the seed, the number of the step and that of the pair alone: a resumed run
    and one of several processes draw the same.

    Args:
        lr_sizes: Those of the generator.
        lr_method: The LR operator, see :func:`i2ilr_mm.lr.down`.
        partial: Whether the generator takes targets that bind in part.
        shares: How often each LR size is drawn, in the order of ``generator.lr_sizes``; None draws
            all alike.
        free: Share of the pairs whose targets have free cells.
        seed: Another seed gives other draws.

    Raises:
        ValueError: If shares do not fit the sizes, or the generator takes no such targets.
    """

    def __init__(
        self,
        lr_sizes: Sequence[int],
        lr_method: str,
        partial: bool,
        shares: Sequence[float] | None = None,
        free: float = 0.0,
        seed: int = 0,
    ) -> None:
        shares = [1.0] * len(lr_sizes) if shares is None else list(shares)
        if len(shares) != len(lr_sizes) or min(shares) < 0 or not 0 < sum(shares) < np.inf:
            raise ValueError(
                f'target_draws.shares is {shares}; it takes one share, none negative, for each of '
                f'generator.lr_sizes, {list(lr_sizes)}'
            )
        if not 0 <= free <= 1:
            raise ValueError(f'target_draws.free is {free}; it is a share from 0 to 1')
        if partial != (free > 0):
            raise ValueError(
                f'generator.partial is {partial} and target_draws.free {free}: a generator that '
                f'takes free cells has to be trained by some, so set both or none'
            )
        self.lr_sizes, self.lr_method, self.partial = tuple(lr_sizes), lr_method, partial
        self.shares = np.cumsum(shares) / sum(shares)
        self.free, self.seed = free, seed

    def __call__(self, image: Tensor, lr: Tensor, step: int) -> Tensor:
        """The LR targets of a step.

        Args:
            image: This process's (B, 3, H, H) in [-1, 1], neighbours are pairs.
            lr: (B, 3, s, s), their LR pictures as the data have them.
            step: Its number, from 0.

        Returns:
            (B, 3, t, t) for the LR size t of the step; with ``partial`` (B, 4, t, t), where the two
            of a pair bind alike.
        """
        size = self.size(step)
        lr = lr if lr.shape[-1] == size else down(image, size, self.lr_method)
        if not self.partial:
            return lr
        ranks, rank = get_world_size(), get_rank()
        masks = [self.mask(step, i * ranks + rank, size) for i in range(len(image) // 2)]
        share = torch.stack(masks).repeat_interleave(2, dim=0)[:, None]
        return join(lr, share.to(lr.device))

    def size(self, step: int) -> int:
        """The LR size of a step."""
        return self.lr_sizes[int(np.searchsorted(self.shares, self._random(step).random_sample()))]

    def mask(self, step: int, pair: int, size: int) -> Tensor:
        """Shares (t, t) of each cell that bind, for a pair of a step."""
        random = self._random(step, pair)
        free = random.random_sample() < self.free
        return torch.from_numpy(draw_mask(random, size) if free else np.ones((size, size))).float()

    def _random(self, *numbers: int) -> np.random.RandomState:
        # NumPy's legacy generator, whose numbers do not change between versions.
        return np.random.RandomState(
            np.random.MT19937(np.random.SeedSequence([self.seed, *numbers]))
        )


def build_target_draws(config: dict[str, Any] | None, generator: Any, lr_method: str) -> Any:
    """The draws of a model; None without a config.

    Raises:
        ValueError: If the generator has LR sizes, or takes targets, that nothing draws; or the
            config sets what is the generator's.
    """
    of_generator: dict[str, Any] = dict(
        lr_sizes=getattr(generator, 'lr_sizes', ()), partial=getattr(generator, 'partial', False)
    )
    if config is not None:
        given = sorted({'lr_method', *of_generator} & config.keys())
        if given:
            raise ValueError(
                f'target_draws.{given[0]} is set, and the draws take it from the model: set '
                f'lr_method at the top level of the config, lr_sizes and partial in '
                f'model.generator'
            )
        return MODELS.build(dict(config, lr_method=lr_method, **of_generator))
    if len(of_generator['lr_sizes']) > 1 or of_generator['partial']:
        raise ValueError(
            'generator.lr_sizes or generator.partial is set, and nothing draws such targets in '
            "training: set target_draws=dict(type='TargetDraws')"
        )
    return None
