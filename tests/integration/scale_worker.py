"""One rank of steps that must not depend on the number of ranks.

Usage: scale_worker.py OUT, in ranks of conftest.fork; OUT/rank<i>.pth gets what rank i came to.
"""

import os
import sys

import torch
from mmagic.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.dist import get_dist_info
from mmengine.model import MMSeparateDistributedDataParallel
from mmengine.registry import init_default_scope
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

from i2ilr_mm.apis.runner import leave_group
from i2ilr_mm.benchmark.reference import recorders
from i2ilr_mm.lr import down

SMALL = dict(img_size=32, lr_size=8, base_channels=4, max_channels=8)
R1 = dict(type='R1Penalty')
VARIANTS = {
    'standard': dict(r1_loss=R1),
    'lazy': dict(r1_loss=dict(R1, interval=2)),
    'accumulation': dict(r1_loss=R1, accumulation=2),
    'lazy accumulation': dict(r1_loss=dict(R1, interval=2), accumulation=2),
    'checkpointing': dict(r1_loss=R1, generator=dict(type='I2ILRGenerator', **SMALL, with_cp=True)),
    'dial': dict(
        r1_loss=R1,
        generator=dict(
            type='I2ILRGenerator', **SMALL, exact_lr='bilinear', lr_sizes=[4, 8], partial=True
        ),
        discriminator=dict(type='LRResidualDiscriminator', **SMALL, residual=False),
        target_draws=dict(type='TargetDraws', free=0.5),
        lr_loss=None,
    ),
    'bf16': dict(r1_loss=R1, autocast='bfloat16'),
}
TOTAL = 16
"""Pictures in a batch over all ranks; with four of them, two parts are still whole pairs."""


def build(dtype: torch.dtype, **options) -> nn.Module:
    torch.manual_seed(0)
    networks = dict(
        generator=dict(type='I2ILRGenerator', **SMALL),
        discriminator=dict(type='LRResidualDiscriminator', **SMALL),
        lr_loss=dict(type='LRConsistencyLoss', loss_weight=0.1),
    )
    model = MODELS.build({**dict(type='I2ILR', **networks), **options}).to(dtype)
    if get_dist_info()[1] > 1:
        model = MMSeparateDistributedDataParallel(model)
    return model


def batch(step: int, dtype: torch.dtype) -> dict:
    """This rank's pairs of the batch that one process would see."""
    rank, world_size = get_dist_info()
    generator = torch.Generator().manual_seed(step)
    image = torch.randint(0, 256, (TOTAL, 3, 32, 32), generator=generator).to(dtype) / 127.5 - 1
    mine = image.unflatten(0, (-1, 2))[rank::world_size].flatten(0, 1)
    return dict(inputs=dict(img=mine, lr=down(mine, 8)))


def trained(options: dict) -> dict:
    """The model after four Adam steps in float64."""
    model = build(torch.float64, **options)
    adam = dict(type='Adam', lr=1e-3, betas=(0.0, 0.99), fused=True)
    wrapper = dict(type='OptimWrapper', optimizer=adam)
    constructor = dict(
        type='I2ILROptimWrapperConstructor',
        optim_wrapper_cfg=dict(generator=wrapper, discriminator=wrapper),
    )
    optimizers = OPTIM_WRAPPER_CONSTRUCTORS.build(constructor)(model)
    for step in range(4):
        model.train_step(batch(step, torch.float64), optimizers)
    return getattr(model, 'module', model).state_dict()


def gradients(options: dict) -> dict:
    """What the updates of one step in float32 were given, as vectors."""
    model = build(torch.float32, **options)
    inner = getattr(model, 'module', model)
    wrappers, seen = recorders(inner)
    model.train_step(batch(0, torch.float32), wrappers)
    return {
        f'{name} {i}': torch.cat([g.flatten() for g in step])
        for name, recorder in seen.items()
        for i, step in enumerate(recorder.steps)
    }


def reductions() -> int:
    """How often D's gradients are exchanged in three steps."""
    model, calls = build(torch.float32), []
    inner = getattr(model, 'module', model)
    if inner is not model:
        inner.discriminator.register_comm_hook(
            None, lambda state, bucket: calls.append(1) or allreduce_hook(state, bucket)
        )
    wrappers, _ = recorders(inner)
    for step in range(3):
        model.train_step(batch(step, torch.float32), wrappers)
    return len(calls)


if __name__ == '__main__':
    out = sys.argv[1]
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if 'RANK' in os.environ:
        torch.distributed.init_process_group('gloo')
    init_default_scope('mmagic')
    rank = get_dist_info()[0]
    result = {
        name: dict(trained=trained(options), gradients=gradients(options))
        for name, options in VARIANTS.items()
    }
    result['reductions'] = reductions()
    torch.save(result, f'{out}/rank{rank}.pth')
    leave_group()
