"""Optimisers of G and D."""

from collections.abc import Iterable

from mmagic.engine.optimizers import MultiOptimWrapperConstructor
from mmagic.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.optim import OptimWrapperDict
from torch import nn
from torch.optim import Optimizer

from ..models.networks import unwrap


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


def _check_names(given: Iterable[str], model: nn.Module) -> None:
    names = {name for name, child in model.named_children() if _is_trained(child)}
    given = {name for name in given if name != 'constructor'}
    if missing := names - given:
        raise ValueError(
            f'optim_wrapper has no entry for model.{min(missing)}, which would not be trained: add '
            f"optim_wrapper.{min(missing)}=dict(type='OptimWrapper', optimizer=dict(...))"
        )
    if unused := given - names:
        raise ValueError(
            f'optim_wrapper.{min(unused)} belongs to no network of the model, which has '
            f'{sorted(names)}: delete it, or set model.{min(unused)}'
        )


def _is_trained(network: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in network.parameters())


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class I2ILROptimWrapperConstructor(MultiOptimWrapperConstructor):
    """MMagic's constructor for several networks, with D's optimiser corrected for a lazy R1.

    An entry that is None counts as absent: so a config switches one off that it inherits.

    Raises:
        ValueError: If a wrapper has ``accumulative_counts``; an I2ILR model accumulates within its
            step, where G and D see the same batch. If a trained network has no optimiser, or an
            optimiser no network.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        given = {k: v for k, v in optim_wrapper_cfg.items() if v is not None}
        super().__init__(given, paramwise_cfg)

    def __call__(self, module: nn.Module) -> OptimWrapperDict:
        for name, options in self.optim_cfg.items():
            if options.get('accumulative_counts', 1) != 1:
                raise ValueError(
                    f'optim_wrapper.{name}.accumulative_counts is '
                    f'{options["accumulative_counts"]}; set model.accumulation instead'
                )
        _check_names(self.optim_cfg.keys(), unwrap(module))
        wrappers = super().__call__(module)
        interval = unwrap(module).objective.r1_interval
        if interval > 1:
            lazy_adam(wrappers['discriminator'].optimizer, interval)
        return wrappers
