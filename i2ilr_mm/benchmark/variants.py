"""Models and training steps of the variants that are timed, and what they cost by count."""

from functools import partial
from typing import Any

import torch
from mmagic.registry import MODELS
from mmengine.config import Config, ConfigDict
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from torch import Tensor

from i2ilr_mm.config import find_config
from i2ilr_mm.engine.cost import GIB, count, idle_optimizers, step_cost
from i2ilr_mm.models import I2ILR

from .reference import reference_step
from .timing import DEVICE, Steps

REFERENCE = 'written plainly'
"""The config's own recipe with a network call for every loss, see reference.py."""


def model_config(cfg: Config, options: dict) -> ConfigDict:
    """The config's model with the options of a variant; 'default' is float32 and eager."""
    options = dict(options)
    published = options.pop('published', False)
    model = published_model(cfg) if published else cfg.model.copy()
    model.r1_loss = {**model.r1_loss, 'interval': options.pop('interval', 1)}
    model.generator = {**model.generator, 'with_cp': options.pop('with_cp', False)}
    layout = not published and cfg.model.get('channels_last', False)
    plain = dict(autocast=None, compile=False, accumulation=1, channels_last=layout)
    model.update({**plain, **options})
    return model


def published_model(cfg: Config) -> ConfigDict:
    """The published recipe with the sizes and widths of a config."""
    model = Config.fromfile(find_config('_base_/model_published')).model
    model.lr_method = cfg.model.lr_method
    for name in ('generator', 'discriminator'):
        own = cfg.model[name]
        sizes = ('img_size', 'lr_size', 'base_channels', 'max_channels')
        model[name].update({key: own[key] for key in sizes if key in own})
    return model


def build(cfg: Config, options: dict) -> I2ILR:
    """A model of a variant; its source loss counts from the first step on."""
    torch.manual_seed(0)
    model = MODELS.build(model_config(cfg, options)).to(DEVICE)
    if model.source_loss is not None:
        model.source_loss.seen = len(model.source_loss.queue)
        torch.nn.init.normal_(model.source_loss.queue)
    return model


def prepare(
    cfg: Config, options: dict | None, image: Tensor, lr: Tensor
) -> tuple[Steps, dict[str, Any]]:
    """The steps of a variant, warmed up, and what is known before they are timed."""
    allocated = torch.cuda.memory_allocated() if DEVICE == 'cuda' else 0
    options = dict(options or {})
    plain = options.pop('plain', False)
    model = build(cfg, options)
    optimizers = build_optim_wrapper(model, optimizer_config(cfg, model))
    data = dict(inputs=dict(img=image, lr=lr))
    if plain:
        steps: Steps = [(1.0, lambda: reference_step(model, optimizers, image))]
        cost = count(model_config(cfg, options), len(image), fake_reference_step)
    else:
        cost = step_cost(model_config(cfg, options), len(image))
        steps = own_steps(model, optimizers, data)
    measured = _warm_up(steps, allocated)
    memory, source = (measured, 'measured') if measured else (cost.peak_bytes, 'counted')
    result = dict(
        gmac_per_image=cost.gmac_per_image, peak_memory_gib=memory / GIB, peak_memory=source
    )
    return steps, result


def _warm_up(steps: Steps, allocated: int) -> int:
    """Run every step twice; returns the most memory beyond ``allocated``, 0 without a GPU."""
    if DEVICE == 'cuda':
        torch.cuda.reset_peak_memory_stats()
    for _ in range(2):
        for _, step in steps:
            step()
    return torch.cuda.max_memory_allocated() - allocated if DEVICE == 'cuda' else 0


def optimizer_config(cfg: Config, model: I2ILR) -> dict:
    """The config's optimisers of the networks that a variant has."""
    wrappers = cfg.optim_wrapper.to_dict()
    return {k: v for k, v in wrappers.items() if getattr(model, k, True) is not None}


def own_steps(model: I2ILR, optimizers: OptimWrapperDict, data: dict) -> Steps:
    def step(number: int) -> None:
        model.update(data, optimizers, number)

    share = 1 / model.objective.r1_interval
    without_r1 = [] if share == 1 else [(1 - share, partial(step, 1))]
    return [(share, partial(step, 0)), *without_r1]


def fake_reference_step(model: I2ILR, image: Tensor) -> None:
    reference_step(model, idle_optimizers(model), image)
