"""What a training step costs, counted before anything is computed."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from mmagic.registry import HOOKS, MODELS
from mmengine.dist import get_world_size, master_only
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import flop_registry

from ..lr import down
from ..models.i2ilr import I2ILR

GIB = 2**30
FLOAT = 4
"""Bytes of a parameter, its gradient and each of Adam's two averages."""


@dataclass
class Cost:
    """Cost of one training step on one device.

    Attributes:
        macs: Multiply-adds of convolutions and matrix products, forward and backward.
        peak_bytes: Most memory that tensors take at one time, Adam's averages included; what the
            allocator and the convolution library add is not.
        batch_size: Pictures in the step.
    """

    macs: int
    peak_bytes: int
    batch_size: int

    @property
    def gmac_per_image(self) -> float:
        return self.macs / self.batch_size / 1e9


class Counter(TorchDispatchMode):
    """Counts multiply-adds, and the bytes of all storages that operations make."""

    def __init__(self) -> None:
        super().__init__()
        self.macs = self.live = self.peak = 0
        self.tracked: set[int] = set()

    def follow(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata in self.tracked:
            return
        self.tracked.add(storage._cdata)
        self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._forget, storage._cdata, storage.nbytes())

    def _forget(self, key: int, size: int) -> None:
        self.tracked.discard(key)
        self.live -= size

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if (flops := flop_registry.get(func._overloadpacket)) is not None:
            self.macs += flops(*args, **kwargs, out_val=result) // 2
        for value in tree_iter(result):
            if isinstance(value, Tensor):
                self.follow(value)
        return result


def step_cost(model: dict, batch_size: int) -> Cost:
    """Count one training step of a model, without computing it.

    Args:
        model: Config of an :class:`~i2ilr_mm.models.I2ILR`; a lazy R1 counts by its share.
        batch_size: Pictures in the step, on one device.
    """
    interval = (model.get('r1_loss') or {}).get('interval', 1)
    # The first step has the lazy R1, the second has none.
    steps = [partial(_train_step, number) for number in range(min(interval, 2))]
    costs = counts({**model, 'compile': False}, batch_size, *steps)
    macs = (costs[0].macs + (interval - 1) * costs[-1].macs) // interval
    return Cost(macs, max(cost.peak_bytes for cost in costs), batch_size)


def _train_step(number: int, network: I2ILR, image: Tensor) -> None:
    lr = down(image, network.generator.lr_size)
    network.update(dict(inputs=dict(img=image, lr=lr)), idle_optimizers(network), number)


def count(model: dict, batch_size: int, step: Callable[[I2ILR, Tensor], Any]) -> Cost:
    """Count what ``step`` does with a model and a batch (B, 3, H, H) of its size."""
    return counts(model, batch_size, step)[0]


def counts(model: dict, batch_size: int, *steps: Callable[[I2ILR, Tensor], Any]) -> list[Cost]:
    """Count what each of the steps does, one after the other with the same model."""
    results = []
    # The frozen networks are real, shared and small.
    with FakeTensorMode(allow_non_fake_inputs=True), Counter() as counter:
        network = MODELS.build(model)
        size = network.generator.img_size
        image = torch.empty(batch_size, 3, size, size)
        for step in steps:
            counter.macs, counter.peak = 0, counter.live
            step(network, image)
            results.append((counter.macs, counter.peak))
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    return [Cost(macs, peak + 2 * FLOAT * trained, batch_size) for macs, peak in results]


def idle_optimizers(model: nn.Module) -> OptimWrapperDict:
    """Optimisers with no memory and no arithmetic of their own."""
    names = ('generator', 'discriminator', 'projected_discriminator')
    networks = {name: getattr(model, name) for name in names if getattr(model, name) is not None}
    return OptimWrapperDict(
        **{n: OptimWrapper(torch.optim.SGD(net.parameters(), lr=0)) for n, net in networks.items()}
    )


@HOOKS.register_module()
class CostHook(Hook):
    """Say what the training is going to cost, before it begins."""

    @master_only
    def before_train(self, runner: Runner) -> None:
        batch_size = runner.train_dataloader.batch_size
        try:
            cost = step_cost(runner.cfg.model, batch_size)
        except Exception as error:  # a network of the user's own need not run on empty tensors
            runner.logger.warning(f'Cost: cannot be counted for this model ({error})')
            return
        steps = runner.max_iters - runner.iter
        images = steps * batch_size * get_world_size()
        runner.logger.info(
            f'Cost: {cost.gmac_per_image:,.1f} GMAC per picture; '
            f'{cost.peak_bytes / GIB:.2f} GiB of tensors in a step of {cost.batch_size} on each '
            f'device; {steps:,} steps to go with {images / 1000:,.1f} kimg, '
            f'{images * cost.gmac_per_image / 1e3:,.0f} TMAC in all'
        )
