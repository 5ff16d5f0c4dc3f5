"""Generators to hand on: one small file with the EMA weights alone, which runs no code when read.

It holds the weights as plain convolutions run with them (spectral norm folded in). Its metadata say
what the network is built from, what it was trained by, and what is known of it.
"""

import hashlib
import inspect
import json
import os
from functools import cache
from importlib.resources import files
from logging import WARNING
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from torch import Tensor, nn

import i2ilr_mm
from i2ilr.files import at_home, in_one_line, replacing

from ..datasets.pictures import EMBEDDED
from ..datasets.transforms import FITS
from ..loading import check_state, without_wrappers
from ..lr import DOWN_METHODS, check_choice
from ..models.generator import I2ILRGenerator
from ..models.i2ilr import I2ILR

FORMAT = 'i2ilr_mm generator'
VERSION = 2
"""1 did not describe the network; such a file still works beside its config."""

SUFFIX = '.safetensors'

MAX_SIZE = 8192
"""Largest picture side that a file is believed to ask for."""

TRAINING_ONLY = ('init', 'with_cp', 'norm')
"""Arguments of a generator that change nothing once it is deployed."""


def release_path(checkpoint: str) -> str | None:
    """The file of a published generator; None if the checkpoint is one of a training.

    Args:
        checkpoint: A path, or the name of a model that ships with the package, such as
            'embedded:heads64'.

    Raises:
        FileNotFoundError: If no such model is embedded.
    """
    if not checkpoint.startswith(EMBEDDED):
        return at_home(checkpoint) if checkpoint.endswith(SUFFIX) else None
    name = checkpoint.removeprefix(EMBEDDED)
    path = str(files('i2ilr_mm') / 'assets' / f'{name}_generator{SUFFIX}')
    if not os.path.isfile(path):
        embedded = [f"'{EMBEDDED}{n}'" for n in embedded_models()]
        raise FileNotFoundError(f"no model '{name}' is embedded; there is {' and '.join(embedded)}")
    return path


def embedded_models() -> list[str]:
    """Names of the models that ship with the package."""
    end = f'_generator{SUFFIX}'
    names = [file.name for file in (files('i2ilr_mm') / 'assets').iterdir()]
    return sorted(name.removesuffix(end) for name in names if name.endswith(end))


def describe(model: I2ILR) -> dict[str, Any]:
    """What a published file says of a model that :func:`init_model` built; plain data.

    Returns:
        network: Arguments of the generator, defaults included; None for one of another type than
            I2ILRGenerator.
        lr_method, fit: The LR operator, and how pictures come to the network's size.
        config, recipe: Name of the config, and its model, optimisers and schedule.
        steps, pictures: Updates of the average, and pictures per update times these.
    """
    cfg: Config = model.cfg
    generator = dict(cfg.model.generator)
    network = None
    if generator.pop('type') in ('I2ILRGenerator', I2ILRGenerator):
        defaults = {n: p.default for n, p in inspect.signature(I2ILRGenerator).parameters.items()}
        network = {
            n: generator.get(n, value) for n, value in defaults.items() if n not in TRAINING_ONLY
        }
        network['lr_method'] = model.lr_method  # of an exact layer, too: the model passes it on
    recipe = {k: cfg[k] for k in ('model', 'optim_wrapper', 'train_cfg') if k in cfg}
    batch_size = cfg.get('train_dataloader', {}).get('batch_size')
    facts = dict(
        network=network,
        lr_method=model.lr_method,
        fit=cfg.get('fit'),
        config=cfg.filename and os.path.basename(cfg.filename),
        recipe=json.loads(json.dumps(dict(recipe, batch_size=batch_size), default=str)),
        steps=model.steps,
        pictures=batch_size and model.steps * batch_size,
    )
    return {**facts, **getattr(model, 'facts', {})}


def publish(model: I2ILR, path: str, facts: dict[str, Any]) -> None:
    """Write a model's EMA generator, ready for use, and what it is (:func:`describe`).

    Args:
        model: The trained model, from :func:`init_model`.
        path: A new .safetensors file.
        facts: More facts for the metadata, such as ``data``, ``licence`` and ``scores``; plain
            data.

    Raises:
        FileExistsError: If there is such a file.
        ValueError: If the name does not end in .safetensors, or the generator is no I2ILRGenerator.
    """
    write_release(model.generator_ema.deploy(), {**describe(model), **facts}, path)


def write_release(network: nn.Module, facts: dict[str, Any], path: str) -> None:
    """Write a deployed generator; see :func:`publish`."""
    from safetensors.torch import save_file

    path = at_home(path)
    if not path.endswith(SUFFIX):
        raise ValueError(f"'{path}' must end in {SUFFIX}, the format that it is written in")
    if os.path.exists(path):
        raise FileExistsError(f"'{path}' exists; choose another name, or move it away")
    if not facts.get('network'):
        raise ValueError(
            'the generator is no I2ILRGenerator, and a published file can hold no other type; hand '
            'on the checkpoint and its config'
        )
    written = dict(format_version=VERSION, i2ilr_mm=i2ilr_mm.__version__)
    metadata = {name: json.dumps(value) for name, value in {**facts, **written}.items()}
    metadata['format'] = FORMAT
    state = {name: v.detach().cpu().contiguous() for name, v in network.state_dict().items()}
    metadata['sha256'] = _digest(state, metadata)
    with replacing(path) as partial:
        save_file(state, partial, metadata=metadata)
        os.chmod(partial, 0o644)  # for others to read; safetensors leaves it to the owner alone


def _digest(state: dict[str, Tensor], metadata: dict[str, str]) -> str:
    """Checksum of weights and metadata, which does not depend on their order."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(f'{name} {value.dtype} {list(value.shape)}\n'.encode())
        digest.update(value.contiguous().view(-1).view(torch.uint8).numpy().data)
    digest.update(json.dumps(metadata, sort_keys=True).encode())
    return digest.hexdigest()


def weights_hash(network: nn.Module) -> str:
    """Hash of a network's weights, 16 digits; it does not depend on the file that holds them."""
    digest = hashlib.sha256()
    for value in network.state_dict().values():
        digest.update(value.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def read_release(path: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights of a file that :func:`publish` wrote, and what is known of them.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it was not written by :func:`publish`, or by a newer release of it, or is
            damaged. Files of before the checksum are believed.
    """
    path = at_home(path)
    state, metadata = _read_safetensors(path)
    if metadata.get('format') != FORMAT:
        raise ValueError(
            f"'{path}' holds no generator of this project: its metadata does not say so; write "
            f'one from a checkpoint with `i2ilr publish`'
        )
    checksum = metadata.pop('sha256', None)
    try:
        facts = {name: json.loads(v) for name, v in metadata.items() if name != 'format'}
    except ValueError as error:
        raise ValueError(f"the metadata of '{path}' is damaged: {error}") from error
    version = facts.pop('format_version', 1)
    if not isinstance(version, int) or version > VERSION:
        raise ValueError(
            f"'{path}' was written by i2ilr_mm {facts.get('i2ilr_mm')}, in format {version}; this "
            f'is {i2ilr_mm.__version__}, which reads up to {VERSION}: update i2ilr_mm'
        )
    if checksum is not None and checksum != _digest(state, metadata):
        raise ValueError(f"'{path}' is damaged: its checksum differs; fetch or write it again")
    _say_terms(os.path.basename(path), str(facts.get('licence')), str(facts.get('data') or ''))
    return without_wrappers(state), facts


@cache  # said once
def _say_terms(name: str, licence: str, data: str) -> None:
    if 'NC' in licence.upper().split('-'):
        terms = f"'{name}' is for non-commercial use alone, by its licence {licence}"
        trained = f'; it was trained on {data}' if data else ''
        print_log(in_one_line(terms + trained), 'current', WARNING)


def _read_safetensors(path: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    if not os.path.isfile(path):
        raise FileNotFoundError(f"there is no checkpoint '{path}'; check the path")
    try:
        with safe_open(path, 'pt') as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return state, dict(file.metadata() or {})
    except SafetensorError as error:
        if not path.endswith(SUFFIX):
            raise ValueError(
                f"'{path}' is no {SUFFIX} file, which a model that describes itself is: give a "
                f'checkpoint with its config (CONFIG CHECKPOINT), or make such a file of it with '
                f'`i2ilr publish`'
            ) from error
        raise ValueError(
            f"'{path}' is damaged, or no {SUFFIX} file ({error}): fetch or write it again"
        ) from error


def load_generator(path: str) -> tuple[I2ILRGenerator, dict[str, Any]]:
    """Build a published generator from what its file says.

    Returns:
        The deployed network in eval mode, on the CPU; and the facts, see :func:`describe`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it does not describe its network, or the description cannot be built or does
            not fit the weights.
    """
    state, facts = read_release(path)
    described = facts.get('network')
    if not isinstance(described, dict):
        raise ValueError(
            f"'{path}' does not describe its network, as it was written by an earlier release; "
            f'give the config it was trained with, too'
        )
    try:
        check_choice('lr_method', facts['lr_method'], DOWN_METHODS)
        check_choice('fit', facts.get('fit') or FITS[0], FITS)
        network = _described_network(described, state, path)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"the network that '{path}' describes does not work: {error}") from error
    network.load_state_dict(state)
    return network.eval(), facts


def _described_network(described: dict[str, Any], state: dict, path: str) -> I2ILRGenerator:
    # First without memory, so that a description cannot ask for more than the file holds.
    if not 0 < described['img_size'] <= MAX_SIZE:
        raise ValueError(f'img_size is {described["img_size"]}, at most {MAX_SIZE} is possible')
    with torch.device('meta'):
        sketch = I2ILRGenerator(**{**described, 'norm': 'none'})
    check_state(sketch.deploy(), state, path)
    return I2ILRGenerator(**{**described, 'norm': 'none'}).deploy()
