"""Watches a training: stops it at numbers that are not finite, and warns of a collapse."""

import math
from collections.abc import Mapping
from typing import Any

from mmagic.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from ..models.losses import SoftplusGANLoss
from ..models.networks import unwrap
from .checkpoint_files import latest_checkpoint


class NonFiniteError(ValueError):
    """A loss or a weight is not finite; the message names the step, the pictures and a way on."""


def check_losses(runner: Runner, steps: list[dict[str, float]]) -> None:
    """Stop a training whose losses are not finite.

    Args:
        runner: The runner, in its newest step.
        steps: The losses of the newest steps, in order.

    Raises:
        NonFiniteError: Names the step, the losses, the pictures of the batch and the last
            checkpoint, which is from before.
    """
    for i, losses in enumerate(steps):
        bad = {name: value for name, value in losses.items() if not math.isfinite(value)}
        if bad:
            behind = len(steps) - 1 - i
            raise NonFiniteError(
                f'iteration {runner.iter + 1 - behind}: '
                + ', '.join(f'{name} is {value}' for name, value in bad.items())
                + f'. The batch: {_batch(runner, behind)}. {_advice(runner)}'
            )


def _batch(runner: Runner, behind: int) -> str:
    """The pictures of a step, so many steps ago, of all ranks."""
    loop: Any = runner.train_loop
    if not hasattr(loop, 'images_seen'):
        return 'not known to this training loop'
    first = loop.images_seen - (behind + 1) * loop.batch_size
    dataset = loop.dataloader.dataset
    draws = loop.sampler.draws(first, loop.batch_size)
    return ', '.join(dataset.get_data_info(int(draw))['name'] for draw in draws)


def _advice(runner: Runner) -> str:
    last = latest_checkpoint(runner.work_dir)
    start = 'There is no checkpoint yet: start again'
    if last:
        start = f"Last good checkpoint: '{last}'; start a new run from it with load_from"
    return (
        f'{start} and lower learning rates (optim_wrapper.generator.optimizer.lr, '
        f'optim_wrapper.discriminator.optimizer.lr), a larger model.r1_loss.gamma, or without bf16'
    )


def check_weights(runner: Runner, state: Mapping[str, Any]) -> None:
    """Stop before weights that are not finite are written.

    Raises:
        NonFiniteError: Names the weights and the last checkpoint, which is from before.
    """
    bad = [
        name
        for name, value in state.items()
        if isinstance(value, Tensor) and value.is_floating_point() and not value.isfinite().all()
    ]
    if bad:
        raise NonFiniteError(
            f'iteration {runner.iter + 1}: {len(bad)} of {len(state)} weights are not finite, '
            f"among them '{bad[0]}', and are not written. {_advice(runner)}"
        )


VISIBLE = 1.0
"""Grey levels of LR error: what clamping leaves of an exact LR layer stays below."""


@HOOKS.register_module()
class CollapseWatchHook(Hook):
    """Warn in the log when a training goes astray: once for each kind, until it is over.

    - A discriminator saturates: its mean loss per term (where it knows nothing ln 2, or 1 for the
      projected one's hinge loss) falls below ``saturated``, so that the generator learns nothing
      any more.
    - The LR error of the results, averaged over the log's window, is ``rise`` times its lowest, and
      above :data:`VISIBLE`.
    - Coverage at a validation is less than half of its highest: results become alike.

    Args:
        interval: Iterations between two looks at the losses.
        saturated: Mean discriminator loss per term, without its weight, that is warned of.
        rise: Factor of the LR error that is warned of.

    Raises:
        ValueError: If the interval is not positive.
    """

    priority = 'LOW'  # after the losses are read

    def __init__(self, interval: int = 100, saturated: float = 0.05, rise: float = 2.0) -> None:
        if interval < 1:
            raise ValueError(f'interval={interval} must be at least 1')
        self.interval, self.saturated, self.rise = interval, saturated, rise
        self.warned: set[str] = set()
        self.weights: dict[str, float] = {}

    def before_train(self, runner: Runner) -> None:
        model = unwrap(runner.model)
        for letter, name in (('d', 'gan_loss'), ('p', 'projected_loss')):
            loss = getattr(model, name, None)
            if isinstance(loss, SoftplusGANLoss):  # MMagic's losses weigh the generator's alone
                self.weights[letter] = loss.loss_weight

    def after_train_iter(self, runner: Runner, *args: object, **kwargs: object) -> None:
        if not self.every_n_train_iters(runner, self.interval):
            return
        for letter, network, guess, option in (
            ('d', 'discriminator', 0.693, 'model.r1_loss.gamma'),
            ('p', 'projected discriminator', 1, 'model.cycle_loss.loss_weight'),
        ):
            self._watch_discriminator(runner, letter, network, guess, option)
        error = self._mean(runner, 'lr_error')
        lowest = self._lowest(runner, 'lr_error', error)
        self._warn(
            runner,
            'LR error',
            error > max(self.rise * lowest, VISIBLE),
            f'the LR error rises: {error:.1f} grey levels, and it has been {lowest:.1f}',
        )

    def _watch_discriminator(
        self, runner: Runner, letter: str, network: str, guess: float, option: str
    ) -> None:
        fakes = [
            name
            for name in (f'loss_{letter}_fake', f'loss_{letter}_rec')
            if self._logged(runner, name)
        ]
        weight = self.weights.get(letter, 1.0)
        if not weight:
            return
        # Every set of fakes comes with weight 2, and the reals with as much.
        terms = 4 * max(len(fakes), 1) * weight
        loss = self._mean(runner, f'loss_{letter}_real', *fakes) / terms
        self._warn(
            runner,
            f'saturation of the {network}',
            loss < self.saturated,
            f'the {network} saturates: its mean loss per term is {loss:.3f}, and {guess} would be '
            f'a guess; lower its learning rate or raise {option}',
        )

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        for name, value in (metrics or {}).items():
            if 'coverage' in name and math.isfinite(value):
                highest = -self._lowest(runner, name, -value)
                self._warn(
                    runner,
                    name,
                    value < highest / 2,
                    f'{name} falls: {value:.3f}, and it has been {highest:.3f}; results become '
                    f'alike or leave the real ones',
                )

    def _mean(self, runner: Runner, *names: str) -> float:
        if not all(self._logged(runner, name) for name in names):
            return math.nan
        scalars = runner.message_hub.log_scalars
        window = runner.log_processor.window_size
        return float(sum(scalars[f'train/{name}'].mean(window) for name in names))

    def _logged(self, runner: Runner, name: str) -> bool:
        return f'train/{name}' in runner.message_hub.log_scalars

    def _lowest(self, runner: Runner, name: str, value: float) -> float:
        """The lowest so far, kept where a resume finds it."""
        hub, key = runner.message_hub, f'lowest {name}'
        lowest = min(value, hub.get_info(key, value)) if math.isfinite(value) else math.nan
        if math.isfinite(lowest):
            hub.update_info(key, lowest)
        return lowest

    def _warn(self, runner: Runner, kind: str, is_so: bool, text: str) -> None:
        if is_so and kind not in self.warned:
            runner.logger.warning(f'iteration {runner.iter + 1}: {text}')
        (self.warned.add if is_so else self.warned.discard)(kind)
