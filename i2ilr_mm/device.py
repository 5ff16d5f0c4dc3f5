"""Where and how a network runs."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def usable_device(device: str | torch.device) -> torch.device:
    """The device of that name; 'auto' is a GPU where there is one.

    Raises:
        ValueError: If it cannot be used here.
    """
    if device == 'auto':
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"the device '{device}' cannot be used here: {error}") from error
    return torch.device(device)


@contextmanager
def without_denormals() -> Iterator[None]:
    """Treat denormal numbers as 0 in this thread. They slow a CPU down and mean nothing here."""
    had_denormals = torch.full((1,), 1e-40).mul(1).item() > 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        if had_denormals:
            torch.set_flush_denormal(False)
