"""Losses of I2I-LR, each a pure function with a registered module around it."""

import torch.nn.functional as F
from mmagic.registry import MODELS
from torch import Tensor, nn

from ..lr import DOWN_METHODS, GREY_LEVELS, check_choice, down
from .functional import input_gradient


def lr_consistency(
    image: Tensor,
    lr: Tensor,
    norm: str = 'l1',
    margin: float = 0.0,
    method: str = 'box',
) -> Tensor:
    """Distance in grey levels between down(image) and the LR target, beyond a margin.

    Args:
        image: (B, 3, H, W) in [-1, 1].
        lr: (B, 3, s, s) in [-1, 1].
        norm: 'l1' for |d|, 'l2' for d^2, d being the distance beyond the margin.
        margin: Grey levels (of 255) that cost nothing.
        method: The operator that made ``lr``, see :func:`i2ilr_mm.lr.down`.

    Returns:
        The mean over all cells and channels: grey levels for 'l1', squared ones for 'l2'.
    """
    # With e = 127.5 |D x D^T - l| in grey levels and margin m:
    #   L = mean max(0, e - m)^p,    p = 1 or 2
    # Per cell, dL/de is 1 for p = 1 however near the target is, and 2 (e - m) for p = 2.
    levels = (down(image, lr.shape[-1], method) - lr).abs() * GREY_LEVELS
    beyond = (levels - margin).clamp(min=0)
    return (beyond.square() if norm == 'l2' else beyond).mean()


@MODELS.register_module()
class LRConsistencyLoss(nn.Module):
    """Explicit pull of down(fake) towards the LR target, see :func:`lr_consistency`.

    The published method has no such term: it leaves the match to the discriminator's residual
    input, which cannot see differences of 2 grey levels and less.

    Args:
        loss_weight: Factor of the loss; 0 switches it off.
        norm: 'l1' or 'l2'.
        margin: Grey levels (of 255) that cost nothing.
        method: 'box' or 'bicubic', the operator that makes the LR targets.

    Raises:
        ValueError: If a choice is unknown or the margin is negative.

    Examples:
        >>> import torch
        >>> loss = LRConsistencyLoss(loss_weight=0.5, margin=1)
        >>> image = torch.full((1, 3, 64, 64), 4 / 127.5)  # 4 grey levels above the target
        >>> loss(image, torch.zeros(1, 3, 8, 8))
        tensor(1.5000)
    """

    def __init__(
        self,
        loss_weight: float = 1.0,
        norm: str = 'l1',
        margin: float = 0.0,
        method: str = 'box',
    ) -> None:
        super().__init__()
        check_choice('norm', norm, ('l1', 'l2'))
        check_choice('method', method, DOWN_METHODS)
        if margin < 0:
            raise ValueError(f'margin is {margin}; it is a number of grey levels, at least 0')
        self.loss_weight, self.norm, self.margin = loss_weight, norm, margin
        self.method = method

    def forward(self, image: Tensor, lr: Tensor) -> Tensor:
        """Loss of images (B, 3, H, W) against LR targets (B, 3, s, s), both in [-1, 1]."""
        return self.loss_weight * lr_consistency(image, lr, self.norm, self.margin, self.method)


@MODELS.register_module()
class SoftplusGANLoss(nn.Module):
    """Non-saturating logistic GAN loss, softplus(-D) for real and softplus(D) for fake.

    Source: Goodfellow et al. 2014 in the form of StarGAN v2; I2I-LR averages over all samples and
    positions of the logit map.

    Args:
        loss_weight: Factor of the loss.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, logits: Tensor, target_is_real: bool, is_disc: bool = False) -> Tensor:
        """Mean loss of logits (B, 1, h, w) that should say real, or fake.

        The generator's loss is this one of its fakes with ``target_is_real=True``. ``is_disc``, by
        which MMagic's losses tell the two apart, changes nothing here.
        """
        # With p = sigmoid(D):  -log p = softplus(-D),  -log(1 - p) = softplus(D). G minimises
        # -log p(fake), which does not saturate: d/dD softplus(-D) = p - 1, near -1 for a bad fake.
        return self.loss_weight * F.softplus(-logits if target_is_real else logits).mean()


def r1_penalty(images: Tensor, logits: Tensor, mode: str = 'standard') -> Tensor:
    """Squared gradient norm of the discriminator at real images, without gamma / 2.

    Args:
        images: (B, 3, H, W) with ``requires_grad``.
        logits: (B, 1, h, w), computed from ``images``.
        mode: 'standard' is Mescheder et al. 2018, mean_i |grad_x D(x_i)|^2 of each sample's mean
            logit. 'reference' is what the published code computes: it differentiates the batch
            mean of softplus(-D) instead, so that the penalty shrinks with 1 / B^2.

    Returns:
        A scalar with a graph for the second backward pass.
    """
    # D(x_i) depends on x_i alone, as D has no batch statistics: the gradient of the sum over the
    # batch holds each sample's own, grad_x D(x_i).
    #   standard:   R1 = 1/B sum_i |grad D(x_i)|^2                  (Mescheder et al. 2018)
    #   reference:  the same of  1/B sum_i mean_p softplus(-D_p(x_i)),  whose gradient at x_i is
    #               -1/B mean_p sigmoid(-D_p) grad D_p(x_i): squared, it has a factor 1/B^2
    if mode == 'standard':
        output = logits.flatten(1).mean(dim=1).sum()
    else:
        output = F.softplus(-logits).mean()
    gradient = input_gradient(output, images)
    return gradient.square().flatten(1).sum(dim=1).mean()


@MODELS.register_module()
class R1Penalty(nn.Module):
    """gamma / 2 times :func:`r1_penalty`.

    Args:
        gamma: Strength of the penalty.
        mode: 'standard' (independent of batch size, accumulation and number of GPUs) or
            'reference' (the published code's).
        interval: 1 adds the penalty to every step, as published. k > 1 is the lazy regularisation
            of StyleGAN2 (Karras et al. 2020, appendix B): every k-th step has one more update of D
            on k times the penalty alone, and D's Adam is corrected (:func:`lazy_adam`).

    Raises:
        ValueError: If the mode is unknown or the interval is below 1.
    """

    def __init__(self, gamma: float = 10.0, mode: str = 'standard', interval: int = 1) -> None:
        super().__init__()
        check_choice('mode', mode, ('standard', 'reference'))
        if not isinstance(interval, int) or interval < 1:
            raise ValueError(f'r1_loss.interval is {interval!r}; it counts whole steps, at least 1')
        self.gamma, self.mode, self.interval = gamma, mode, interval

    def forward(self, images: Tensor, logits: Tensor) -> Tensor:
        """Penalty of real images (B, 3, H, W) and their logits (B, 1, h, w)."""
        # The factor of an interval k is not applied here: a lazy update takes k times this penalty,
        # so that its mean over k steps is that of a penalty in every step.
        return self.gamma / 2 * r1_penalty(images, logits, self.mode)
