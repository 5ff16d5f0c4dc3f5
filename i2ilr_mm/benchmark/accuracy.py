"""How far the losses and gradients of a variant lie from the reference in float64."""

import torch
from mmengine.config import Config
from torch import Tensor

from i2ilr_mm.lr import down
from i2ilr_mm.models.convolutions import SNConv2d

from .reference import recorders, reference_step
from .variants import REFERENCE, build


def gradients(cfg: Config, options: dict, image: Tensor, dtype: torch.dtype) -> dict[str, Tensor]:
    """Losses and gradients of one step, as vectors; the spectral norm is frozen."""
    options = dict(options)
    plain = options.pop('plain', False)
    model = build(cfg, options).to(dtype)
    wrappers, seen = recorders(model)
    image = image.to(dtype)
    lr = down(image, cfg.lr_size, cfg.lr_method)
    for conv in model.modules():
        if isinstance(conv, SNConv2d):
            conv.frozen = True
    if plain:
        losses = reference_step(model, wrappers, image)
    else:
        log = model.train_step(dict(inputs=dict(img=image, lr=lr)), wrappers)
        losses = log['loss_d'], log['loss_g']
    steps = {n: torch.cat([g.flatten() for g in r.steps[0]]) for n, r in seen.items()}
    return dict(losses=torch.stack(losses), **steps)


def differences(cfg: Config, variants: dict[str, dict], image: Tensor) -> dict[str, dict]:
    """Relative distances from the reference schedule in float64.

    The reference itself, in float32, shows what is rounding. With a lazy R1 the updates are others.
    """
    image = image[:4]
    truth = gradients(cfg, variants[REFERENCE], image, torch.float64)
    results = {}
    for name, options in variants.items():
        fits = len(image) % (2 * options.get('accumulation', 1)) == 0
        if not {'interval', 'published'} & options.keys() and fits:
            results[name] = gradients(cfg, options, image, torch.float32)
    if 'default' in variants:
        results['default, in float64'] = gradients(cfg, {}, image, torch.float64)
    return {
        name: {k: ((v - truth[k]).norm() / truth[k].norm()).item() for k, v in vectors.items()}
        for name, vectors in results.items()
    }
