"""The training step written out plainly: the oracle of the benchmark and of the tests.

The published schedule, with what a config adds to it: four generator calls, eight discriminator
calls and four more for the generator's loss, each also of the projected discriminator; every call
works its weights out anew; a convolution first, the average over 2 x 2 pixels after it; PyTorch's
own norms. It runs on the networks and losses of an I2ILR model, so that both can be given the same
weights.
"""

from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor

from i2ilr_mm.lr import down, residual
from i2ilr_mm.models import (
    I2ILR,
    I2ILRGenerator,
    LRResidualDiscriminator,
    ProjectedDiscriminator,
)
from i2ilr_mm.models.convolutions import SNConv2d, TrainedConv2d, power_iteration
from i2ilr_mm.models.ema import decay_at, move_average
from i2ilr_mm.models.layers import (
    DecoderBlock,
    DiscriminatorBlock,
    EncoderBlock,
    InstanceNorm2d,
    SPAdaIN,
    leaky_relu,
    residual_sum,
    upsample,
)
from i2ilr_mm.models.projected import ProjectedHead


def conv2d(conv: TrainedConv2d, x: Tensor) -> Tensor:
    """A convolution with its weight normalisation, as PyTorch or the papers write it."""
    weight: Tensor = conv.weight_orig
    if isinstance(conv, SNConv2d):
        u, v = conv.weight_u.clone(), conv.weight_v.clone()
        weight = weight / torch.dot(u, weight.flatten(1) @ v)
    else:
        weight = weight * (2 / (1 + 0.2**2) / weight[0].numel()) ** 0.5
    return F.conv2d(x, weight, conv.bias, padding=conv.padding)


def instance_norm(norm: InstanceNorm2d, x: Tensor) -> Tensor:
    return F.instance_norm(x, weight=norm.weight, bias=norm.bias)


def spadain(norm: SPAdaIN, x: Tensor, lr: Tensor, style: Tensor | None) -> Tensor:
    scale, shift = norm.scale(lr), norm.shift(lr)
    if norm.style is not None and style is not None:
        more = F.linear(style, norm.style.weight, norm.style.bias)[:, :, None, None]
        scale, shift = scale + more[:, : x.shape[1]], shift + more[:, x.shape[1] :]
    return scale * F.instance_norm(x) + shift


def pono(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    mean = x.mean(dim=1, keepdim=True)
    std = (x.var(dim=1, keepdim=True) + 1e-5).sqrt()
    return (x - mean) / std, mean, std


def shortcut(block: EncoderBlock | DecoderBlock | DiscriminatorBlock, x: Tensor) -> Tensor:
    return conv2d(block.shortcut, x) if isinstance(block.shortcut, TrainedConv2d) else x


def encoder_block(block: EncoderBlock, x: Tensor) -> tuple:
    side = shortcut(block, x)
    x, *first = pono(conv2d(block.conv1, leaky_relu(instance_norm(block.norm1, x))))
    if block.downscale:
        x, side = F.avg_pool2d(x, 2), F.avg_pool2d(side, 2)
    x, *second = pono(conv2d(block.conv2, leaky_relu(instance_norm(block.norm2, x))))
    return residual_sum(x, side), first, second


def moment_shortcut(block: TrainedConv2d, x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    beta, gamma = conv2d(block, torch.cat([mean, std], dim=1)).chunk(2, dim=1)
    return x * gamma + beta


def decoder_block(
    block: DecoderBlock, x: Tensor, lr: Tensor, first: list, second: list, style: Tensor | None
) -> Tensor:
    side = shortcut(block, x)
    x = conv2d(block.conv1, leaky_relu(spadain(block.norm1, x, lr, style)))
    x = moment_shortcut(block.ms1.conv, x, *second)
    if block.upscale:
        x, side, lr = upsample(x), upsample(side), upsample(lr)
    x = conv2d(block.conv2, leaky_relu(spadain(block.norm2, x, lr, style)))
    return residual_sum(moment_shortcut(block.ms2.conv, x, *first), side)


def generate(network: I2ILRGenerator, source: Tensor, lr: Tensor) -> Tensor:
    """One call of the generator."""
    power_iteration(network)
    x, target, moments = conv2d(network.from_rgb, source), lr, []
    for block in network.encoder:
        x, first, second = encoder_block(cast(EncoderBlock, block), x)
        moments.append((first, second))
    style = None
    if network.style:
        std = (x.var((2, 3), correction=0) + 1e-6).sqrt()
        style = torch.cat([x.mean((2, 3)), std], dim=1)
    for i, block in enumerate(network.decoder):
        block_lr = upsample(lr, 2 ** (i - 1)) if i > 1 else lr
        x = decoder_block(cast(DecoderBlock, block), x, block_lr, *moments[-1 - i], style)
    x = conv2d(network.to_rgb.conv, leaky_relu(instance_norm(network.to_rgb.norm, x)))
    if network.exact is None:
        return x
    down, up = network.exact.matrices(network.lr_size)
    return x + up @ (target - down @ x @ down.T) @ up.T


def discriminator_block(block: DiscriminatorBlock, x: Tensor) -> Tensor:
    side = shortcut(block, x)
    x = conv2d(block.conv1, leaky_relu(x))
    if block.downscale:
        x, side = F.avg_pool2d(x, 2), F.avg_pool2d(side, 2)
    return residual_sum(conv2d(block.conv2, leaky_relu(x)), side)


def discriminate(network: LRResidualDiscriminator, image: Tensor, residual_map: Tensor) -> Tensor:
    """One call of the discriminator; its power iterations are the caller's."""
    x = conv2d(network.from_rgb, image)
    for block in network.blocks:
        x = discriminator_block(cast(DiscriminatorBlock, block), x)
    if network.residual:
        x = torch.cat([x, residual_map], dim=1)
    for block in (network.conditional, *network.tail):
        x = discriminator_block(cast(DiscriminatorBlock, block), x)
    return conv2d(network.to_logits, leaky_relu(conv2d(network.conv, leaky_relu(x))))


def judge_features(network: ProjectedDiscriminator, image: Tensor, residual_map: Tensor) -> Tensor:
    """One call of the projected discriminator; its power iterations are the caller's."""
    logits = []
    for head, x in zip(cast(list[ProjectedHead], list(network.heads)), network.features(image)):
        if network.residual:
            size = x.shape[-1]
            small = size < residual_map.shape[-1]
            fit = F.adaptive_avg_pool2d if small else F.interpolate
            x = torch.cat([x, fit(residual_map, size)], dim=1)
        for conv in cast(list[SNConv2d], list(head.convs)):
            x = conv2d(conv, x)
            x = leaky_relu(F.avg_pool2d(x, 2) if conv.pool else x)
        logits.append(conv2d(head.to_logits, x).flatten(1))
    return torch.cat(logits, dim=1)


def projected_loss(model: I2ILR, pairs: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """L_P over the pairs of :func:`discriminator_loss`."""
    network, loss = model.projected_discriminator, model.projected_loss
    total = torch.zeros((), device=pairs[0][0].device)
    for real, fake, lr in pairs:
        power_iteration(network)
        logits = judge_features(network, real, torch.zeros_like(lr))
        total = total + loss(logits, True, is_disc=True)
        maps = residual(fake.detach(), lr, model.lr_method)
        total = total + loss(judge_features(network, fake.detach(), maps), False, is_disc=True)
    return total


def judged(model: I2ILR, pairs: list) -> list:
    """The sets that the discriminator sees; the reconstructions are the last two."""
    return pairs if model.objective.judge_reconstructions else pairs[:2]


def discriminator_loss(model: I2ILR, pairs: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """L_D over (real, fake, LR target of the fake) each."""
    network = model.discriminator
    total = torch.zeros((), device=pairs[0][0].device)
    for real, fake, lr in pairs:
        real, fake = real.detach().clone().requires_grad_(), fake.detach()
        power_iteration(network)
        logits = discriminate(network, real, torch.zeros_like(lr))
        total = total + model.gan_loss(logits, True) + model.r1_loss(real, logits)
        power_iteration(network)
        logits = discriminate(network, fake, residual(fake, lr, model.lr_method))
        total = total + model.gan_loss(logits, False)
    return total


def generator_loss(model: I2ILR, pairs: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """L_G of the same sets; the discriminator is in eval mode, without power iterations."""
    total = torch.zeros((), device=pairs[0][0].device)
    for _, fake, lr in pairs:
        if model.lr_loss is not None:
            total = total + model.lr_loss(fake, lr) / len(pairs)
    for _, fake, lr in judged(model, pairs):
        logits = discriminate(model.discriminator, fake, residual(fake, lr, model.lr_method))
        total = total + model.gan_loss(logits, True)
        if model.projected_discriminator is not None:
            maps = residual(fake, lr, model.lr_method)
            logits = judge_features(model.projected_discriminator, fake, maps)
            total = total + model.projected_loss(logits, True, is_disc=False)
    for real, reconstruction, _ in pairs[2:]:
        total = total + model.cycle_loss(reconstruction, real)
    return total


class Recorder(torch.optim.SGD):
    """An optimiser that changes nothing and keeps the gradients it was given."""

    def __init__(self, params: Iterable[Tensor]) -> None:
        super().__init__(params, lr=0.0)
        self.steps: list[list[Tensor]] = []

    def step(self) -> None:  # type: ignore[override]
        self.steps.append([p.grad.clone() for g in self.param_groups for p in g['params']])


def recorders(model: I2ILR) -> tuple[OptimWrapperDict, dict[str, Recorder]]:
    """A recorder for each network: wrapped, for a step, and as they are."""
    names = ('generator', 'discriminator', 'projected_discriminator')
    networks = {name: getattr(model, name) for name in names if getattr(model, name) is not None}
    seen = {name: Recorder(network.parameters()) for name, network in networks.items()}
    return OptimWrapperDict(**{n: OptimWrapper(r) for n, r in seen.items()}), seen


def reference_step(
    model: I2ILR, wrappers: OptimWrapperDict, image: Tensor
) -> tuple[Tensor, Tensor]:
    """One training step by the published schedule; returns L_D and L_G.

    Args:
        model: Its generator, discriminator and losses are used and trained, its EMA moves.
        wrappers: Optimisers, as for ``I2ILR.train_step``.
        image: (B, 3, H, H) in [-1, 1], neighbours are pairs.
    """
    a, b = image[0::2].contiguous(), image[1::2].contiguous()
    size = model.generator.lr_size
    lr_a, lr_b = down(a, size, model.lr_method), down(b, size, model.lr_method)
    ab, ba = generate(model.generator, a, lr_b), generate(model.generator, b, lr_a)
    rec_a, rec_b = generate(model.generator, ab, lr_a), generate(model.generator, ba, lr_b)
    pairs = [(b, ab, lr_b), (a, ba, lr_a), (a, rec_a, lr_a), (b, rec_b, lr_b)]

    loss_d = discriminator_loss(model, judged(model, pairs))
    wrappers['discriminator'].update_params(loss_d)
    if model.projected_discriminator is not None:
        loss_p = projected_loss(model, judged(model, pairs))
        wrappers['projected_discriminator'].update_params(loss_p)
    loss_g = generator_loss(model, pairs)
    if model.source_loss is not None:
        sources = model.source_loss.sources(image)
        fakes = torch.stack([ab, ba], dim=1).flatten(0, 1)
        loss_g = loss_g + model.source_loss(fakes, *sources)
    wrappers['generator'].update_params(loss_g)
    for name in wrappers.keys():  # noqa: SIM118  (an OptimWrapperDict is no dict)
        wrappers[name].zero_grad()
    decay = decay_at(model.steps, model.ema_decay, model.ema_warmup)
    move_average(model.generator_ema, model.generator, decay)
    model.steps += 1
    return loss_d.detach(), loss_g.detach()
