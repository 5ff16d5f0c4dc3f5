"""Translate pictures: any source, any LR target, and how well the result meets it."""

import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from i2ilr.files import replacing

from ..datasets.pictures import (
    EMBEDDED,
    list_pictures,
    natural,
    picture_path,
    read_picture,
    resolve_root,
)
from ..datasets.rgb import UNDECODABLE, to_rgb
from ..datasets.transforms import FITS, fit_picture, shrink
from ..lr import GREY_LEVELS, check_choice, down, from_uint8, match, to_uint8
from .hub import find_pretrained, push_to_hub, save_pretrained
from .model import init_model
from .release import describe, load_generator, release_path

Picture = str | os.PathLike | Image.Image | np.ndarray | Tensor
"""What a source or a target can be given as, see :meth:`Translator.source` and ``target``."""

REACHED = 1.0
"""Grey levels of worst LR error up to which a target counts as met."""


@dataclass
class Translation:
    """One result.

    Attributes:
        image: (H, H) RGB picture, 8 bits.
        target: (3, s, s) LR target in [-1, 1], dials applied.
        error: (s, s) distance of the shrunk picture from the target in grey levels of 255, the
            largest of the three channels.
        lr_mae: Mean distance over cells and channels, grey levels.
        lr_worst: Largest distance, grey levels.
        projected: Whether the picture was moved to the target.
        source_name: Where the source came from, '' if it was no file.
        target_name: The same of the target.
    """

    image: Image.Image
    target: Tensor
    error: np.ndarray
    lr_mae: float
    lr_worst: float
    projected: bool
    source_name: str = ''
    target_name: str = ''
    about: dict[str, str] = field(default_factory=dict)

    @property
    def reached(self) -> bool:
        """Whether every cell is within one grey level of the target."""
        return self.lr_worst <= REACHED

    def report(self) -> dict[str, Any]:
        """The figures and names, as plain data."""
        return dict(
            source=self.source_name,
            target=self.target_name,
            lr_mae=round(self.lr_mae, 4),
            lr_worst=round(self.lr_worst, 4),
            projected=self.projected,
            reached=self.reached,
        )

    def save(self, path: str | os.PathLike) -> None:
        """Write a PNG whose text entries hold the report.

        Raises:
            ValueError: If the name does not end in .png: other formats would change the pixels, and
                with them what the report says.
        """
        name = os.path.expanduser(os.fspath(path))
        if not name.lower().endswith('.png'):
            raise ValueError(f"'{name}' must end in .png, which keeps every pixel as it is")
        with replacing(name) as partial, open(partial, 'wb') as file:
            file.write(self.png())

    def png(self) -> bytes:
        """The file that :meth:`save` writes."""
        text, buffer = PngInfo(), io.BytesIO()
        for key, value in {**self.report(), **self.about}.items():
            text.add_text(f'i2ilr_mm:{key}', str(value))
        self.image.save(buffer, 'png', pnginfo=text)
        return buffer.getvalue()


class Translator:
    """A model ready to translate pictures of any size and kind.

    ::

        Translator('embedded:heads64')  # a published generator describes itself
        Translator('i2ilr_heads64', 'work_dirs/i2ilr_heads64/iter_8000.pth')

    Args:
        model: A published generator: a .safetensors file, a folder with one, or
            'embedded:heads64'. With a checkpoint: its config, as a file, a name or loaded.
        checkpoint: A checkpoint of a training, or a published generator; None if ``model`` is one.
        device: 'auto' takes a GPU where there is one.
        batch_size: Pictures that go through the network at once.
        cfg_options: Options over the config's.
        amp: Run the network under bfloat16 autocast, which GPUs do faster. Otherwise it runs in
            float32, as the scores of tools/test.py do unless the config sets ``model.autocast``.

    Attributes:
        facts: What is known of the model, see :func:`i2ilr_mm.inference.release.describe`.

    Raises:
        FileNotFoundError: If the model, config or checkpoint does not exist.
        ValueError: If the checkpoint does not fit the config, the file does not describe a network
            or the device cannot be used.
    """

    def __init__(
        self,
        model: str | os.PathLike | Config,
        checkpoint: str | os.PathLike | None = None,
        device: str | torch.device = 'auto',
        batch_size: int = 16,
        cfg_options: dict[str, Any] | None = None,
        amp: bool = False,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f'batch_size is {batch_size}; at least 1 is needed')
        self.device, self.batch_size, self.amp = _usable(device), batch_size, amp
        if checkpoint is None:
            network, self.facts = load_generator(_published(model, cfg_options))
        else:
            built = init_model(model, checkpoint, cfg_options=cfg_options)
            network, self.facts = built.generator_ema.deploy(), describe(built)
        self.network = network.to(self.device)
        self.img_size, self.lr_size = network.img_size, network.lr_size
        self.lr_method, self.fit = self.facts['lr_method'], self.facts['fit'] or FITS[0]
        weights = hashlib.sha256()
        for value in self.network.state_dict().values():
            weights.update(value.cpu().numpy().tobytes())
        self.about = dict(
            checkpoint=os.path.basename(os.fspath(model if checkpoint is None else checkpoint)),
            weights=weights.hexdigest()[:16],
            lr_method=self.lr_method,
            fit=self.fit,
        )

    # To and from others

    @classmethod
    def from_pretrained(
        cls,
        name: str | os.PathLike,
        revision: str | None = None,
        token: str | None = None,
        **options: Any,
    ) -> 'Translator':
        """A model from a folder, a file or the Hugging Face Hub.

        Args:
            name: A folder that :meth:`save_pretrained` wrote, a .safetensors file,
                'embedded:heads64', or a Hub id, 'user/name' (needs ``i2ilr_mm[hub]``).
            revision: Branch, tag or commit on the Hub.
            token: Access token of the Hub.
            **options: ``device``, ``batch_size`` and ``amp``, as for the class.

        Raises:
            FileNotFoundError: If there is no such place, or no model in it.
            ImportError: If a Hub id is given and the Hub's client is not installed.
            OSError: If the Hub cannot be reached or has no such model.
            ValueError: If the file is none of ours.
        """
        return cls(find_pretrained(os.fspath(name), revision, token), **options)

    def save_pretrained(self, folder: str | os.PathLike) -> None:
        """Write weights that describe themselves and a model card into a new folder.

        Raises:
            FileExistsError: If the folder has anything in it.
            ValueError: If the generator is of another type than I2ILRGenerator.
        """
        save_pretrained(self.network, self.facts, os.fspath(folder))

    def push_to_hub(self, name: str, private: bool = False, token: str | None = None) -> str:
        """Upload what :meth:`save_pretrained` writes; needs ``i2ilr_mm[hub]``.

        Args:
            name: A Hub id, 'user/name'; it is made if it does not exist.
            private: Whether a new one is.
            token: Access token; None takes the one that `hf auth login` left.

        Returns:
            The address of the commit.

        Raises:
            ImportError: If the Hub's client is not installed.
            OSError: If the Hub cannot be reached, or refuses.
            ValueError: If the name is no Hub id.
        """
        return push_to_hub(self.network, self.facts, name, private, token)

    # What goes in

    def source(self, picture: Picture) -> Tensor:
        """A source as the network takes it, (3, H, H) in [-1, 1].

        Args:
            picture: A file, 'archive.zip::member', a PIL image, a uint8 array (H, W), (H, W, 3) or
                (H, W, 4), or a tensor (3, H, W): uint8, or floats in [-1, 1]. Channels are RGB (not
                OpenCV's BGR). Floats without a negative value are refused, as they may be in
                [0, 1]. Pictures of other sizes are resized as the config says (``fit``).

        Raises:
            ValueError: If it cannot be read, or has another shape, type or range.
        """
        array = _to_array(picture, self.img_size)
        return _to_tensor(fit_picture(array, self.img_size, self.fit))

    def target(self, picture: Picture) -> Tensor:
        """An LR target, (3, s, s) in [-1, 1].

        Args:
            picture: As for :meth:`source`. One of exactly s x s is the LR target itself; larger
                ones are shrunk. A float tensor (3, s, s) is taken as it is.

        Raises:
            ValueError: If it cannot be read, or is an LR picture of another size.
        """
        s = self.lr_size
        if isinstance(picture, Tensor) and picture.is_floating_point() and picture.shape[-1] == s:
            lr = picture.detach().float().cpu()
            lr = lr[0] if lr.ndim == 4 and len(lr) == 1 else lr
            if tuple(lr.shape) != (3, s, s) or not lr.isfinite().all():
                raise ValueError(
                    f'an LR target is a tensor of {tuple(lr.shape)}, or has values that are not '
                    f'finite; it must be finite and (3, {s}, {s})'
                )
            return lr
        array = _to_array(picture, self.img_size)
        height, width = array.shape[:2]
        if (height, width) == (s, s):
            return _to_tensor(array)
        if min(height, width) < self.img_size // 2:
            raise ValueError(
                f'{_named(picture)}is {width} x {height}: this model was trained with LR targets '
                f'of {s} x {s}, and others mean nothing to it; give one of that size, or a whole '
                f'picture (at least {self.img_size // 2} pixels a side), which is shrunk to it'
            )
        return shrink(fit_picture(array, self.img_size, self.fit), s, self.lr_method)

    def blend(self, pictures: Sequence[Picture], weights: Sequence[float] | None = None) -> Tensor:
        """The weighted mean of several LR targets, itself a target (3, s, s).

        Args:
            pictures: As for :meth:`target`.
            weights: One per picture, positive; None weighs all alike.

        Raises:
            ValueError: If there are no pictures, or not as many weights, or none is positive.
        """
        weights = [1.0] * len(pictures) if weights is None else list(weights)
        if not pictures or len(weights) != len(pictures):
            raise ValueError(f'{len(pictures)} pictures and {len(weights)} weights: one for each')
        if not all(0 <= w < float('inf') for w in weights) or sum(weights) <= 0:
            raise ValueError(f'weights are {weights}; none may be negative, and not all zero')
        parts = [self.target(p) * (w / sum(weights)) for p, w in zip(pictures, weights)]
        return torch.stack(parts).sum(dim=0)

    # What comes out

    def translate(
        self,
        sources: Picture | Sequence[Picture],
        targets: Picture | Sequence[Picture],
        pairs: str = 'zip',
        project: bool = False,
        strength: float = 1.0,
        mask: Any = None,
        progress: bool = False,
    ) -> list[Translation]:
        """Translate sources towards targets.

        Args:
            sources: One picture, several, a folder or zip of them, or 'embedded:heads64'. Any one
                that cannot be used ends the call (`i2ilr translate` passes over it).
            targets: The same, see :meth:`target`.
            pairs: 'zip' takes them in order, one alone serving for all; 'all' takes every source
                with every target.
            project: Move each result to its target, so that the picture as written meets it within
                one grey level wherever 8 bits can (:func:`i2ilr_mm.lr.match`).
            strength: 1 asks for the target's LR picture, 0 for the source's own, others for what
                lies between.
            mask: (s, s) in [0, 1], the share of the target in each cell; 0 leaves a cell to the
                source. None is 1 everywhere.
            progress: Show a bar.

        Returns:
            One translation per pair.

        Raises:
            ValueError: If a picture cannot be used, or a dial is out of range.
        """
        todo = self.pair_up(_expand(sources), _expand(targets), pairs)
        blocks = [todo[i : i + self.batch_size] for i in range(0, len(todo), self.batch_size)]
        results: list[Translation] = []
        for block in _with_progress(blocks, progress):
            source = torch.stack([self.source(s) for s, _ in block])
            lr = torch.stack([self.target(t) for _, t in block])
            lr = self.dial(source, lr, strength, mask)
            made = self.batch(source, lr, project)
            for result, (s, t) in zip(made, block):
                result.source_name, result.target_name = _name(s), _name(t)
            results += made
        return results

    @staticmethod
    def pair_up(sources: list, targets: list, pairs: str = 'zip') -> list[tuple]:
        """Pairs of sources and targets, see :meth:`translate`.

        Raises:
            ValueError: If the numbers do not fit.
        """
        check_choice('pairs', pairs, ('zip', 'all'))
        if pairs == 'all':
            return [(s, t) for s in sources for t in targets]
        if len(sources) == 1:
            sources = sources * len(targets)
        if len(targets) == 1:
            targets = targets * len(sources)
        if len(sources) != len(targets):
            raise ValueError(
                f'{len(sources)} sources and {len(targets)} targets cannot be taken in order; give '
                f"as many of both, or one of either, or take all pairs (pairs='all', --all-pairs)"
            )
        return list(zip(sources, targets))

    def dial(self, source: Tensor, lr: Tensor, strength: float = 1.0, mask: Any = None) -> Tensor:
        """LR targets (B, 3, s, s) between the sources' own and those given, see translate().

        Raises:
            ValueError: If the strength or the mask is out of range.
        """
        if not 0 <= strength <= 1:
            raise ValueError(f'strength is {strength}; it goes from 0 (source) to 1 (target)')
        share = torch.full((self.lr_size,) * 2, float(strength))
        if mask is not None:
            try:
                cells = torch.as_tensor(np.asarray(mask, dtype=np.float32))
            except (ValueError, TypeError, OverflowError):
                cells = torch.zeros(0)
            if cells.shape != share.shape or not ((cells >= 0) & (cells <= 1)).all():
                raise ValueError(
                    f'the mask is {tuple(cells.shape)}; it must have one share from 0 to 1 for '
                    f'each of {self.lr_size} x {self.lr_size} cells'
                )
            share = share * cells
        own = down(source, self.lr_size, self.lr_method)
        return own + share * (lr - own)

    def batch(self, source: Tensor, lr: Tensor, project: bool = False) -> list[Translation]:
        """Translate what is ready for the network, and compare it with its targets.

        Args:
            source: (B, 3, H, H) in [-1, 1].
            lr: (B, 3, s, s).
            project: See :meth:`translate`.
        """
        images = self.run(source, lr, project)
        shrunk = down(from_uint8(images), self.lr_size, self.lr_method)
        errors = (shrunk - lr).abs() * GREY_LEVELS
        return [
            Translation(
                image=Image.fromarray(image.permute(1, 2, 0).numpy()),
                target=y,
                error=error.amax(dim=0).numpy(),
                lr_mae=error.mean().item(),
                lr_worst=error.max().item(),
                projected=project,
                about=dict(self.about),
            )
            for image, y, error in zip(images, lr, errors)
        ]

    @torch.inference_mode()
    def run(self, source: Tensor, lr: Tensor, project: bool = False) -> Tensor:
        """Results (B, 3, H, H) uint8 of sources and LR targets, tensors in [-1, 1].

        Raises:
            ValueError: If the results are not finite.
        """
        source, lr = source.to(self.device), lr.to(self.device)
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp)
        with _without_denormals(), autocast:
            image = self.network(source, lr).float()
        if not image.isfinite().all():
            raise ValueError(
                'the model gives values that are not finite: its weights are broken; take an '
                'earlier checkpoint'
            )
        image = image.clamp(-1, 1)
        return (match(image, lr, self.lr_method) if project else to_uint8(image)).cpu()


@contextmanager
def _without_denormals() -> Iterator[None]:
    """Take denormal numbers as 0 in this thread: they slow a CPU down and mean nothing here."""
    kept = torch.full((1,), 1e-40).mul(1).item() > 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        if kept:
            torch.set_flush_denormal(False)


def _published(model: Any, cfg_options: Any) -> str:
    """The file of a model that is given without a checkpoint.

    Raises:
        ValueError: If it is a config.
    """
    name = os.fspath(model) if isinstance(model, (str, os.PathLike)) else None
    if name is None or name.endswith('.py'):
        raise ValueError(
            f"'{name or 'the model'}' is a config; give a checkpoint beside it, or a published "
            f"model alone, such as 'embedded:heads64'"
        )
    if cfg_options:
        raise ValueError('cfg_options change a config, and a published model has none: drop them')
    path = find_pretrained(name)
    return release_path(path) or path


def _name(picture: Any) -> str:
    return os.fspath(picture) if isinstance(picture, (str, os.PathLike)) else ''


def _named(picture: Any) -> str:
    return f"'{_name(picture)}' " if _name(picture) else 'the LR target '


def _expand(pictures: Any) -> list:
    """One picture, several, or all of a folder or zip, as a list.

    Raises:
        FileNotFoundError: If a folder or zip has no pictures.
    """
    if isinstance(pictures, (np.ndarray, Tensor)) and pictures.ndim == 4:
        return list(pictures)
    if isinstance(pictures, Iterable) and not isinstance(
        pictures, (str, os.PathLike, Image.Image, np.ndarray, Tensor)
    ):
        return list(pictures)
    name = _name(pictures)
    return [path for path, _ in pictures_in(name)] if is_root(name) else [pictures]


def is_root(name: str) -> bool:
    """Whether a name stands for several pictures: a folder, a zip or an embedded set."""
    if name.startswith(EMBEDDED):
        return True
    return '::' not in name and (os.path.isdir(name) or name.lower().endswith('.zip'))


def pictures_in(root: str) -> list[tuple[str, str]]:
    """All pictures of a folder, zip or embedded set, and their names in it, in natural order.

    Raises:
        FileNotFoundError: If there is no such place, or no picture in it.
    """
    place = resolve_root(root)
    names = sorted(list_pictures(place), key=natural)
    found = [(picture_path(place, name), name) for name in names]
    if not found:
        raise FileNotFoundError(f"there are no pictures in '{root}'")
    return found


def _usable(device: str | torch.device) -> torch.device:
    if device == 'auto':
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"the device '{device}' cannot be used here: {error}") from error
    return torch.device(device)


def _with_progress(blocks: list, shown: bool) -> Iterable:
    if not shown:
        return blocks
    from tqdm import tqdm

    return tqdm(blocks, unit='batch')


def _to_array(picture: Picture, least: int) -> np.ndarray:
    """(H, W, 3) uint8 of a picture in any accepted form.

    Raises:
        ValueError: If the shape, type or range is another.
    """
    if isinstance(picture, (str, os.PathLike)):
        return read_picture(os.fspath(picture), least)
    if isinstance(picture, Tensor):
        return _from_tensor(picture)
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or 0 in picture.shape:
            raise ValueError(
                f'an array of {picture.dtype} {picture.shape} was given; accepted are uint8 arrays '
                f'(H, W), (H, W, 3) and (H, W, 4)'
            )
        if picture.ndim == 3 and picture.shape[2] not in (3, 4):
            raise ValueError(f'an array of {picture.shape} was given; the last axis has 3 or 4')
        picture = Image.fromarray(picture)
    if isinstance(picture, Image.Image):
        try:
            return np.array(to_rgb(picture))
        except UNDECODABLE as error:
            raise ValueError(f'the picture cannot be decoded: {error}') from error
    raise ValueError(
        f'a {type(picture).__name__} was given; accepted are paths, PIL images, uint8 arrays and '
        f'tensors'
    )


def _from_tensor(picture: Tensor) -> np.ndarray:
    image = picture.detach().cpu()
    image = image[0] if image.ndim == 4 and len(image) == 1 else image
    if image.ndim != 3 or len(image) != 3 or 0 in image.shape:
        raise ValueError(
            f'a tensor of shape {tuple(picture.shape)} was given; accepted is (3, H, W)'
        )
    if image.is_floating_point():
        if not image.isfinite().all() or image.abs().max() > 1.001:
            raise ValueError(
                f'a float tensor with values {image.min():g} to {image.max():g} was given; floats '
                f'go from -1 to 1 (i2ilr_mm.lr.from_uint8)'
            )
        if image.min() >= 0:
            raise ValueError(
                f'a float tensor with values from {image.min():g} to {image.max():g} was given: '
                f'floats go from -1 to 1, and this may be a picture in [0, 1], as ToTensor makes '
                f'it; give x * 2 - 1 if it is, or uint8'
            )
        image = to_uint8(image)
    if image.dtype != torch.uint8:
        raise ValueError(f'a tensor of {image.dtype} was given; accepted are uint8 and floats')
    return image.permute(1, 2, 0).numpy()


def _to_tensor(array: np.ndarray) -> Tensor:
    return from_uint8(torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1))
