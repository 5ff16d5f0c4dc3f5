"""Translation by the calls of MMagic's inferencers."""

import os
from typing import Any

import numpy as np
import torch
from torch import Tensor

from i2ilr.files import at_home

from .inputs import Picture
from .translator import Translator


class I2ILRInferencer:
    """As ``mmagic.apis.MMagicInferencer``: made with a model, called with pictures.

    Args:
        model_config: A config file.
        model_ckpt: A checkpoint, a published generator, or 'embedded:heads64'.
        device: None takes a GPU where there is one.

    Raises:
        FileNotFoundError: If the config or the checkpoint does not exist.
        ValueError: If the checkpoint does not fit the config.
    """

    def __init__(
        self, model_config: str, model_ckpt: str, device: str | torch.device | None = None
    ) -> None:
        self.translator = Translator(model_config, model_ckpt, device or 'auto')

    def infer(
        self,
        img: Picture | list[Picture],
        target: Picture | list[Picture],
        result_out_dir: str = '',
        **dials: Any,
    ) -> tuple[dict[str, Any] | list[dict[str, Any]], Tensor]:
        """Translate one picture, or several.

        Args:
            img: The source, or several, see :meth:`Translator.translate`.
            target: The target, or several.
            result_out_dir: PNG file for the result (MMagic's name for it); for several results a
                new folder, in which they are numbered. '' writes none.
            **dials: ``project``, ``strength``, ``mask``, ``pairs``, ``lr_size``, ``grey``, see
                :meth:`Translator.translate`.

        Returns:
            A dict with ``infer_results``, the picture as (H, H, 3) uint8 array, and the entries of
            :meth:`Translation.report`, or a list of such; and the pictures as (B, 3, H, H) uint8
            tensor, RGB, which the next call takes as it is.

        Raises:
            FileExistsError: If the file or folder exists.
            ValueError: If a picture or a dial cannot be used.
        """
        out = at_home(result_out_dir)
        if out and os.path.exists(out):
            raise FileExistsError(f"result_out_dir: '{out}' exists; give a new name")
        results = self.translator.translate(img, target, **dials)
        images = [torch.from_numpy(np.array(result.image)) for result in results]
        for i, result in enumerate(results):
            if out:
                result.save(os.path.join(out, f'{i:05d}.png') if len(results) > 1 else out)
        entries = [
            dict(infer_results=image.numpy(), **result.report())
            for image, result in zip(images, results)
        ]
        pictures = torch.stack(images).permute(0, 3, 1, 2)
        return entries[0] if len(entries) == 1 else entries, pictures

    __call__ = infer
