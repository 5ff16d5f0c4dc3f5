"""The networks of I2I-LR, the passes through them, and the one way to predict."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from mmagic.registry import MODELS
from mmagic.structures import DataSample
from mmengine.model import BaseModel, is_model_wrapper
from torch import Tensor, nn

from ..lr import DOWN_METHODS, check_choice, residual, to_uint8
from .convolutions import shared_weights, twice_differentiable, use_channels_last

AUTOCAST_DTYPES = (None, 'bfloat16')


def swap_pairs(batch: Tensor) -> Tensor:
    """Exchange the neighbours (2i, 2i + 1) of a batch (B, ...), B even."""
    # (a1, b1, a2, b2, ...) -> (b1, a1, b2, a2, ...): with it, one call of G makes ab and ba.
    return batch.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)


def unwrap(network: nn.Module | None) -> Any:
    """The network or model inside its distributed wrapper, if it has one; None stays None."""
    return network.module if is_model_wrapper(network) else network  # type: ignore[union-attr]


def synchronised(network: Any, last: bool) -> AbstractContextManager:
    """Exchange gradients between the ranks in the last backward pass before an update only."""
    return nullcontext() if last or not is_model_wrapper(network) else network.no_sync()


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """No gradients for the parameters of ``network``."""
    # The graph still runs through its activations, towards G; what is saved is the weights' part.
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def _check_options(lr_method: str, autocast: Any, channels_last: Any, compile: Any) -> None:
    if autocast not in AUTOCAST_DTYPES:
        raise ValueError(f"autocast is '{autocast}'; accepted are None and 'bfloat16'")
    if not isinstance(channels_last, bool):
        raise ValueError(f'channels_last is {channels_last!r}; accepted are True and False')
    if not isinstance(compile, (bool, dict)):
        raise ValueError(f'compile is {compile!r}; accepted are True, False and a dict of options')
    check_choice('lr_method', lr_method, DOWN_METHODS)


class Networks(BaseModel):
    """G, D, P and the average of G: how they are built, run and stored, and how they predict.

    Base of :class:`~i2ilr_mm.models.i2ilr.I2ILR`, which has the arguments in full.
    """

    def __init__(
        self,
        generator: dict,
        discriminator: dict,
        projected_discriminator: dict | None,
        data_preprocessor: dict | None,
        lr_method: str,
        autocast: str | None,
        channels_last: bool,
        compile: bool | dict,
    ) -> None:
        preprocessor = MODELS.build(data_preprocessor or dict(type='I2ILRPreprocessor'))
        super().__init__(data_preprocessor=preprocessor)
        _check_options(lr_method, autocast, channels_last, compile)
        self.lr_method, self.channels_last = lr_method, channels_last
        self.autocast_dtype = getattr(torch, autocast) if autocast else None
        self._build(self.with_lr_method('generator', generator), discriminator)
        self.projected_discriminator: Any = None
        if projected_discriminator is not None:
            self.projected_discriminator = MODELS.build(projected_discriminator)
        self._check_residual()
        if channels_last:
            use_channels_last(self)
        self.compiled = compile is not False
        if self.compiled:
            self._compile(compile if isinstance(compile, dict) else {})

    def _build(self, generator: dict, discriminator: dict) -> None:
        self.generator = MODELS.build(generator)
        self.discriminator = MODELS.build(discriminator)
        self.generator_ema = MODELS.build(generator).requires_grad_(False)
        # A copy at the start, as published: an average that started at other weights would first
        # have to forget them.
        self.generator_ema.load_state_dict(self.generator.state_dict())

    def _compile(self, options: dict) -> None:
        self.generator.compile(**options)
        self.discriminator.compile(**options)
        if self.projected_discriminator is not None:
            self.projected_discriminator.compile(**options)
            self.projected_discriminator.network.compile(**options)

    def with_lr_method(self, name: str, config: dict) -> dict:
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

    @property
    def exact(self) -> bool:
        """Whether the generator ends in an exact LR layer."""
        return getattr(unwrap(self.generator), 'exact', None) is not None

    def _check_residual(self) -> None:
        """Refuse a residual input that an exact LR layer leaves without effect."""
        for name in ('discriminator', 'projected_discriminator'):
            if self.exact and getattr(getattr(self, name), 'residual', False):
                raise ValueError(
                    f'{name}.residual=True has no effect beside a generator with exact_lr, whose '
                    f'results have no residual: set {name}.residual=False, or '
                    f'generator.exact_lr=None'
                )

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The same names with and without distributed wrappers around the networks.

        MMEngine would store 'generator.module.*' on many GPUs, and its own loading, which looks
        inside the wrappers, would then find none of it.
        """
        state = super().state_dict(*args, **kwargs)
        for name in [name for name in state if '.module.' in name]:
            state[name.replace('.module.', '.', 1)] = state.pop(name)
        return state

    # Passes

    def autocast(self) -> torch.autocast:
        """The precision that the networks run in."""
        device = next(self.parameters()).device.type
        dtype = self.autocast_dtype
        return torch.autocast(device, dtype=dtype, enabled=dtype is not None)

    def layout(self, image: Tensor) -> Tensor:
        """The same pictures in the memory format that the networks run in."""
        return image.contiguous(memory_format=torch.channels_last) if self.channels_last else image

    def check_size(self, image: Tensor) -> None:
        """Refuse images (B, 3, h, w) of another size than the generator was built for.

        Raises:
            ValueError: Saying both sizes.
        """
        size = getattr(unwrap(self.generator), 'img_size', image.shape[-1])
        if image.shape[-2:] != (size, size):
            raise ValueError(
                f'a batch has pictures of {image.shape[-2]} x {image.shape[-1]}, and the generator '
                f'was built for {size} x {size}: let the pipeline resize them'
            )

    def translate_pairs(self, image: Tensor, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Translate every image towards its neighbour's LR picture, and back.

        Args:
            image: (B, 3, H, W), neighbours are pairs.
            lr: (B, 3, s, s), the LR pictures of ``image``.

        Returns:
            (ab, ba) and (a', b'), each interleaved like the batch, (B, 3, H, W).
        """
        # G(x_src, y_tgt):  ab = G(a, down(b)),  ba = G(b, down(a));  a' = G(ab, down(a)),
        # b' = G(ba, down(b)). Result i of either call stands where source i stands in the batch.
        with self.autocast():
            fake = self.generator(image, swap_pairs(lr))
            reconstruction = self.generator(fake, lr)
        return fake.to(image.dtype), reconstruction.to(image.dtype)

    def real_logits(self, image: Tensor, lr: Tensor) -> Tensor:
        """D's logits of real images, whose residual is zero."""
        with self.autocast():
            logits = self.discriminator(self.layout(image), torch.zeros_like(lr))
        return logits.to(image.dtype)

    def differentiable_logits(self, image: Tensor, lr: Tensor) -> tuple[Tensor, Tensor]:
        """The images as leaves of the graph, and their logits; eager and in float32 for R1."""
        # R1 squares gradients and differentiates the squares: the 8 bits of bfloat16 are too few.
        image = self.layout(image).detach().requires_grad_()
        eager = torch.compiler.set_stance('force_eager') if self.compiled else nullcontext()
        with twice_differentiable(self.discriminator), eager:
            return image, self.discriminator(image, torch.zeros_like(lr))

    def fake_logits(self, fake: Tensor, lr: Tensor) -> Tensor:
        """D's logits of results that should meet ``lr``."""
        with self.autocast():
            logits = self.discriminator(self.layout(fake), self.residual(fake, lr))
        return logits.to(fake.dtype)

    def residual(self, fake: Tensor, lr: Tensor) -> Tensor | None:
        """The residual map, or None if no discriminator uses it."""
        # The residual costs a pass over the picture in full size: not where nobody looks at it.
        judges = unwrap(self.discriminator), unwrap(self.projected_discriminator)
        if not any(getattr(network, 'residual', network is not None) for network in judges):
            return None
        return residual(fake, lr, self.lr_method)

    def view(self, image: Tensor) -> list[Tensor]:
        """P's features of pictures."""
        with self.autocast():
            return unwrap(self.projected_discriminator).features(self.layout(image))

    def projected_logits(self, views: list[Tensor], residual: Tensor | None) -> Tensor:
        """P's logits of the features that :meth:`view` returns."""
        with self.autocast():
            return self.projected_discriminator(views, residual)

    @contextmanager
    def frozen_judges(self) -> Iterator[None]:
        """D and P without gradients of their own, and with their weights worked out once."""
        with ExitStack() as stack:
            for network in (self.discriminator, self.projected_discriminator):
                if network is not None:
                    stack.enter_context(frozen(network))
                    stack.enter_context(shared_weights(network))
                    # Or DDP would wait for gradients of the frozen network, into the next step.
                    stack.enter_context(synchronised(network, last=False))
            yield

    # Prediction

    @torch.no_grad()
    def predict(self, source: Tensor, lr: Tensor, network: str = 'generator_ema') -> Tensor:
        """Translate sources towards LR targets.

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
        with self.autocast():
            return net(self.layout(source), lr).to(source.dtype)

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
