"""What I2I-LR minimises: L_D, L_P, L_G and R1, and the factors that turn batch means into its sums.

A batch holds pairs, so it has two halves, a and b, and four sets of fakes: ab, ba, a' and b'. With
l(x, real) and l(x, fake) the adversarial loss of a set's mean, I2I-LR takes

    L_D = sum over (x, f) in (b, ab), (a, ba), (a, a'), (b, b') of
          E l(D(x), real) + R1(x) + E l(D(f), fake)
    L_G = sum over f in ab, ba, a', b' of E l(D(f), real)  +  |a - a'|_1 + |b - b'|_1

Here both halves of a set go through the networks together, and the mean M over the whole batch is
half the sum of the means over its halves: E_a + E_b = 2 M. Hence the factors.

    reals            each half is in two terms      2 (E_a + E_b) = 4 M
    fakes, and a'    each half is in one term            E_a + E_b = 2 M
    L_G              M over all four halves at once  E_1 + ... + E_4 = 4 M
    cycle            each half is in one term            E_a + E_b = 2 M

Without judged reconstructions there are two terms in place of four: 2 for reals and for L_G.
"""

from typing import Any

import torch
from mmagic.registry import MODELS
from torch import Tensor

from ..binding import distance
from ..lr import GREY_LEVELS, down
from .networks import swap_pairs
from .source import of_size

Losses = tuple[Tensor, dict[str, Tensor]]
"""A loss, and its parts without a graph."""


def mean_loss(name: str, config: dict) -> dict:
    """Refuse losses that are sums.

    Raises:
        ValueError: If its reduction is not the mean.
    """
    reduction = config.get('reduction', 'mean')
    if reduction != 'mean':
        raise ValueError(
            f"{name} has reduction='{reduction}'; a training loss needs 'mean': a sum would change "
            f'with the batch, its parts and the number of GPUs'
        )
    return config


def build_lr_loss(config: dict | None, lr_method: str, exact: bool) -> Any:
    """The LR loss of a model, with the model's LR operator; None without a config.

    Args:
        config: Its config, or None.
        lr_method: The operator of the LR targets, see :func:`i2ilr_mm.lr.down`.
        exact: Whether the generator ends in an exact LR layer.

    Raises:
        ValueError: If the generator meets its LR targets anyway, or the reduction is not the mean.
    """
    if not config:
        return None
    if exact:
        raise ValueError(
            'lr_loss has no effect on a generator with exact_lr, whose results meet their LR '
            'target: set lr_loss=None, or generator.exact_lr=None'
        )
    return MODELS.build(mean_loss('lr_loss', config), default_args=dict(method=lr_method))


def build_projected_loss(config: dict | None, discriminator: Any) -> Any:
    """The adversarial loss of the projected discriminator; None where there is none.

    Raises:
        ValueError: If one of the two is missing.
    """
    if (discriminator is None) != (config is None):
        raise ValueError(
            'projected_discriminator and projected_loss belong together: set both, such as '
            "projected_loss=dict(type='GANLoss', gan_type='hinge', loss_weight=0.25), or none"
        )
    return MODELS.build(config) if config is not None else None


def loss_sum(log: dict[str, Tensor]) -> Tensor:
    """The sum of a log's losses."""
    return torch.stack([v for k, v in log.items() if k.startswith('loss')]).sum()


def average(logs: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each entry over the parts of a batch."""
    if len(logs) == 1:
        return logs[0]
    return {name: torch.stack([log[name] for log in logs]).mean() for name in logs[0]}


def total(**parts: Tensor) -> Losses:
    """The sum, and the parts without their graphs."""
    return torch.stack(list(parts.values())).sum(), {k: v.detach() for k, v in parts.items()}


class Objective:
    """Computes the losses of a batch with a model's networks and loss modules.

    Args:
        model: Has the networks, and ``gan_loss``, ``r1_loss``, ``cycle_loss``, ``lr_loss``,
            ``projected_loss`` and ``source_loss``; the last three may be None.
        judge_reconstructions: Whether a' and b' count as fakes.

    Raises:
        ValueError: If it is neither True nor False.
    """

    def __init__(self, model: Any, judge_reconstructions: bool) -> None:
        if not isinstance(judge_reconstructions, bool):
            raise ValueError(
                f'judge_reconstructions is {judge_reconstructions!r}; accepted are True and False'
            )
        self.model = model
        self.judge_reconstructions = judge_reconstructions
        # Four sets of fakes, or without the reconstructions two: one term of the sums for each.
        self.terms = 4 if judge_reconstructions else 2

    def judged(self, *sets: Tensor) -> Tensor:
        """The sets that D sees: fakes and reconstructions, or tensors that belong to them."""
        return torch.cat(sets if self.judge_reconstructions else sets[:1])

    # R1, and the steps it is due at

    @property
    def r1_interval(self) -> int:
        """Steps from one R1 to the next; 1 is every step, inside of L_D."""
        return getattr(self.model.r1_loss, 'interval', 1)

    def lazy_r1_is_due(self, step: int) -> bool:
        """Whether step number ``step``, counted from 0, has an update by R1 alone."""
        return self.r1_interval > 1 and step % self.r1_interval == 0

    def r1(self, image: Tensor, lr: Tensor) -> Tensor:
        """R1 of both real halves; each half counts once for every set of fakes."""
        return self._r1(*self.model.differentiable_logits(image, lr))

    def _r1(self, image: Tensor, logits: Tensor) -> Tensor:
        # The terms are gamma/2 E |grad D|^2, one for each l(D(x), real). So the factor is the same:
        # 4 (or 2) times the mean over the batch.
        factor = float(self.terms)
        if getattr(self.model.r1_loss, 'mode', 'standard') == 'reference':
            # The published penalty differentiates the mean over a half, B / 2 pictures:
            #   grad_i of the half's mean = 2/B grad l(x_i) = 2 (grad_i of the batch's mean)
            # and squared, that is 4 times what R1 of the whole batch gives.
            factor *= 4.0
        return factor * self.model.r1_loss(image, logits)

    # The discriminators

    def real(self, image: Tensor, lr: Tensor) -> Losses:
        """The half of L_D that sees real images, with R1 unless that is lazy.

        Args:
            image: (B, 3, H, W) in [-1, 1], neighbours are pairs.
            lr: (B, 3, s, s), the LR pictures of ``image``.
        """
        # Lazy: D's loss runs in the precision and compiled form of all passes, without a graph that
        # can be differentiated twice. Otherwise R1 and loss share one forward pass.
        if self.r1_interval > 1:
            logits = self.model.real_logits(image, lr)
            return total(loss_d_real=self.terms * self.model.gan_loss(logits, True, is_disc=True))
        image, logits = self.model.differentiable_logits(image, lr)
        r1 = self._r1(image, logits)
        return total(
            loss_d_real=self.terms * self.model.gan_loss(logits, True, is_disc=True), loss_r1=r1
        )

    def fake(self, lr: Tensor, fake: Tensor, reconstruction: Tensor) -> Losses:
        """The half of L_D that sees the results of ``translate_pairs``; as :meth:`real`."""
        # Result i was asked for its neighbour's LR picture, reconstruction i for its own. Each half
        # of a set is in one term of L_D: E_a + E_b = 2 M.
        fakes = self.judged(fake, reconstruction).detach()
        targets = self.judged(swap_pairs(lr), lr)
        logits = self.model.fake_logits(fakes, targets).split(len(lr))
        names = ('loss_d_fake', 'loss_d_rec')
        return total(
            **{k: 2 * self.model.gan_loss(v, False, is_disc=True) for k, v in zip(names, logits)}
        )

    def projected(
        self,
        image: Tensor,
        lr: Tensor,
        fake: Tensor,
        reconstruction: Tensor,
        views: list[Tensor],
    ) -> Losses:
        """L_P: the sets and factors of L_D, by P's own loss and without R1.

        Args:
            image: (B, 3, H, W) in [-1, 1], neighbours are pairs.
            lr: (B, 3, s, s), the LR pictures of ``image``.
            fake: Results of ``translate_pairs``.
            reconstruction: The same.
            views: P's features of the results that are judged.
        """
        with torch.no_grad():
            real_views = self.model.view(image)
            targets = self.judged(swap_pairs(lr), lr)
            maps = self.model.residual(self.judged(fake, reconstruction), targets)
        joint = [torch.cat([real, fake.detach()]) for real, fake in zip(real_views, views)]
        if maps is not None:
            # A real picture meets its own LR picture, so its residual is zero.
            maps = torch.cat([torch.zeros_like(lr), maps])
        logits = self.model.projected_logits(joint, maps).to(image.dtype).split(len(lr))
        loss = self.model.projected_loss
        parts = dict(loss_p_real=self.terms * loss(logits[0], True, is_disc=True))
        for name, fake_view in zip(('loss_p_fake', 'loss_p_rec'), logits[1:]):
            parts[name] = 2 * loss(fake_view, False, is_disc=True)
        return total(**parts)

    # The generator

    def generator(
        self,
        image: Tensor,
        lr: Tensor,
        fake: Tensor,
        reconstruction: Tensor,
        views: list[Tensor] | None = None,
        sources: tuple[Tensor, Tensor] | None = None,
    ) -> Losses:
        """L_G of the fake sets.

        Args:
            image: As for :meth:`projected`; so are the next three.
            lr: The LR pictures of ``image``.
            fake: Results of ``translate_pairs``.
            reconstruction: The same.
            views: P's features of the results that are judged, if they are known.
            sources: Candidates and positives of the source loss; None leaves that loss out.
        """
        judged, targets = self.judged(fake, reconstruction), self.judged(swap_pairs(lr), lr)
        # All sets go through D at once, so M is a mean over `terms` halves: their sum is terms M.
        # The cycle term is |a - a'|_1 + |b - b'|_1, a mean over two halves: 2 M.
        logits = self.model.fake_logits(judged, targets)
        parts = dict(
            loss_g_gan=self.terms * self.model.gan_loss(logits, True, is_disc=False),
            loss_g_cycle=2 * self.model.cycle_loss(reconstruction, image),
        )
        if self.model.projected_loss is not None:
            parts['loss_g_projected'] = self._by_projected(judged, targets, views)
        if sources is not None:
            with self.model.autocast():
                loss = of_size(self.model.source_loss, lr)
                parts['loss_g_source'] = loss(self.model.layout(fake), *sources)
        if self.model.lr_loss is not None:
            fakes, targets = torch.cat([fake, reconstruction]), torch.cat([swap_pairs(lr), lr])
            parts['loss_g_lr'] = self.model.lr_loss(fakes, targets)
        loss, log = total(**parts)
        return loss, dict(
            loss_g=loss.detach(), **log, lr_error=self._lr_error(fake, swap_pairs(lr))
        )

    def _by_projected(self, judged: Tensor, targets: Tensor, views: list[Tensor] | None) -> Tensor:
        views = self.model.view(judged) if views is None else views
        logits = self.model.projected_logits(views, self.model.residual(judged, targets))
        return self.terms * self.model.projected_loss(logits.to(judged.dtype), True, is_disc=False)

    @torch.no_grad()
    def _lr_error(self, fake: Tensor, lr: Tensor) -> Tensor:
        """Mean distance from the LR target in grey levels of 255."""
        shrunk = down(fake.clamp(-1, 1), lr.shape[-1], self.model.lr_method)
        return distance(shrunk, lr).mean() * GREY_LEVELS
