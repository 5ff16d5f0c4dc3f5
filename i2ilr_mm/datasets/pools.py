"""Pools of pictures: all of one split of a folder tree or zip."""

import hashlib
import os
from functools import cached_property
from logging import INFO, WARNING
from typing import Any

import numpy as np
import torch
from mmagic.datasets.transforms import Flip, PackInputs
from mmagic.registry import DATASETS
from mmengine.dataset import BaseDataset
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from torch import Tensor

from ..lr import check_choice
from .decode import LARGE, OTHER_PICTURES, PictureError
from .draws import Draw, seeded
from .pictures import (
    EMBEDDED,
    EXTENSIONS,
    in_words,
    left_out,
    list_pictures,
    picture_path,
    picture_size,
    read_bytes,
    resolve_root,
)
from .splits import SPLITS, split_names, splits_named


@DATASETS.register_module()
class ImagePool(BaseDataset):
    """All pictures of one split of a folder tree or zip; any two can form a pair.

    The layout is ``root/{train,val,test}/[class/]picture``, as StarGAN v2's sets have it; a root
    without split folders is split by name. Classes are the first sub-folders.

    Items are asked for by index or by :class:`Draw`, whose seed decides every random choice of the
    transforms.

    Args:
        data_root: A folder, a zip file, or 'embedded:heads64'.
        split: 'train', 'val' or 'test'.
        pipeline: Transforms; they get ``img_path``.
        img_size: Side of the pictures that the transforms make; smaller files are reported once.
        lr_size: Side of the LR pictures; smaller files are refused.

    Raises:
        FileNotFoundError: If the root does not exist.
        PictureError: If there are no pictures, or any is empty, unreadable or too small; the
            message names them.
    """

    METAINFO: dict = dict(dataset_type='i2ilr')

    def __init__(
        self,
        data_root: str,
        split: str,
        pipeline: list,
        img_size: int,
        lr_size: int,
        **kwargs: Any,
    ) -> None:
        check_choice('split', split, SPLITS)
        self.split, self.img_size, self.lr_size = split, img_size, lr_size
        self.resolved_root = resolve_root(data_root, 'data_root')
        super().__init__(data_root=data_root, pipeline=pipeline, **kwargs)

    def __getitem__(self, idx: int | Draw) -> dict:
        if not isinstance(idx, Draw):
            return super().__getitem__(idx)
        with seeded(idx.seed):
            return super().__getitem__(int(idx))

    def _join_prefix(self) -> None:
        """Paths are made in load_data_list; BaseDataset's joining does not know zips."""

    def load_data_list(self) -> list[dict]:
        """One entry per picture: ``img_path``, its name in the split and its class."""
        chosen = split_names(list_pictures(self.resolved_root), self.split)
        if not chosen:
            raise PictureError(
                f"'{self.data_root}' has no pictures for '{self.split}'; expected are "
                f'{self.split}/[class/]*.jpg (or png, webp, tiff, bmp), or pictures without '
                f'train/val/test folders, which are split by name'
            )
        self.pictures = [
            dict(
                img_path=picture_path(self.resolved_root, name),
                name=inner,
                class_name=inner.split('/')[0] if '/' in inner else '',
            )
            for name, inner in chosen.items()
        ]
        if is_main_process():
            self._report_skipped()
            self._check_pictures(self.real_pictures())
        return list(self.pictures)  # the dataset empties the list it is given

    def get_data_info(self, idx: int) -> dict:
        """The entry of one item, with the sizes that the transforms work to."""
        return dict(super().get_data_info(idx), img_size=self.img_size, lr_size=self.lr_size)

    def _report_skipped(self) -> None:
        """Log the files of the root that are in no split, such as pictures beside the folders."""
        if self.split != 'train' or self.data_root.startswith(EMBEDDED):
            return
        names = list_pictures(self.resolved_root)
        used = {name for split in SPLITS for name in split_names(names, split)}
        others = left_out(self.resolved_root)
        if outside := [name for name in names if name not in used]:
            others['picture outside the split folders'] = outside
        if others:
            harmless = {kind for kind in others if kind[0] == '.'} - {*OTHER_PICTURES}
            print_log(
                f"'{self.data_root}' has files that are left out: {in_words(others)}; pictures "
                f'are {", ".join(EXTENSIONS)}',
                'current',
                INFO if others.keys() <= harmless | {'no suffix'} else WARNING,
            )
        held_out = [n for n in self.real_pictures() if splits_named(_stem(n)) - {'train'}]
        _warn('pictures that are trained on have names that speak of val or test', held_out)

    def _check_pictures(self, paths: list[str]) -> None:
        """Read every header before work starts, and name all bad files in one error."""
        bad, enlarged, large = [], [], []
        for path in paths:
            try:
                size = picture_size(path)
            except PictureError as error:
                bad.append(str(error))
                continue
            if min(size) < self.lr_size:
                bad.append(f"'{path}' is too small: {size[0]} x {size[1]}, LR {self.lr_size}")
            elif min(size) < self.img_size:
                enlarged.append(f"'{path}' ({size[0]} x {size[1]})")
            elif size[0] * size[1] > LARGE:
                large.append(f"'{path}' ({size[0]} x {size[1]})")
        self._report_sizes(len(paths), bad, enlarged, large)

    def _report_sizes(
        self, count: int, bad: list[str], enlarged: list[str], large: list[str]
    ) -> None:
        if bad:
            raise PictureError(
                f'{len(bad)} of {count} pictures cannot be used; mend or remove them: '
                + '; '.join(bad)
            )
        _warn(
            f'of {count} pictures are smaller than img_size={self.img_size} and will be '
            f'enlarged, which teaches blur',
            enlarged,
        )
        _warn(
            f'of {count} pictures have more than {LARGE // 10**6} million pixels; every visit '
            f'decodes them again, JPEG at a reduced size and others whole, which slows training '
            f'down: shrink them once',
            large,
        )

    @cached_property
    def content_hash(self) -> str:
        """Hash of the pool's names and pictures, 16 digits."""
        key = hashlib.sha256()
        for picture in self.pictures:
            key.update(f'{picture["name"]}\n'.encode('utf-8', 'surrogatepass'))
            key.update(hashlib.sha256(read_bytes(picture['img_path'])).digest())
        return key.hexdigest()[:16]

    def real_pictures(self) -> list[str]:
        """Every picture of the pool once; the real side of distribution scores."""
        return [picture['img_path'] for picture in self.pictures]

    def real_image(self, path: str) -> Tensor:
        """One real picture, (3, H, W) uint8, by the pipeline's transforms of 'img' without flips.

        Raises:
            ValueError: If the pipeline does not leave uint8 of three channels.
        """
        results: dict[str, Any] = dict(img_path=path, img_size=self.img_size, lr_size=self.lr_size)
        for transform in self.pipeline.transforms:
            if isinstance(transform, PackInputs):
                break
            keys = [*np.atleast_1d(getattr(transform, 'keys', [])), getattr(transform, 'key', None)]
            if ('img' in keys or not any(keys)) and not isinstance(transform, Flip):
                results = transform(results)
        image = results['img']
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
            raise ValueError(
                f"the pipeline makes 'img' {image.dtype} of shape {image.shape}; scores need uint8 "
                f'(height, width, 3), RGB'
            )
        return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(data_root={self.data_root!r}, split={self.split!r}, '
            f'img_size={self.img_size}, lr_size={self.lr_size}, pipeline={self.pipeline})'
        )


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]


def _warn(text: str, pictures: list[str]) -> None:
    if pictures:
        print_log(f'{len(pictures)} {text}; first: {pictures[0]}', 'current', WARNING)
