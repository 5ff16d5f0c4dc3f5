"""The model: the schedule of one training step."""

from typing import Any

import torch
from mmagic.registry import MODELS
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor

from .convolutions import power_iteration, shared_weights
from .ema import decay_at, move_average
from .networks import Networks, synchronised, unwrap
from .objective import Objective, average, build_lr_loss, build_projected_loss, loss_sum, mean_loss
from .source import build_source_loss, of_size
from .target_draws import build_target_draws

Part = tuple[Tensor, Tensor]
"""Images and their LR pictures."""


@MODELS.register_module()
class I2ILR(Networks):
    """Image-to-image translation with low-resolution conditioning (arXiv 2107.11262).

    A training batch holds B images, B even; the neighbours (2i, 2i + 1) form the pairs (a, b) of
    the method. With every image translated towards its neighbour and back, one batched call gives
    ab and ba, a second one a' and b'.

    Attributes:
        generator: G; under distributed training its wrapper.
        discriminator: D; under distributed training its wrapper.
        projected_discriminator: A second discriminator, P, on frozen features; or None.
        generator_ema: Moving average of G, the network that predicts.

    Args:
        generator: Config of G.
        discriminator: Config of D.
        data_preprocessor: Config of the preprocessor.
        gan_loss: Config of the adversarial loss; its ``loss_weight`` applies to D and G.
        r1_loss: Config of the gradient penalty.
        cycle_loss: Config of the loss between a and a'.
        lr_loss: Config of the loss between down(fake) and its LR target; None leaves it out, as
            the published method does.
        projected_discriminator: Config of a second discriminator on frozen features, such as
            :class:`~i2ilr_mm.models.projected.ProjectedDiscriminator`; None has none, as published.
        projected_loss: Config of its adversarial loss, such as MMagic's ``GANLoss``.
        source_loss: Config of a loss that holds on to the source, such as
            :class:`~i2ilr_mm.models.source.ContrastiveSourceLoss`; None has none, as published.
        target_draws: Config of what a step asks for, see
            :class:`~i2ilr_mm.models.target_draws.TargetDraws`: LR sizes, free cells; None
            takes the data's LR pictures, as published.
        judge_reconstructions: Let D see the reconstructions a' and b' as fakes too, as published;
            False leaves them to the cycle loss, and every real half is then counted once.
        lr_method: The operator of the LR targets, see :func:`i2ilr_mm.lr.down`.
        ema_decay: Decay of the moving average.
        ema_warmup: Let the decay grow as min(ema_decay, (1 + t) / (10 + t)) over the updates t, so
            that short runs are not scored on a stale copy; False is the published average.
        autocast: None for float32 or 'bfloat16'; R1 and spectral norm stay in float32.
        accumulation: Parts that a batch is worked through in, to save memory: the same update (with
            the standard R1), for two more generator calls without a graph.
        compile: True, or options of ``torch.compile``, compiles G and D; what R1 goes through stays
            eager, for there are no compiled second derivatives.
        channels_last: Run all networks in the channels-last memory format.

    Raises:
        ValueError: If an option is unknown, or a training batch is odd.
    """

    def __init__(
        self,
        generator: dict,
        discriminator: dict,
        data_preprocessor: dict | None = None,
        gan_loss: dict | None = None,
        r1_loss: dict | None = None,
        cycle_loss: dict | None = None,
        lr_loss: dict | None = None,
        projected_discriminator: dict | None = None,
        projected_loss: dict | None = None,
        source_loss: dict | None = None,
        target_draws: dict | None = None,
        judge_reconstructions: bool = True,
        lr_method: str = 'box',
        ema_decay: float = 0.999,
        ema_warmup: bool = True,
        autocast: str | None = None,
        accumulation: int = 1,
        compile: bool | dict = False,
        channels_last: bool = False,
    ) -> None:
        networks = generator, discriminator, projected_discriminator
        super().__init__(*networks, data_preprocessor, lr_method, autocast, channels_last, compile)
        if not 0 <= ema_decay < 1:
            raise ValueError(f'ema_decay is {ema_decay}; it must be at least 0 and below 1')
        if accumulation < 1:
            raise ValueError(f'accumulation is {accumulation}; it counts parts, at least 1')
        self.ema_decay, self.ema_warmup = ema_decay, ema_warmup
        self.accumulation = accumulation
        self.steps = 0
        self.gan_loss = MODELS.build(gan_loss or dict(type='SoftplusGANLoss'))
        self.r1_loss = MODELS.build(r1_loss or dict(type='R1Penalty'))
        self.cycle_loss = MODELS.build(mean_loss('cycle_loss', cycle_loss or dict(type='L1Loss')))
        self.lr_loss = build_lr_loss(lr_loss, self.lr_method, self.exact)
        self.projected_loss = build_projected_loss(projected_loss, self.projected_discriminator)
        self.target_draws = build_target_draws(target_draws, self.generator, self.lr_method)
        self.source_loss: Any = None
        if source_loss is not None:
            config = self.with_lr_method('source_loss', source_loss)
            self.source_loss = build_source_loss(config, self.generator)
        self.objective = Objective(self, judge_reconstructions)

    def get_extra_state(self) -> Tensor:
        """The number of updates, kept in the state dict."""
        return torch.tensor(self.steps)

    def set_extra_state(self, state: Tensor) -> None:
        self.steps = int(state)

    def train_step(self, data: dict, optim_wrapper: OptimWrapperDict) -> dict[str, Tensor]:
        """Update D (and P), then G through the updated D and P, then the average of G.

        Args:
            data: Batch from the loader: ``inputs`` with ``img`` and ``lr``, B even.
            optim_wrapper: Holds 'generator', 'discriminator' and, with P,
                'projected_discriminator'.

        Returns:
            Scalars to log, without a graph.
        """
        return self.update(data, optim_wrapper, self.steps)

    def update(self, data: dict, optim_wrapper: OptimWrapperDict, step: int) -> dict[str, Tensor]:
        """:meth:`train_step` as number ``step``, counted from 0."""
        if not self.compiled:
            return self._update(data, optim_wrapper, step)
        torch.compiler.cudagraph_mark_step_begin()
        # A donated buffer could not be shared with the next pass through the same weights.
        with torch._functorch.config.patch(donated_buffer=False):
            return self._update(data, optim_wrapper, step)

    def _update(self, data: dict, optim_wrapper: OptimWrapperDict, step: int) -> dict[str, Tensor]:
        # D, then G through the updated D, as published. One power iteration for each weight a step:
        # all passes of the step see the same W / sigma, and its gradient is that of one function.
        inputs = self.data_preprocessor(data, True)['inputs']
        inputs['img'] = self.layout(inputs['img'])
        if self.target_draws is not None:
            inputs['lr'] = self.target_draws(inputs['img'], inputs['lr'], step)
        parts = self._parts(**inputs)
        power_iteration(self.generator)
        power_iteration(self.discriminator)
        sources = self._sources(**inputs)
        with shared_weights(self.generator):
            fakes, log = self._update_discriminator(parts, optim_wrapper['discriminator'], step)
            views = None
            if self.projected_discriminator is not None:
                wrapper = optim_wrapper['projected_discriminator']
                views, log_p = self._update_projected(parts, fakes, wrapper)
                log.update(log_p)
            # Fakes of several parts had no graph: one part's graph is all that is held at a time.
            fakes = fakes if len(parts) == 1 else [None] * len(parts)
            log_g = self._update_generator(parts, fakes, views, sources, optim_wrapper['generator'])
        decay = decay_at(step, self.ema_decay, self.ema_warmup)
        move_average(self.generator_ema, unwrap(self.generator), decay)
        self.steps = step + 1
        return {**log, **log_g}

    def _sources(self, img: Tensor, lr: Tensor) -> list[Part] | None:
        """Candidates of the whole batch for the source loss, and for each part its positives."""
        loss = of_size(self.source_loss, lr)
        if loss is None:
            return None
        with self.autocast():
            candidates, positives = loss.sources(img)
        return [(candidates, part) for part in positives.chunk(self.accumulation)]

    def _parts(self, img: Tensor, lr: Tensor) -> list[Part]:
        if len(img) % (2 * self.accumulation):
            raise ValueError(
                f'a training batch holds pairs, and this one has {len(img)} images for '
                f'{self.accumulation} part(s): set a batch_size per GPU that is a multiple of '
                f'{2 * self.accumulation}'
            )
        self.check_size(img)
        return list(zip(img.chunk(self.accumulation), lr.chunk(self.accumulation)))

    def _update_discriminator(
        self, parts: list[Part], wrapper: OptimWrapper, step: int
    ) -> tuple[list[Any], dict[str, Tensor]]:
        """One D step; returns the fakes of each part, with their graph unless there are several.

        The real part comes first and apart: its graph, which R1 makes large, is gone before the
        generator's begins.
        """
        network, logs, all_fakes = self.discriminator, [], []
        with shared_weights(network):
            for i, (image, lr) in enumerate(parts):
                with synchronised(network, last=False):
                    loss, log_real = self.objective.real(image, lr)
                    self._backward(wrapper, loss, retain_graph=True)
                    # And with it the graph, but for the shared weights.
                    del loss
                # The G step goes back through the same results, of the same G. Several parts would
                # hold all their graphs until then, so they are translated once more there.
                with torch.set_grad_enabled(len(parts) == 1):
                    all_fakes.append(self.translate_pairs(image, lr))
                last = i == len(parts) - 1
                with synchronised(network, last):
                    loss, log_fake = self.objective.fake(lr, *all_fakes[-1])
                    self._backward(wrapper, loss, retain_graph=not last)
                    del loss
                logs.append({**log_real, **log_fake})
        _apply(wrapper)
        log = average(logs)
        log['loss_d'] = loss_sum(log)
        if self.objective.lazy_r1_is_due(step):
            log['loss_r1'] = self._update_by_r1(parts, wrapper)
        return all_fakes, log

    def _update_projected(
        self, parts: list[Part], fakes: list[Part], wrapper: OptimWrapper
    ) -> tuple[list[Tensor] | None, dict[str, Tensor]]:
        """One P step; returns its features of the fakes, with their graph if there is one part."""
        network, logs, views = self.projected_discriminator, [], None
        power_iteration(network)
        with shared_weights(network):
            for i, ((image, lr), part) in enumerate(zip(parts, fakes)):
                last = i == len(parts) - 1
                with torch.set_grad_enabled(len(parts) == 1):
                    views = self.view(self.objective.judged(*part))
                with synchronised(network, last):
                    loss, log = self.objective.projected(image, lr, *part, views)
                    self._backward(wrapper, loss, retain_graph=not last)
                    del loss
                logs.append(log)
        _apply(wrapper)
        log = average(logs)
        log['loss_p'] = loss_sum(log)
        return views if len(parts) == 1 else None, log

    def _update_generator(
        self,
        parts: list[Part],
        fakes: list[Any],
        views: list[Tensor] | None,
        sources: list[Part] | None,
        wrapper: OptimWrapper,
    ) -> dict[str, Tensor]:
        """One G step through the updated D and P; makes the fakes again where they are missing."""
        logs = []
        with self.frozen_judges():
            for i, (image, lr) in enumerate(parts):
                last = i == len(parts) - 1
                with synchronised(self.generator, last):
                    fake, reconstruction = fakes[i] or self.translate_pairs(image, lr)
                    source_part = sources[i] if sources else None
                    loss, log = self.objective.generator(
                        image, lr, fake, reconstruction, views, source_part
                    )
                    # Names keep tensors alive: without them, the backward pass frees the graph as
                    # it goes.
                    del fake, reconstruction
                    fakes[i] = views = None
                    self._backward(wrapper, loss, retain_graph=not last)
                    del loss
                logs.append(log)
        _apply(wrapper)
        return average(logs)

    def _backward(self, wrapper: OptimWrapper, loss: Tensor, retain_graph: bool = False) -> None:
        # All parts are of one size, so the batch's mean is M = 1/k sum_j M_j over its k parts.
        wrapper.backward(loss / self.accumulation, retain_graph=retain_graph)

    def _update_by_r1(self, parts: list[Part], wrapper: OptimWrapper) -> Tensor:
        """The step of lazy regularisation: D follows R1 alone, times the interval."""
        # Karras et al. 2020, appendix B: k R1 in every k-th step is R1 in every step on average.
        network, penalties = self.discriminator, []
        with shared_weights(network):
            for i, (image, lr) in enumerate(parts):
                last = i == len(parts) - 1
                with synchronised(network, last):
                    penalty = self.objective.r1(image, lr)
                    # R1 need not reach the biases, and DDP waits for every parameter.
                    idle = 0 * torch.cat([p for p in network.parameters() if p.ndim == 1]).sum()
                    penalties.append(penalty.detach())
                    loss = penalty * self.objective.r1_interval + idle
                    self._backward(wrapper, loss, retain_graph=not last)
                    del loss, penalty, idle
        _apply(wrapper)
        return torch.stack(penalties).mean()


def _apply(wrapper: OptimWrapper) -> None:
    wrapper.step()
    wrapper.zero_grad()
