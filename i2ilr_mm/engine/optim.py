"""Optimisers of G and D."""

from mmagic.engine.optimizers import MultiOptimWrapperConstructor
from mmagic.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.optim import OptimWrapperDict
from torch import nn
from torch.optim import Optimizer

from ..models.i2ilr import unwrap


def lazy_adam(optimizer: Optimizer, interval: int) -> None:
    """Correct the optimiser of D for lazy regularisation.

    ``interval`` steps come with ``interval`` + 1 updates. For the same pace, learning rate and
    betas become c * lr and beta^c with c = interval / (interval + 1).

    Source: StyleGAN2 (Karras et al. 2020, appendix B).
    """
    c = interval / (interval + 1)
    for group in optimizer.param_groups:
        group['r1_interval'] = interval  # stored with the state, to be compared on a resume
        group['lr'] *= c
        if 'betas' in group:
            group['betas'] = tuple(beta**c for beta in group['betas'])


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class I2ILROptimWrapperConstructor(MultiOptimWrapperConstructor):
    """MMagic's constructor for several networks, with D's optimiser corrected for a lazy R1.

    Raises:
        ValueError: If a wrapper has ``accumulative_counts``; an I2ILR model accumulates within its
            step, where G and D see the same batch.
    """

    def __call__(self, module: nn.Module) -> OptimWrapperDict:
        for name, options in self.optim_cfg.items():
            if options.get('accumulative_counts', 1) != 1:
                raise ValueError(
                    f'optim_wrapper.{name}.accumulative_counts is '
                    f'{options["accumulative_counts"]}; set model.accumulation instead'
                )
        wrappers = super().__call__(module)
        interval = unwrap(module).r1_interval
        if interval > 1:
            lazy_adam(wrappers['discriminator'].optimizer, interval)
        return wrappers
