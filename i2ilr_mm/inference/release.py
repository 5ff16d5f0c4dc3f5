"""Generators to hand on: one small file with the EMA weights alone, which runs no code when read.

It holds the weights as plain convolutions run with them (spectral norm folded in) and, as its
metadata, what the network was built from.
"""

import json
import os
from importlib.resources import files
from typing import Any

from torch import Tensor

from i2ilr.files import replacing

from ..datasets.pictures import EMBEDDED
from ..models.i2ilr import I2ILR

FORMAT = 'i2ilr_mm generator'
SUFFIX = '.safetensors'


def release_path(checkpoint: str) -> str | None:
    """The file of a published generator; None if the checkpoint is one of a training.

    Args:
        checkpoint: A path, or 'embedded:heads64', the model that ships with the package.

    Raises:
        FileNotFoundError: If no such model is embedded.
    """
    if not checkpoint.startswith(EMBEDDED):
        return checkpoint if checkpoint.endswith(SUFFIX) else None
    name = checkpoint.removeprefix(EMBEDDED)
    path = str(files('i2ilr_mm') / 'assets' / f'{name}_generator{SUFFIX}')
    if not os.path.isfile(path):
        raise FileNotFoundError(f"no model '{name}' is embedded; there is '{EMBEDDED}heads64'")
    return path


def publish(model: I2ILR, path: str, about: dict[str, Any]) -> None:
    """Write a model's EMA generator, ready for use.

    Args:
        model: The trained model.
        path: A new .safetensors file.
        about: More facts for the metadata; plain data.

    Raises:
        FileExistsError: If there is such a file.
        ValueError: If the name does not end in .safetensors.
    """
    from safetensors.torch import save_file

    if not path.endswith(SUFFIX):
        raise ValueError(f"'{path}' must end in {SUFFIX}, the format that it is written in")
    if os.path.exists(path):
        raise FileExistsError(f"'{path}' exists; choose another name, or move it away")
    state = model.generator_ema.deploy().state_dict()
    built = {
        name: getattr(model.generator_ema, name) for name in ('img_size', 'lr_size', 'exact_lr')
    }
    facts = dict(about, **built, lr_method=model.lr_method)
    with replacing(path) as partial:
        save_file(
            {name: value.detach().cpu().contiguous() for name, value in state.items()},
            partial,
            metadata=dict(format=FORMAT, **{k: json.dumps(v) for k, v in facts.items()}),
        )
        os.chmod(partial, 0o644)  # for others to read; safetensors leaves it to the owner alone


def read_release(path: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights of a file that :func:`publish` wrote, and what is known of them.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it was not written by :func:`publish`.
    """
    from safetensors import SafetensorError, safe_open

    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"there is no checkpoint '{path}'; check the path")
    try:
        with safe_open(path, 'pt') as file:
            facts = dict(file.metadata() or {})
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"'{path}' cannot be read as safetensors: {error}") from error
    if facts.pop('format', None) != FORMAT:
        raise ValueError(f"'{path}' holds no generator that tools/publish_model.py wrote")
    return state, {name: json.loads(value) for name, value in facts.items()}
