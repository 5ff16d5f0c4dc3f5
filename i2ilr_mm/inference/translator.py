"""Translate pictures: any source, any LR target, and how well the result meets it."""

import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor
from tqdm import tqdm

from ..binding import match_part
from ..datasets.transforms import FITS
from ..device import usable_device, without_denormals
from ..lr import to_uint8
from .dials import Dials, dial, lr_sizes_at, partly, side_of
from .hub import find_pretrained, published, push_to_hub, save_pretrained
from .inputs import Picture, in_range, name_of, read_pairs
from .model import init_model
from .places import expand, pair_up
from .reader import InputReader
from .release import describe, load_generator, weights_hash
from .translation import Failure, Translation, measured


class Translator(InputReader):
    """A model ready to translate pictures of any size and kind.

    Args:
        model: A published generator: a .safetensors file, a folder with one, or
            'embedded:heads64'. With a checkpoint: its config, as a file, a name or loaded.
        checkpoint: A checkpoint of a training, or a published generator; None if ``model`` is one.
        device: 'auto' takes a GPU where there is one.
        batch_size: Pictures that go through the network at once.
        cfg_options: Options over the config's.
        amp: Run the network under bfloat16 autocast, which GPUs do faster. Otherwise it runs in
            float32, as the scores of tools/test.py do unless the config sets ``model.autocast``.
        size: Side H of sources and results, up to twice the trained one; None is that one. Cells
            stay as large as in training, so LR targets grow along.

    Attributes:
        partial: Whether it takes free cells.
        facts: What is known of the model, see :func:`i2ilr_mm.inference.release.describe`.
        metadata: Name of the checkpoint, hash of the weights, LR operator and fit: text entries of
            every result's file.

    Raises:
        FileNotFoundError: If the model, config or checkpoint does not exist.
        ValueError: If the checkpoint does not fit the config, the file does not describe a network,
            or the device or the size cannot be used.

    Examples:
        >>> model = Translator('embedded:heads64', device='cpu')
        >>> source, target = torch.full((3, 64, 64), -0.5), torch.full((3, 8, 8), -0.25)
        >>> (result,) = model.translate(source, target, project=True)
        >>> result.image.size, result.reached
        ((64, 64), True)
    """

    def __init__(
        self,
        model: str | os.PathLike | Config,
        checkpoint: str | os.PathLike | None = None,
        device: str | torch.device = 'auto',
        batch_size: int = 16,
        cfg_options: dict[str, Any] | None = None,
        amp: bool = False,
        size: int | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f'batch_size is {batch_size}; at least 1 is needed')
        self.device, self.batch_size, self.amp = usable_device(device), batch_size, amp
        if checkpoint is None:
            network, self.facts = load_generator(published(model, cfg_options))
        else:
            built = init_model(model, checkpoint, cfg_options=cfg_options)
            network, self.facts = built.generator_ema.deploy(), describe(built)
        self.network = network.to(self.device)
        self.img_size = network.img_size if size is None else size
        self.partial = network.partial
        self.lr_size, self.lr_sizes = lr_sizes_at(self.img_size, network)
        self.lr_method, self.fit = self.facts['lr_method'], self.facts['fit'] or FITS[0]
        self.metadata = dict(
            checkpoint=os.path.basename(os.fspath(model if checkpoint is None else checkpoint)),
            weights=weights_hash(self.network),
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
            **options: ``device``, ``batch_size``, ``amp`` and ``size``, as for the class.

        Raises:
            FileNotFoundError: If there is no such place, or no model in it.
            ImportError: If a Hub id is given and the Hub's client is not installed.
            OSError: If the Hub cannot be reached or has no such model.
            ValueError: If the file is no published generator of this project.
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

    def translate(
        self,
        sources: Picture | Sequence[Picture],
        targets: Picture | Sequence[Picture],
        pairs: str = 'zip',
        project: bool = False,
        strength: float = 1.0,
        mask: Any = None,
        progress: bool = False,
        lr_size: int | None = None,
        grey: bool = False,
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
            mask: (s, s) in [0, 1], the share of the target in each cell; None is 1 everywhere. 0
                leaves a cell free: a model with ``partial`` decides what it shows, another one is
                asked for the source's own LR picture there.
            progress: Show a bar.
            lr_size: Side s of the LR targets, see :meth:`target`; None with a mask is the mask's.
            grey: Take the luma of the targets alone, with the colours of the source's own LR
                picture; for drawings and old photographs.

        Returns:
            One translation per pair.

        Raises:
            ValueError: If a picture cannot be used, or a dial is out of range.
        """
        todo = pair_up(expand(sources), expand(targets), pairs)
        results = []
        stream = self.stream(todo, Dials(project, strength, mask, lr_size, grey))
        for result in tqdm(stream, total=len(todo), unit='picture', disable=not progress):
            if isinstance(result, Failure):
                raise result.error
            results.append(result)
        return results

    def stream(
        self, pairs: Sequence[tuple[Any, Any]], dials: Dials, read: Any = None
    ) -> Iterator[Translation | Failure]:
        """Translate pairs one after the other, in batches; what :meth:`translate` consumes.

        Args:
            pairs: Sources and targets.
            dials: See :meth:`translate`.
            read: Has ``source`` and ``target`` to read the pictures by; None takes this object's.

        Yields:
            For each pair in turn its translation, or why one of its pictures cannot be used.

        Raises:
            ValueError: If a dial is out of range.
        """
        self.check(dials)
        read = self if read is None else read
        lr_size = dials.lr_size or side_of(dials.mask, self.lr_sizes)
        for start in range(0, len(pairs), self.batch_size):
            block = pairs[start : start + self.batch_size]
            tensors, failures = read_pairs(block, read, lr_size)
            results = iter(self._translated(tensors, dials))
            for i, (source, target) in enumerate(block):
                result = Failure(failures[i]) if i in failures else next(results)
                result.source_name, result.target_name = name_of(source), name_of(target)
                yield result

    def check(self, dials: Dials) -> None:
        """Refuse dials that this model does not have, or that are out of range.

        Raises:
            ValueError: Saying what is accepted.
        """
        self.check_lr_size(dials.lr_size)
        source = torch.zeros(1, 3, self.img_size, self.img_size)
        size = dials.lr_size or side_of(dials.mask, self.lr_sizes) or self.lr_size
        self.turned(source, torch.zeros(1, 3, size, size), dials)

    def _translated(
        self, pairs: list[tuple[Tensor, Tensor]], dials: Dials
    ) -> Iterator[Translation]:
        """Pairs in turn, neighbours with LR targets of one size together."""
        for _, group in groupby(pairs, key=lambda pair: pair[1].shape):
            source, lr = (torch.stack(column) for column in zip(*group))
            yield from self.batch(source, self.turned(source, lr, dials), dials.project)

    def dial(
        self,
        source: Tensor,
        lr: Tensor,
        strength: float = 1.0,
        mask: Any = None,
        grey: bool = False,
    ) -> Tensor:
        """What the network is asked for, (B, 3, s, s), or (B, 4, s, s) if a part of it binds.

        Args:
            source: (B, 3, H, H) in [-1, 1].
            lr: (B, 3, s, s), the LR targets.
            strength: See :meth:`translate`; so are ``mask`` and ``grey``.
            mask: Share of the target in each cell.
            grey: Whether the colours are the source's.

        Raises:
            ValueError: If a dial is out of range, or the model does not have it.
        """
        blended = None if self.partial else mask
        lr = dial(source, lr, self.lr_method, strength, blended, grey)
        return in_range(partly(lr, mask) if self.partial and mask is not None else lr)

    def turned(self, source: Tensor, lr: Tensor, dials: Dials) -> Tensor:
        """:meth:`dial` by all dials at once."""
        return self.dial(source, lr, dials.strength, dials.mask, dials.grey)

    def batch(self, source: Tensor, lr: Tensor, project: bool = False) -> list[Translation]:
        """Translate what is ready for the network, and compare it with its targets.

        Args:
            source: (B, 3, H, H) in [-1, 1].
            lr: What :meth:`dial` returns.
            project: See :meth:`translate`.
        """
        images = self.run(source, lr, project)
        return measured(images, lr, self.lr_method, project, self.metadata)

    @torch.inference_mode()
    def run(self, source: Tensor, lr: Tensor, project: bool = False) -> Tensor:
        """Results (B, 3, H, H) uint8 of sources and LR targets, tensors in [-1, 1].

        Raises:
            ValueError: If the results are not finite.
        """
        source, lr = source.to(self.device), lr.to(self.device)
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp)
        with without_denormals(), autocast:
            image = self.network(source, lr).float()
        if not image.isfinite().all():
            raise ValueError(
                'the model gives values that are not finite: its weights are broken; take an '
                'earlier checkpoint'
            )
        image = image.clamp(-1, 1)
        return (match_part(image, lr, self.lr_method) if project else to_uint8(image)).cpu()
