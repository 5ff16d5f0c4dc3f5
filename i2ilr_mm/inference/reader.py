"""Bring what a user hands in to what a network takes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..datasets.transforms import fit_picture
from .dials import shares
from .inputs import Picture, in_range, read_target, to_array, to_tensor


class InputReader:
    """Sources and LR targets of a model.

    Attributes:
        img_size: Side H of its pictures.
        lr_size: Usual side s of its LR targets.
        lr_sizes: All sides of LR targets that it takes.
        lr_method: Its LR operator, see :func:`i2ilr_mm.lr.down`.
        fit: How pictures come to its size, see :class:`i2ilr_mm.datasets.ResizePicture`.
    """

    img_size: int
    lr_size: int
    lr_sizes: tuple[int, ...]
    lr_method: str
    fit: str

    def source(self, picture: Picture) -> Tensor:
        """A source as the network takes it, (3, H, H) in [-1, 1].

        Args:
            picture: A file, 'archive.zip::member', a PIL image, a uint8 array (H, W), (H, W, 3) or
                (H, W, 4), or a tensor (3, H, W): uint8, or floats in [-1, 1]. Channels are RGB (not
                OpenCV's BGR). Floats that may be meant in [0, 1] are refused; those that this class
                returns are taken. Pictures of other sizes are resized as the config says (``fit``).

        Raises:
            ValueError: If it cannot be read, or has another shape, type or range.
        """
        array = to_array(picture, self.img_size)
        return to_tensor(fit_picture(array, self.img_size, self.fit))

    def target(self, picture: Picture, lr_size: int | None = None) -> Tensor:
        """An LR target, (3, s, s) in [-1, 1].

        Args:
            lr_size: Its side s, one of ``lr_sizes``; None takes LR pictures of any of them as they
                are, and shrinks others to the model's usual size.
            picture: As for :meth:`source`. One of exactly s x s is the LR target itself; larger
                ones are shrunk. A float tensor (3, s, s) may leave [-1, 1], to -2 and 2.

        Raises:
            ValueError: If it cannot be read, or is an LR picture of another size.
        """
        self.check_lr_size(lr_size)
        sizes = self.lr_sizes if lr_size is None else (lr_size,)
        usual = lr_size or self.lr_size
        return read_target(picture, self.img_size, sizes, usual, self.fit, self.lr_method)

    def check_lr_size(self, lr_size: int | None) -> None:
        """Refuse LR targets of a size that the model was not trained for.

        Raises:
            ValueError: Saying which sizes it takes.
        """
        whole = lr_size is None or isinstance(lr_size, int)
        if not whole or lr_size not in (None, *self.lr_sizes):
            raise ValueError(
                f'lr_size is {lr_size!r}; this model takes LR targets of {list(self.lr_sizes)}: '
                f'choose one of them, or a model with another'
            )

    def blend(
        self,
        pictures: Sequence[Picture],
        weights: Sequence[float] | None = None,
        lr_size: int | None = None,
    ) -> Tensor:
        """The weighted mean of several LR targets, itself a target (3, s, s).

        Args:
            pictures: As for :meth:`target`.
            weights: One per picture, positive; None weighs all alike.
            lr_size: As for :meth:`target`.

        Raises:
            ValueError: If pictures are missing, the weights do not fit them or none is positive, or
                the targets have several sizes.
        """
        # The weights are checked before the pictures are read, which takes longer.
        parts = zip(pictures, shares(len(pictures), weights))
        targets = [self.target(picture, lr_size) * share for picture, share in parts]
        if len(sides := {target.shape[-1] for target in targets}) > 1:
            raise ValueError(
                f'LR targets of {sorted(sides)} pixels a side do not blend: give all in one size'
            )
        return in_range(torch.stack(targets).sum(dim=0))
