"""The model: what one training step computes, and the one way to predict."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from mmagic.models.data_preprocessors import DataPreprocessor
from mmagic.registry import MODELS
from mmagic.structures import DataSample
from mmengine.model import BaseModel, is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor, nn

from ..lr import DOWN_METHODS, GREY_LEVELS, check_choice, down, residual, to_uint8
from .convolutions import power_iteration, shared_weights, use_channels_last
from .functional import twice_differentiable

AUTOCAST_DTYPES = (None, 'bfloat16')


def swap_pairs(batch: Tensor) -> Tensor:
    """Exchange the neighbours (2i, 2i + 1) of a batch (B, ...), B even."""
    return batch.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)


def unwrap(network: nn.Module | None) -> Any:
    """The network or model inside its distributed wrapper, if it has one; None stays None."""
    return network.module if is_model_wrapper(network) else network  # type: ignore[union-attr]


def _total(**parts: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The sum, and the parts without their graphs."""
    return torch.stack(list(parts.values())).sum(), {k: v.detach() for k, v in parts.items()}


def _mean(logs: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    if len(logs) == 1:
        return logs[0]
    return {name: torch.stack([log[name] for log in logs]).mean() for name in logs[0]}


def synchronised(network: Any, last: bool) -> AbstractContextManager:
    """Exchange gradients between the ranks in the last backward pass before an update only."""
    return nullcontext() if last or not is_model_wrapper(network) else network.no_sync()


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """No gradients for the parameters of ``network``."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


@MODELS.register_module()
class I2ILR(BaseModel):
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
        judge_reconstructions: bool = True,
        lr_method: str = 'box',
        ema_decay: float = 0.999,
        ema_warmup: bool = True,
        autocast: str | None = None,
        accumulation: int = 1,
        compile: bool | dict = False,
        channels_last: bool = False,
    ) -> None:
        preprocessor = MODELS.build(data_preprocessor or dict(type='I2ILRPreprocessor'))
        if isinstance(preprocessor, DataPreprocessor):
            raise ValueError(
                "data_preprocessor is MMagic's DataPreprocessor, which hands pictures on in other "
                "ranges and BGR; set data_preprocessor=dict(type='I2ILRPreprocessor')"
            )
        super().__init__(data_preprocessor=preprocessor)
        if autocast not in AUTOCAST_DTYPES:
            raise ValueError(f"autocast is '{autocast}'; accepted are None and 'bfloat16'")
        if not 0 <= ema_decay < 1:
            raise ValueError(f'ema_decay is {ema_decay}; it must be at least 0 and below 1')
        if not isinstance(channels_last, bool):
            raise ValueError(f'channels_last is {channels_last!r}; accepted are True and False')
        if not isinstance(compile, (bool, dict)):
            raise ValueError(
                f'compile is {compile!r}; accepted are True, False and a dict of options'
            )
        if not isinstance(judge_reconstructions, bool):
            raise ValueError(
                f'judge_reconstructions is {judge_reconstructions!r}; accepted are True and False'
            )
        if accumulation < 1:
            raise ValueError(f'accumulation is {accumulation}; it counts parts, at least 1')
        for name, loss in (('lr_loss', lr_loss), ('cycle_loss', cycle_loss)):
            reduction = (loss or {}).get('reduction', 'mean')
            if reduction != 'mean':
                raise ValueError(
                    f"{name} has reduction='{reduction}'; a training loss needs 'mean': a sum "
                    f'would change with the batch, its parts and the number of GPUs'
                )
        check_choice('lr_method', lr_method, DOWN_METHODS)
        self.lr_method = lr_method
        generator = self._with_lr_method('generator', generator)
        self.generator = MODELS.build(generator)
        self.discriminator = MODELS.build(discriminator)
        self.generator_ema = MODELS.build(generator).requires_grad_(False)
        self.generator_ema.load_state_dict(self.generator.state_dict())
        self.gan_loss = MODELS.build(gan_loss or dict(type='SoftplusGANLoss'))
        self.r1_loss = MODELS.build(r1_loss or dict(type='R1Penalty'))
        self.cycle_loss = MODELS.build(cycle_loss or dict(type='L1Loss', loss_weight=1.0))
        self.lr_loss = None
        if lr_loss:
            self.lr_loss = MODELS.build(lr_loss, default_args=dict(method=lr_method))
        self._build_frozen_parts(projected_discriminator, projected_loss, source_loss)
        self._check_exact(lr_loss)
        if channels_last:
            use_channels_last(self)
        self.judge_reconstructions = judge_reconstructions
        self.ema_decay, self.ema_warmup = ema_decay, ema_warmup
        self.ema_updates = 0
        self.autocast_dtype = getattr(torch, autocast) if autocast else None
        self.accumulation, self.channels_last = accumulation, channels_last
        self.compiled = compile is not False
        if self.compiled:
            options = compile if isinstance(compile, dict) else {}
            self.generator.compile(**options)
            self.discriminator.compile(**options)
            if self.projected_discriminator is not None:
                self.projected_discriminator.compile(**options)
                self.projected_discriminator.network.compile(**options)

    def _with_lr_method(self, name: str, config: dict) -> dict:
        """The config of a part that has an exact LR layer, with the model's LR operator.

        Raises:
            ValueError: If it asks for another operator.
        """
        if name == 'generator' and config.get('exact_lr') is None:
            return config
        given = config.get('lr_method', self.lr_method)
        if given != self.lr_method:
            raise ValueError(
                f"{name}.lr_method is '{given}', and the model's lr_method is '{self.lr_method}': "
                f'set lr_method at the top level of the config, which reaches both'
            )
        return {**config, 'lr_method': given}

    def _check_exact(self, lr_loss: dict | None) -> None:
        """Refuse what an exact LR layer leaves without effect.

        Raises:
            ValueError: Says which option.
        """
        if getattr(self.generator, 'exact', None) is None:
            return
        if lr_loss:
            raise ValueError(
                'lr_loss has no effect on a generator with exact_lr, whose results meet their LR '
                'target: set lr_loss=None, or generator.exact_lr=None'
            )
        for name in ('discriminator', 'projected_discriminator'):
            if getattr(getattr(self, name), 'residual', False):
                raise ValueError(
                    f'{name}.residual=True has no effect beside a generator with exact_lr, whose '
                    f'results have no residual: set {name}.residual=False, or '
                    f'generator.exact_lr=None'
                )

    def _build_frozen_parts(
        self, discriminator: dict | None, loss: dict | None, source_loss: dict | None
    ) -> None:
        """The parts that look through a frozen network."""
        if (discriminator is None) != (loss is None):
            raise ValueError(
                'projected_discriminator and projected_loss belong together: set both, such as '
                "projected_loss=dict(type='GANLoss', gan_type='hinge', loss_weight=0.25), or none"
            )
        self.projected_discriminator: Any = None
        self.projected_loss: Any = None
        self.source_loss: Any = None
        if discriminator is not None:
            self.projected_discriminator = MODELS.build(discriminator)
            self.projected_loss = MODELS.build(loss)
        if source_loss is not None:
            self.source_loss = MODELS.build(self._with_lr_method('source_loss', source_loss))

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The same names with and without distributed wrappers around the networks.

        MMEngine would store 'generator.module.*' on many GPUs, and its own loading, which looks
        inside the wrappers, would then find none of it.
        """
        state = super().state_dict(*args, **kwargs)
        for name in [name for name in state if '.module.' in name]:
            state[name.replace('.module.', '.', 1)] = state.pop(name)
        return state

    def get_extra_state(self) -> Tensor:
        """The number of EMA updates, kept in the state dict."""
        return torch.tensor(self.ema_updates)

    def set_extra_state(self, state: Tensor) -> None:
        self.ema_updates = int(state)

    def _autocast(self) -> torch.autocast:
        device = next(self.parameters()).device.type
        dtype = self.autocast_dtype
        return torch.autocast(device, dtype=dtype, enabled=dtype is not None)

    # Training

    def train_step(self, data: dict, optim_wrapper: OptimWrapperDict) -> dict[str, Tensor]:
        """Update D (and P), then G through what they have become, then the average of G.

        Args:
            data: Batch from the loader: ``inputs`` with ``img`` and ``lr``, B even.
            optim_wrapper: Holds 'generator', 'discriminator' and, with P,
                'projected_discriminator'.

        Returns:
            Scalars to log, without a graph.
        """
        if not self.compiled:
            return self._train_step(data, optim_wrapper)
        torch.compiler.cudagraph_mark_step_begin()
        # A donated buffer could not be shared with the next pass through the same weights.
        with torch._functorch.config.patch(donated_buffer=False):
            return self._train_step(data, optim_wrapper)

    def _train_step(self, data: dict, optim_wrapper: OptimWrapperDict) -> dict[str, Tensor]:
        inputs = self.data_preprocessor(data, True)['inputs']
        inputs['img'] = self._layout(inputs['img'])
        parts = self._parts(**inputs)
        power_iteration(self.generator)
        power_iteration(self.discriminator)
        sources = self._sources(inputs['img'])
        with shared_weights(self.generator):
            fakes, log = self._update_discriminator(parts, optim_wrapper['discriminator'])
            views = None
            if self.projected_discriminator is not None:
                wrapper = optim_wrapper['projected_discriminator']
                views, log_p = self._update_projected(parts, fakes, wrapper)
                log.update(log_p)
            if len(parts) > 1:
                fakes = [None] * len(parts)  # these had no graph
            log_g = self._update_generator(parts, fakes, views, sources, optim_wrapper['generator'])
        self.update_ema()
        return {**log, **log_g}

    def _sources(self, image: Tensor) -> list[tuple[Tensor, Tensor]] | None:
        """What the source loss has to know of the whole batch, for each part."""
        if self.source_loss is None:
            return None
        with self._autocast():
            candidates, own = self.source_loss.sources(image)
        return [(candidates, part) for part in own.chunk(self.accumulation)]

    def _parts(self, img: Tensor, lr: Tensor) -> list[tuple[Tensor, Tensor]]:
        if len(img) % (2 * self.accumulation):
            raise ValueError(
                f'a training batch holds pairs, and this one has {len(img)} images for '
                f'{self.accumulation} part(s): set a batch_size per GPU that is a multiple of '
                f'{2 * self.accumulation}'
            )
        return list(zip(img.chunk(self.accumulation), lr.chunk(self.accumulation)))

    def _update_discriminator(
        self, parts: list[tuple[Tensor, Tensor]], wrapper: OptimWrapper
    ) -> tuple[list[Any], dict[str, Tensor]]:
        """One D step; returns the fakes of each part, with their graph unless there are several.

        The real part comes first and apart: its graph, which R1 makes large, is gone before the
        generator's begins.
        """
        network, logs, made = self.discriminator, [], []
        with shared_weights(network):
            for i, (image, lr) in enumerate(parts):
                with synchronised(network, last=False):
                    loss, log_real = self.real_loss(image, lr)
                    self._backward(wrapper, loss, retain_graph=True)
                    del loss  # and with it the graph, but for the shared weights
                with torch.set_grad_enabled(len(parts) == 1):
                    fakes = self.translate_pairs(image, lr)
                made.append(fakes)
                last = i == len(parts) - 1
                with synchronised(network, last):
                    loss, log_fake = self.fake_loss(lr, *fakes)
                    self._backward(wrapper, loss, retain_graph=not last)
                    del loss
                logs.append({**log_real, **log_fake})
        wrapper.step()
        wrapper.zero_grad()
        log = _mean(logs)
        log['loss_d'] = torch.stack([v for k, v in log.items() if k.startswith('loss')]).sum()
        if self._lazy_r1_is_due():
            log['loss_r1'] = self._update_by_r1(parts, wrapper)
        return made, log

    def _update_projected(
        self,
        parts: list[tuple[Tensor, Tensor]],
        fakes: list[tuple[Tensor, Tensor]],
        wrapper: OptimWrapper,
    ) -> tuple[list[Tensor] | None, dict[str, Tensor]]:
        """One P step; returns its features of the fakes, with their graph if there is one part."""
        network, logs, views = self.projected_discriminator, [], None
        power_iteration(network)
        with shared_weights(network):
            for i, ((image, lr), part) in enumerate(zip(parts, fakes)):
                last = i == len(parts) - 1
                with torch.set_grad_enabled(len(parts) == 1):
                    views = self._view(self._judged(*part))
                with synchronised(network, last):
                    loss, log = self.projected_discriminator_loss(image, lr, *part, views)
                    self._backward(wrapper, loss, retain_graph=not last)
                    del loss
                logs.append(log)
        wrapper.step()
        wrapper.zero_grad()
        log = _mean(logs)
        log['loss_p'] = torch.stack([v for k, v in log.items() if k.startswith('loss')]).sum()
        return views if len(parts) == 1 else None, log

    def _update_generator(
        self,
        parts: list[tuple[Tensor, Tensor]],
        fakes: list[Any],
        views: list[Tensor] | None,
        sources: list[tuple[Tensor, Tensor]] | None,
        wrapper: OptimWrapper,
    ) -> dict[str, Tensor]:
        """One G step through the updated D and P; makes the fakes anew where there are none."""
        logs = []
        judges = [n for n in (self.discriminator, self.projected_discriminator) if n is not None]
        with ExitStack() as stack:
            for network in judges:
                stack.enter_context(frozen(network))
                stack.enter_context(shared_weights(network))
                # Or DDP would wait for gradients of the frozen network, into the next step.
                stack.enter_context(synchronised(network, last=False))
            for i, (image, lr) in enumerate(parts):
                last = i == len(parts) - 1
                with synchronised(self.generator, last):
                    fake, reconstruction = fakes[i] or self.translate_pairs(image, lr)
                    own = sources[i] if sources else None
                    loss, log = self.generator_loss(image, lr, fake, reconstruction, views, own)
                    del fake, reconstruction
                    fakes[i] = views = None
                    self._backward(wrapper, loss, retain_graph=not last)
                    del loss
                logs.append(log)
        wrapper.step()
        wrapper.zero_grad()
        return _mean(logs)

    def _backward(self, wrapper: OptimWrapper, loss: Tensor, retain_graph: bool = False) -> None:
        wrapper.backward(loss / self.accumulation, retain_graph=retain_graph)

    def _lazy_r1_is_due(self) -> bool:
        return self.r1_interval > 1 and self.ema_updates % self.r1_interval == 0

    def _update_by_r1(self, parts: list[tuple[Tensor, Tensor]], wrapper: OptimWrapper) -> Tensor:
        """The step of lazy regularisation: D follows R1 alone, times the interval."""
        network, penalties = self.discriminator, []
        with shared_weights(network):
            for i, (image, lr) in enumerate(parts):
                last = i == len(parts) - 1
                with synchronised(network, last):
                    penalty = self._r1(*self._real_logits(image, lr))
                    # R1 need not reach the biases, and DDP waits for every parameter.
                    idle = 0 * torch.cat([p for p in network.parameters() if p.ndim == 1]).sum()
                    penalties.append(penalty.detach())
                    loss = penalty * self.r1_interval + idle
                    self._backward(wrapper, loss, retain_graph=not last)
                    del loss, penalty, idle
        wrapper.step()
        wrapper.zero_grad()
        return torch.stack(penalties).mean()

    def translate_pairs(self, image: Tensor, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Translate every image towards its neighbour's LR picture, and back.

        Args:
            image: (B, 3, H, W), neighbours are pairs.
            lr: (B, 3, s, s), the LR pictures of ``image``.

        Returns:
            (ab, ba) and (a', b'), each interleaved like the batch, (B, 3, H, W).
        """
        with self._autocast():
            fake = self.generator(image, swap_pairs(lr))
            reconstruction = self.generator(fake, lr)
        return fake.to(image.dtype), reconstruction.to(image.dtype)

    def _layout(self, image: Tensor) -> Tensor:
        return image.contiguous(memory_format=torch.channels_last) if self.channels_last else image

    def _real_logits(self, image: Tensor, lr: Tensor) -> tuple[Tensor, Tensor]:
        """The images as leaves of the graph, and their logits; eager and in float32 for R1."""
        image = self._layout(image).detach().requires_grad_()
        eager = torch.compiler.set_stance('force_eager') if self.compiled else nullcontext()
        with twice_differentiable(), eager:
            return image, self.discriminator(image, torch.zeros_like(lr))

    def _fake_logits(self, fake: Tensor, lr: Tensor) -> Tensor:
        with self._autocast():
            logits = self.discriminator(self._layout(fake), self._residual(fake, lr))
        return logits.to(fake.dtype)

    def _residual(self, fake: Tensor, lr: Tensor) -> Tensor | None:
        """The residual map, where a discriminator asks for it."""
        judges = unwrap(self.discriminator), unwrap(self.projected_discriminator)
        if not any(getattr(network, 'residual', network is not None) for network in judges):
            return None
        return residual(fake, lr, self.lr_method)

    def _view(self, image: Tensor) -> list[Tensor]:
        """P's features of pictures."""
        with self._autocast():
            return unwrap(self.projected_discriminator).features(self._layout(image))

    def _projected_logits(self, views: list[Tensor], residual: Tensor | None) -> Tensor:
        with self._autocast():
            return self.projected_discriminator(views, residual)

    def projected_discriminator_loss(
        self,
        image: Tensor,
        lr: Tensor,
        fake: Tensor,
        reconstruction: Tensor,
        views: list[Tensor],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """L_P: the sets and factors of L_D, by P's own loss and without R1.

        Args:
            image: (B, 3, H, W) in [-1, 1], neighbours are pairs.
            lr: (B, 3, s, s), the LR pictures of ``image``.
            fake: Results of :meth:`translate_pairs`.
            reconstruction: The same.
            views: P's features of the results that are judged.

        Returns:
            The loss, and its parts without a graph.
        """
        with torch.no_grad():
            real_views = self._view(image)
            targets = self._judged(swap_pairs(lr), lr)
            maps = self._residual(self._judged(fake, reconstruction), targets)
        both = [torch.cat([real, made.detach()]) for real, made in zip(real_views, views)]
        if maps is not None:
            maps = torch.cat([torch.zeros_like(lr), maps])
        logits = self._projected_logits(both, maps).to(image.dtype).split(len(lr))
        loss = self.projected_loss
        parts = dict(loss_p_real=self._terms * loss(logits[0], True, is_disc=True))
        for name, made in zip(('loss_p_fake', 'loss_p_rec'), logits[1:]):
            parts[name] = 2 * loss(made, False, is_disc=True)
        return _total(**parts)

    def real_loss(self, image: Tensor, lr: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The half of L_D that sees real images, with R1 unless that is lazy.

        I2I-LR sums means over half batches and pairs both real halves with two fake sets each.
        A mean over the whole batch is half the sum over both halves, hence the factors: 4 for
        reals (two halves, each once per fake set), 2 for fakes and for reconstructions. Without
        ``judge_reconstructions`` these are 2, 2 and none.

        Args:
            image: (B, 3, H, W) in [-1, 1], neighbours are pairs.
            lr: (B, 3, s, s), the LR pictures of ``image``.

        Returns:
            The loss, and its parts without a graph.
        """
        if self.r1_interval > 1:
            with self._autocast():
                logits = self.discriminator(self._layout(image), torch.zeros_like(lr))
            loss = self.gan_loss(logits.to(image.dtype), True, is_disc=True)
            return _total(loss_d_real=self._terms * loss)
        image, logits = self._real_logits(image, lr)
        r1 = self._r1(image, logits)
        loss = self._terms * self.gan_loss(logits, True, is_disc=True)
        return _total(loss_d_real=loss, loss_r1=r1)

    @property
    def _terms(self) -> int:
        """Terms in the sums of L_D and L_G: one for every fake set of a half batch."""
        return 4 if self.judge_reconstructions else 2

    def _judged(self, *sets: Tensor) -> Tensor:
        """Of (fakes, reconstructions), or of what belongs to them, the sets that D sees."""
        return torch.cat(sets if self.judge_reconstructions else sets[:1])

    def fake_loss(
        self, lr: Tensor, fake: Tensor, reconstruction: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The half of L_D that sees the results of :meth:`translate_pairs`; as real_loss."""
        fakes = self._judged(fake, reconstruction).detach()
        logits = self._fake_logits(fakes, self._judged(swap_pairs(lr), lr)).split(len(lr))
        names = ('loss_d_fake', 'loss_d_rec')
        return _total(
            **{k: 2 * self.gan_loss(v, False, is_disc=True) for k, v in zip(names, logits)}
        )

    def _r1(self, image: Tensor, logits: Tensor) -> Tensor:
        """R1 of both real halves, each counted once per fake set."""
        factor = float(self._terms)
        if getattr(self.r1_loss, 'mode', 'standard') == 'reference':
            # The published penalty differentiates the mean over a half batch, not the whole one.
            factor *= 4.0
        return factor * self.r1_loss(image, logits)

    @property
    def r1_interval(self) -> int:
        """Steps from one R1 to the next."""
        return getattr(self.r1_loss, 'interval', 1)

    def generator_loss(
        self,
        image: Tensor,
        lr: Tensor,
        fake: Tensor,
        reconstruction: Tensor,
        views: list[Tensor] | None = None,
        sources: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """L_G of the four fake sets of I2I-LR, and its parts; factors as for L_D.

        Args:
            image: (B, 3, H, W) in [-1, 1], neighbours are pairs.
            lr: (B, 3, s, s), the LR pictures of ``image``.
            fake: Results of :meth:`translate_pairs`.
            reconstruction: The same.
            views: P's features of the results that are judged, if they are known.
            sources: What the source loss knows of the batch; without it that loss is left out.

        Returns:
            The loss, and its parts without a graph.
        """
        judged, targets = self._judged(fake, reconstruction), self._judged(swap_pairs(lr), lr)
        logits = self._fake_logits(judged, targets)
        parts = dict(
            loss_g_gan=self._terms * self.gan_loss(logits, True, is_disc=False),
            loss_g_cycle=2 * self.cycle_loss(reconstruction, image),
        )
        if self.projected_discriminator is not None:
            views = self._view(judged) if views is None else views
            logits = self._projected_logits(views, self._residual(judged, targets)).to(fake.dtype)
            loss = self.projected_loss(logits, True, is_disc=False)
            parts['loss_g_projected'] = self._terms * loss
        if sources is not None:
            with self._autocast():
                parts['loss_g_source'] = self.source_loss(self._layout(fake), *sources)
        if self.lr_loss is not None:
            fakes, targets = torch.cat([fake, reconstruction]), torch.cat([swap_pairs(lr), lr])
            parts['loss_g_lr'] = self.lr_loss(fakes, targets)
        loss, log = _total(**parts)
        return loss, dict(
            loss_g=loss.detach(), **log, lr_error=self._lr_error(fake, swap_pairs(lr))
        )

    @torch.no_grad()
    def _lr_error(self, fake: Tensor, lr: Tensor) -> Tensor:
        """Mean distance from the LR target in grey levels of 255."""
        shrunk = down(fake.clamp(-1, 1), lr.shape[-1], self.lr_method)
        return (shrunk - lr).abs().mean() * GREY_LEVELS

    @torch.no_grad()
    def update_ema(self) -> None:
        """Move the average towards G; the spectral-norm vectors are copied, not averaged."""
        live = unwrap(self.generator)
        t = self.ema_updates
        decay = min(self.ema_decay, (1 + t) / (10 + t)) if self.ema_warmup else self.ema_decay
        averages: list[Tensor] = list(self.generator_ema.parameters())
        torch._foreach_lerp_(averages, list(live.parameters()), 1 - decay)
        torch._foreach_copy_(list(self.generator_ema.buffers()), list(live.buffers()))
        self.ema_updates += 1

    # Prediction

    @torch.no_grad()
    def predict(self, source: Tensor, lr: Tensor, network: str = 'generator_ema') -> Tensor:
        """Translate sources towards LR targets; as every prediction does.

        Args:
            source: (B, 3, H, W) in [-1, 1].
            lr: (B, 3, s, s) in [-1, 1].
            network: 'generator_ema' or 'generator'.

        Returns:
            (B, 3, H, W) in [-1, 1], clamped, of the source's dtype.
        """
        return self._translate(source, lr, network).clamp(-1, 1)

    def _translate(self, source: Tensor, lr: Tensor, network: str) -> Tensor:
        net = unwrap(getattr(self, network))
        with self._autocast():
            return net(self._layout(source), lr).to(source.dtype)

    @torch.no_grad()
    def val_step(self, data: dict) -> list[DataSample]:
        """Predict a batch of (source, LR target) pairs with the EMA generator.

        Returns:
            One DataSample per pair: ``fake_img`` (3, H, W) uint8 RGB, ``lr`` (3, s, s) in [-1, 1],
            and what the loader said of the pair.

        Raises:
            ValueError: If the results are not finite.
        """
        data = self.data_preprocessor(data, False)
        inputs = data['inputs']
        results = self._translate(inputs['img'], inputs['lr'], 'generator_ema')
        if not results.isfinite().all():  # before clamping, which hides infinity
            raise ValueError(
                'the EMA generator gives values that are not finite: its weights or its training '
                'are broken; go back to an earlier checkpoint'
            )
        fakes = to_uint8(results)
        samples = data.get('data_samples') or [DataSample() for _ in fakes]
        for sample, fake, lr in zip(samples, fakes, inputs['lr']):
            sample.fake_img = fake
            sample.lr = lr
        return samples

    def test_step(self, data: dict) -> list[DataSample]:
        """The same as :meth:`val_step`."""
        return self.val_step(data)

    def forward(self, inputs: dict, data_samples: Any = None, mode: str = 'tensor') -> Tensor:
        """Raw generator output for ``inputs`` with ``img`` and ``lr``; mode is MMEngine's."""
        if mode != 'tensor':
            raise ValueError(f"mode is '{mode}'; accepted is 'tensor'; for results call val_step")
        return self.generator(inputs['img'], inputs['lr'])
