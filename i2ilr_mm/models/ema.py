"""The moving average of the generator, the network that predicts."""

import torch
from torch import Tensor, nn


def decay_at(step: int, decay: float, warmup: bool) -> float:
    """Decay of the average at a step, counted from 0.

    Args:
        step: Updates that the average has had.
        decay: The decay of a long training.
        warmup: Let it grow as min(decay, (1 + t) / (10 + t)), so that short runs are not scored on
            a stale copy (as TensorFlow's ExponentialMovingAverage with ``num_updates``); False is
            the published average.
    """
    # (1 + t) / (10 + t) is 0.1 at the first step, so that the average leaves the random start at
    # once, and reaches 0.999 at t = 8,990. Before that 1 - decay is about 9 / t, so
    # that what was held at tau keeps the share (tau / t)^9: the mean age of the average is t / 10.
    return min(decay, (1 + step) / (10 + step)) if warmup else decay


@torch.no_grad()
def move_average(average: nn.Module, live: nn.Module, decay: float) -> None:
    """average <- decay * average + (1 - decay) * live, for every parameter.

    Buffers are copied. Those of spectral norm are the singular vectors of the live weight; an
    average of them would belong to no weight at all.
    """
    # lerp(e, w, 1 - d) = e + (1 - d) (w - e) = d e + (1 - d) w, one kernel for all parameters.
    averages: list[Tensor] = list(average.parameters())
    torch._foreach_lerp_(averages, list(live.parameters()), 1 - decay)
    torch._foreach_copy_(list(average.buffers()), list(live.buffers()))
