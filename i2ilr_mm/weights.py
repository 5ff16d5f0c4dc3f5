"""Weight files of feature networks: where they lie, and whether they are the right ones."""

import hashlib
import importlib.util
import os
from dataclasses import dataclass

import torch

from i2ilr.files import at_home

from .compat import fitting_torchvision

CACHE_DIR = '~/.cache/i2ilr_mm'


def sha256(path: str) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, 'rb') as file:
        return hashlib.sha256(file.read()).hexdigest()


@dataclass(frozen=True)
class WeightFile:
    """A published weight file; nothing here downloads it.

    Attributes:
        name: What it holds, for messages.
        url: Where it is published.
        sha256: Its SHA-256, or as many of its first digits as its publisher states.
    """

    name: str
    url: str
    sha256: str

    def find(self, given: str | None = None) -> str:
        """Path of the file, once its content is known to be right.

        Args:
            given: The user's path, or None for the usual place: :data:`CACHE_DIR`, or else where
                torch.hub, and so torchvision and torch-fidelity, keep what they have fetched.

        Raises:
            FileNotFoundError: If it is not there; says what to put where.
            ValueError: If it is another file.
        """
        path, usual = self._path(given)
        description = f'{self.name}, {self.url}, SHA-256 {self.sha256}'
        if len(self.sha256) < 64:
            description += '... (its first digits)'
        if not os.path.isfile(path):
            raise FileNotFoundError(
                f"the weight file '{path}' is not there: fetch {description}, and put it at "
                f"'{usual}', or set the option weights to where it lies"
            )
        digest = sha256(path)
        if not digest.startswith(self.sha256):
            raise ValueError(
                f"'{path}' is another file, or damaged: its SHA-256 is {digest}; wanted is "
                f'{description}'
            )
        return path

    def _path(self, given: str | None) -> tuple[str, str]:
        """Where the file is looked for, and the usual place."""
        file_name = self.url.rsplit('/', 1)[1]
        usual = os.path.join(at_home(CACHE_DIR), file_name)
        torch_path = os.path.join(torch.hub.get_dir(), 'checkpoints', file_name)
        if given:
            return at_home(given), usual
        fetched = not os.path.isfile(usual) and os.path.isfile(torch_path)
        return torch_path if fetched else usual, usual


def check_torchvision(name: str) -> None:
    """Networks that MMagic, lpips and StarGAN v2 take from torchvision need it.

    Raises:
        ImportError: If it is missing; names the release that fits the installed torch.
    """
    if importlib.util.find_spec('torchvision') is None:
        raise ImportError(
            f"{name} needs torchvision: pip install 'torchvision{fitting_torchvision()}', or leave "
            f'this network out of the scores'
        )
