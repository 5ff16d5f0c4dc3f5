"""The published training step written out: the oracle of the benchmark and of the tests.

Four generator calls, eight discriminator calls and four more for the generator's loss; every call
normalises the weights anew; a convolution first, the average over 2 x 2 pixels after it. It runs on
the networks and losses of an I2ILR model, so that both can be given the same weights.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor

from i2ilr_mm.lr import down, residual
from i2ilr_mm.models import I2ILR, I2ILRGenerator, LRResidualDiscriminator
from i2ilr_mm.models.layers import (
    DecoderBlock,
    DiscriminatorBlock,
    EncoderBlock,
    SNConv2d,
    leaky_relu,
    power_iteration,
    residual_sum,
    upsample,
)


def conv2d(conv: SNConv2d, x: Tensor) -> Tensor:
    """A spectrally normalised convolution as torch.nn.utils.spectral_norm computes it."""
    u, v = conv.weight_u.clone(), conv.weight_v.clone()
    sigma = torch.dot(u, conv.weight_orig.flatten(1) @ v)
    return F.conv2d(x, conv.weight_orig / sigma, conv.bias, padding=conv.padding)


def shortcut(block: EncoderBlock | DecoderBlock | DiscriminatorBlock, x: Tensor) -> Tensor:
    return conv2d(block.shortcut, x) if isinstance(block.shortcut, SNConv2d) else x


def encoder_block(block: EncoderBlock, x: Tensor) -> tuple:
    side = shortcut(block, x)
    x, *first = block.pono(conv2d(block.conv1, leaky_relu(block.norm1(x))))
    if block.downscale:
        x, side = F.avg_pool2d(x, 2), F.avg_pool2d(side, 2)
    x, *second = block.pono(conv2d(block.conv2, leaky_relu(block.norm2(x))))
    return residual_sum(x, side), first, second


def moment_shortcut(block: SNConv2d, x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    beta, gamma = conv2d(block, torch.cat([mean, std], dim=1)).chunk(2, dim=1)
    return x * gamma + beta


def decoder_block(block: DecoderBlock, x: Tensor, lr: Tensor, first: list, second: list) -> Tensor:
    side = shortcut(block, x)
    x = conv2d(block.conv1, leaky_relu(block.norm1(x, lr)))
    x = moment_shortcut(block.ms1.conv, x, *second)
    if block.upscale:
        x, side, lr = upsample(x), upsample(side), upsample(lr)
    x = conv2d(block.conv2, leaky_relu(block.norm2(x, lr)))
    return residual_sum(moment_shortcut(block.ms2.conv, x, *first), side)


def generate(network: I2ILRGenerator, source: Tensor, lr: Tensor) -> Tensor:
    """One call of the generator."""
    power_iteration(network)
    x, moments = conv2d(network.from_rgb, source), []
    for block in network.encoder:
        x, first, second = encoder_block(block, x)
        moments.append((first, second))
    for i, block in enumerate(network.decoder):
        x = decoder_block(block, x, upsample(lr, 2 ** (i - 1)) if i > 1 else lr, *moments[-1 - i])
    return conv2d(network.to_rgb.conv, leaky_relu(network.to_rgb.norm(x)))


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
        x = discriminator_block(block, x)
    x = torch.cat([x, residual_map], dim=1)
    for block in (network.conditional, *network.tail):
        x = discriminator_block(block, x)
    return conv2d(network.to_logits, leaky_relu(conv2d(network.conv, leaky_relu(x))))


def judged(model: I2ILR, pairs: list) -> list:
    """The sets that the discriminator sees; the reconstructions are the last two."""
    return pairs if model.judge_reconstructions else pairs[:2]


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
    networks = dict(generator=model.generator, discriminator=model.discriminator)
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
    loss_g = generator_loss(model, pairs)
    wrappers['generator'].update_params(loss_g)
    wrappers['discriminator'].zero_grad()
    model.update_ema()
    return loss_d.detach(), loss_g.detach()
