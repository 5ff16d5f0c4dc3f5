"""Build the model of a config and load a checkpoint into it."""

import os
from typing import Any

import torch
from mmagic.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import load_state_dict

from ..building import config_errors
from ..config import load_config
from ..loading import check_state, load_weights_only, state_of
from ..models.i2ilr import I2ILR
from .release import read_release, release_path

TRAINING_PARTS = ('projected_discriminator', 'projected_loss', 'source_loss')
"""Parts of a model that look through a frozen network, and that no prediction needs."""


def init_model(
    config: str | os.PathLike | Config,
    checkpoint: str | os.PathLike | None = None,
    device: str | torch.device = 'cpu',
    cfg_options: dict[str, Any] | None = None,
) -> I2ILR:
    """Build an :class:`I2ILR` in eval mode.

    ``model.generator(source, lr)``, ``model.generator_ema(source, lr)`` and
    ``model.discriminator(image, residual)`` take and give plain tensors; ``model.predict`` gives
    clamped results of the EMA generator.

    Args:
        config: A config file, or a loaded config.
        checkpoint: A checkpoint of this project, a published generator
            (only ``generator`` and ``generator_ema`` have its weights then), or 'embedded:heads64',
            the one that ships with the package; None leaves the weights as initialised.
        device: Where to put the model.
        cfg_options: Options over the config's, dotted or plain, as for ``--cfg-options``.

    Raises:
        FileNotFoundError: If the config or the checkpoint does not exist.
        ValueError: If the checkpoint cannot be read or does not fit the config; names the first
            entries that differ.
    """
    cfg = load_config(config, cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmagic'))
    path = os.fspath(checkpoint) if checkpoint is not None else None
    if path and release_path(path):
        for part in TRAINING_PARTS:  # a published generator is used, not trained
            cfg.model.pop(part, None)
    with config_errors(cfg):
        model = MODELS.build(cfg.model)
    if path:
        load_weights(model, *read_weights(path), path)
    model.cfg = cfg
    return model.to(device).eval()


def read_weights(checkpoint: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a checkpoint, or a published generator.

    Returns:
        The state dict, and what a published generator says of itself ({} for a checkpoint).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read or is not ours.
    """
    release = release_path(checkpoint)
    return read_release(release) if release else (read_checkpoint(checkpoint), {})


def load_weights(model: I2ILR, state: dict[str, Any], facts: dict[str, Any], path: str) -> None:
    """Load what :func:`read_weights` gave; a published generator takes the place of both.

    Raises:
        ValueError: If it does not fit the model.
    """
    if not facts:
        load_state(model, state, path)
        return
    for name in ('img_size', 'lr_size', 'lr_method', 'exact_lr', 'lr_sizes'):
        own = getattr(model if name == 'lr_method' else model.generator_ema, name)
        # Files of format 1 have these beside lr_method, and no exact_lr where there is no layer.
        of_network = facts.get('network') or {}
        trained = facts.get(name, of_network.get(name))
        if name == 'lr_sizes':  # of a file without them, its one size
            trained = tuple(trained or own[:1])
        if trained != own:
            raise ValueError(
                f"'{path}' was trained with {name}={trained}, and this config has {own}: use the "
                f'config that it was trained with'
            )
    network = model.generator_ema.deploy()
    check_state(network, state, path)
    network.load_state_dict(state)
    model.generator = model.generator_ema = network
    model.facts = facts


def read_checkpoint(path: str) -> dict[str, Any]:
    """Read the state dict of one of our checkpoints.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read or is no checkpoint of ours.
    """
    return state_of(load_weights_only(path, map_location='cpu'), path)


def load_state(model: I2ILR, state: dict[str, Any], path: str) -> None:
    """Load every weight; nothing may be missing, left over or of another shape.

    Raises:
        ValueError: If the state dict, read from ``path``, does not fit.
    """
    check_state(model, state, path)
    load_state_dict(model, state, strict=True)  # MMEngine's: it looks inside wrappers
