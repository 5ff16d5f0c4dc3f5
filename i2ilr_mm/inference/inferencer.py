"""Translation by the calls of MMagic's inferencers."""

import os
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from .translator import Picture, Translator


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
        self, img: Picture, target: Picture, result_out_dir: str = '', **dials: Any
    ) -> tuple[dict[str, Any], Tensor]:
        """Translate one picture.

        Args:
            img: The source, see :meth:`Translator.source`.
            target: The target, see :meth:`Translator.target`.
            result_out_dir: PNG file for the result, under the name that MMagic has for it; ''
                writes none.
            **dials: ``project``, ``strength``, ``mask``, see :meth:`Translator.translate`.

        Returns:
            A dict with ``infer_results``, the picture as (H, H, 3) uint8 array, and the entries of
            :meth:`Translation.report`; and the picture as (1, 3, H, H) tensor in [0, 1].

        Raises:
            ValueError: If a picture or a dial cannot be used.
        """
        (result,) = self.translator.translate([img], [target], **dials)
        if result_out_dir:
            result.save(os.fspath(result_out_dir))
        image = pil_to_tensor(result.image)
        found = dict(infer_results=image.permute(1, 2, 0).numpy(), **result.report())
        return found, image[None].float() / 255

    __call__ = infer
