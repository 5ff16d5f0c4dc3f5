"""Results made without a model and scored like a model's: any model has to beat them."""

from collections.abc import Callable

from torch import Tensor, nn

from ..binding import bound
from ..lr import down, project, up

BASELINES: dict[str, Callable[[Tensor, Tensor, str], Tensor]] = {
    'copy-source': lambda source, lr, method: source,
    'upscale-target': lambda source, lr, method: up(lr, source.shape[-1], 'bicubic'),
    'project-source': project,
}
"""Name -> result of source (B, 3, H, W), LR target (B, 3, s, s) and LR operator: the source as it
is, the target enlarged (bicubic), and the source with its cells moved to the target's colours."""


class Baseline(nn.Module):
    """A baseline in a generator's place.

    Args:
        name: One of :data:`BASELINES`.
        lr_method: The operator of the LR targets. What a target leaves free is the source's.
    """

    def __init__(self, name: str, lr_method: str = 'box') -> None:
        super().__init__()
        self.name, self.lr_method = name, lr_method

    def forward(self, source: Tensor, lr: Tensor) -> Tensor:
        whole = bound(down(source, lr.shape[-1], self.lr_method), lr)
        return BASELINES[self.name](source, whole, self.lr_method)
