"""Transforms that read pictures and make LR targets."""

import hashlib

import numpy as np
import torch
from mmagic.registry import TRANSFORMS
from mmcv.transforms import BaseTransform
from PIL import Image

from ..binding import draw_free, join, luma_target, split
from ..lr import DOWN_METHODS, check_choice, down, from_uint8
from .pictures import read_picture

FITS = ('stretch', 'crop')


@TRANSFORMS.register_module()
class LoadPicture(BaseTransform):
    """Read the picture at ``<key>_path`` into ``key``: (H, W, 3) uint8 RGB.

    Args:
        key: 'img' or 'target'.

    Raises:
        PictureError: If the picture cannot be read; names it.
    """

    def __init__(self, key: str = 'img') -> None:
        self.key = key

    def transform(self, results: dict) -> dict:
        results[self.key] = read_picture(results[f'{self.key}_path'], results.get('img_size'))
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(key={self.key!r})'


def fit_picture(picture: np.ndarray, img_size: int, fit: str) -> np.ndarray:
    """Bring a (H, W, 3) uint8 picture to img_size x img_size, see :class:`ResizePicture`."""
    image = Image.fromarray(picture)
    side = min(image.size)
    if fit == 'crop':
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    if image.size != (img_size, img_size):
        image = image.resize((img_size, img_size), Image.Resampling.BILINEAR)
    return np.array(image)


@TRANSFORMS.register_module()
class ResizePicture(BaseTransform):
    """Bring a picture to img_size x img_size (bilinear with antialiasing, as Pillow does it).

    Args:
        img_size: Side of the result; None takes the dataset's.
        key: The picture to resize.
        fit: 'stretch' resizes both sides directly, as published; 'crop' takes the central square
            first, for pictures that are not square.

    Raises:
        ValueError: If ``fit`` is unknown.
    """

    def __init__(self, img_size: int | None = None, key: str = 'img', fit: str = 'stretch') -> None:
        check_choice('fit', fit, FITS)
        self.img_size, self.key, self.fit = img_size, key, fit

    def transform(self, results: dict) -> dict:
        size = self.img_size or results['img_size']
        results[self.key] = fit_picture(results[self.key], size, self.fit)
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(img_size={self.img_size}, key={self.key!r}, fit={self.fit!r})'
        )


def shrink(picture: np.ndarray, lr_size: int, method: str) -> torch.Tensor:
    """The LR picture (3, s, s) in [-1, 1] of a (H, W, 3) uint8 picture."""
    image = from_uint8(torch.from_numpy(picture).permute(2, 0, 1))
    return down(image[None], lr_size, method)[0]


@TRANSFORMS.register_module()
class DownscaleLR(BaseTransform):
    """Make the LR target ``lr``, (3, s, s) float32 in [-1, 1], of the picture in ``key``.

    Args:
        lr_size: Side s; None takes the dataset's.
        key: 'img' in training, 'target' for pairs.
        lr_method: 'box' or 'bicubic', see :func:`i2ilr_mm.lr.down`.

    Raises:
        ValueError: If the method is unknown or the picture's size is no multiple of ``lr_size``.
    """

    def __init__(
        self, lr_size: int | None = None, key: str = 'img', lr_method: str = 'box'
    ) -> None:
        check_choice('lr_method', lr_method, DOWN_METHODS)
        self.lr_size, self.key, self.lr_method = lr_size, key, lr_method

    def transform(self, results: dict) -> dict:
        size = self.lr_size or results['lr_size']
        results['lr'] = shrink(results[self.key], size, self.lr_method)
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(lr_size={self.lr_size}, key={self.key!r}, '
            f'lr_method={self.lr_method!r})'
        )


@TRANSFORMS.register_module()
class BindPart(BaseTransform):
    """Let a part of the LR target ``lr`` bind: (3, s, s) becomes (4, s, s).

    Which cells are free depends on the names of the pair alone. See :mod:`i2ilr_mm.binding`.

    Args:
        free: Share of the cells that are free.

    Raises:
        ValueError: If the share is out of range.
    """

    key = 'lr'
    """What it changes; real pictures, which have no target, are made without it."""

    def __init__(self, free: float) -> None:
        if not 0 < free < 1:
            raise ValueError(f'BindPart has free={free!r}; it is a share above 0 and below 1')
        self.free = free

    def transform(self, results: dict) -> dict:
        lr = results['lr'][None]
        names = f'{results.get("name")}/{results.get("target_name")}'
        seed = int.from_bytes(hashlib.sha256(names.encode()).digest()[:4], 'big')
        share = draw_free(np.random.RandomState(seed), lr.shape[-1], self.free)
        results['lr'] = join(lr, torch.from_numpy(share))[0]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(free={self.free})'


@TRANSFORMS.register_module()
class BindLuma(BaseTransform):
    """Give the LR target ``lr``, (3, s, s), the colours of the source ``img``; its luma stays.

    Args:
        lr_method: 'box' or 'bicubic', see :func:`i2ilr_mm.lr.down`.

    Raises:
        ValueError: If the method is unknown.
    """

    key = 'lr'
    """As in :class:`BindPart`."""

    def __init__(self, lr_method: str = 'box') -> None:
        check_choice('lr_method', lr_method, DOWN_METHODS)
        self.lr_method = lr_method

    def transform(self, results: dict) -> dict:
        lr, share = split(results['lr'][None])
        own = shrink(results['img'], lr.shape[-1], self.lr_method)[None]
        lr = luma_target(own, lr)
        results['lr'] = (lr if share is None else join(lr, share))[0]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(lr_method={self.lr_method!r})'
