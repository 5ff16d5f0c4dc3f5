"""Reading checkpoint files without running code that they hold."""

import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from i2ilr.files import at_home


@contextmanager
def strict_loading() -> Iterator[None]:
    """Make MMEngine read local checkpoints without unpickling code, and refuse remote ones.

    MMEngine 0.10.7 calls torch.load without ``weights_only``: before torch 2.6 that runs any code
    in the file, since 2.6 it refuses MMEngine's own checkpoints, whose HistoryBuffer objects pickle
    a call of getattr, which nothing safe can allow. Our commands work inside of this, and our
    PlainCheckpointHook writes plain data. Elsewhere in the process MMEngine keeps its ways.
    """
    from mmengine.runner.checkpoint import CheckpointLoader

    schemes = CheckpointLoader._schemes
    before = dict(schemes)
    for prefix in schemes:
        schemes[prefix] = refuse_remote_checkpoint if prefix else load_weights_only
    try:
        yield
    finally:
        schemes.update(before)


def refuse_remote_checkpoint(filename: str, map_location: Any = None) -> None:
    """MMEngine's download schemes unpickle what they fetch; a local file is needed.

    Raises:
        ValueError: Always.
    """
    raise ValueError(f"'{filename}': fetch checkpoints yourself and give the path of the file")


def load_weights_only(filename: str, map_location: Any = None) -> Any:
    """Read a checkpoint file; only tensors and plain data, never code.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no checkpoint, is damaged, or holds anything but plain data.
    """
    import torch

    path = at_home(filename)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"there is no checkpoint '{filename}'; check the path")
    with open(path, 'rb') as file:
        zipped = file.read(4) == b'PK\3\4'
    if zipped and not is_whole(path):  # torch does not look at the checksums
        raise ValueError(f"'{filename}' is damaged; use another checkpoint, or fetch it again")
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:  # the kinds differ between torch versions and kinds of damage
        raise ValueError(_why_not(filename, str(error))) from error


def _why_not(filename: str, error: str) -> str:
    """Why a checkpoint cannot be read, from what torch says."""
    named = re.search(r'(?:GLOBAL|class) ([\w.]+)', error)
    reason = f"it holds code ('{named[1]}')" if named else 'it is damaged or no such file'
    advice = 'code in checkpoints is never loaded'
    if named and named[1].endswith('.HistoryBuffer'):
        advice += (
            ". MMEngine's CheckpointHook writes such files: train with "
            "default_hooks.checkpoint.type='PlainCheckpointHook', or, of a file of your own, keep "
            "the weights: torch.save({'state_dict': torch.load(FILE, weights_only=False)"
            "['state_dict']}, NEW_FILE)"
        )
    return (
        f"'{filename}' cannot be read as a PyTorch checkpoint of tensors and plain data: {reason}; "
        f'{advice}'
    )


def state_of(checkpoint: Any, path: str) -> dict[str, Any]:
    """The state dict of one of our checkpoints, read from ``path``.

    Wrappers of several GPUs put 'module.' before what they hold; the names come without it.

    Raises:
        ValueError: If it is no checkpoint of ours.
    """
    state = checkpoint.get('state_dict') if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict):
        hint = ''
        if isinstance(checkpoint, dict) and 'Gen' in checkpoint:
            hint = '; it looks like one of the published code: convert it with i2ilr convert'
        raise ValueError(f"'{path}' holds no 'state_dict' and is no checkpoint of ours{hint}")
    return without_wrappers(state)


def without_wrappers(state: dict[str, Any]) -> dict[str, Any]:
    """The same values, by their names without the 'module.' of distributed wrappers."""
    return {re.sub(r'(^|\.)module\.', r'\1', str(name)): value for name, value in state.items()}


def is_whole(path: str) -> bool:
    """Whether a checkpoint is a zip, which torch.save writes, and all in it has its checksum."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:  # the kinds differ with the damage
        return False


def check_state(model: Any, state: dict[str, Any], path: str) -> None:
    """Compare names and shapes of a state dict with a module's.

    Raises:
        ValueError: If they differ, or a value is not finite; names the first entries.
    """
    import torch

    expected = model.state_dict()
    broken = [n for n, v in state.items() if torch.is_tensor(v) and not v.isfinite().all()]
    if broken:
        raise ValueError(
            f"'{path}' holds values that are not finite, in {len(broken)} of {len(state)} entries, "
            f'first {broken[0]}: the training went astray, or the file is damaged; use another'
        )
    wrong = state_differences(expected, state)
    if wrong:
        raise ValueError(
            f"'{path}' does not fit the model of this config: {_summary(expected, state)}; first "
            f'{"; ".join(wrong[:3])}; use the config (and the img_size, lr_size and widths) that '
            f'it was trained with'
        )


def _summary(expected: dict[str, Any], given: dict[str, Any]) -> str:
    """How many entries of two state dicts differ, and how."""
    common = expected.keys() & given.keys()
    if not common:
        return f'none of its {len(given)} entries is one of the {len(expected)} of the model'
    reshaped = state_differences(
        {name: expected[name] for name in common}, {name: given[name] for name in common}
    )
    counts = {
        'missing': len(expected) - len(common),
        'of another shape': len(reshaped),
        'unknown': len(given) - len(common),
    }
    text = ', '.join(f'{kind}: {count}' for kind, count in counts.items() if count)
    return f'entries {text}; the model has {len(expected)}'


def state_differences(expected: dict[str, Any], given: dict[str, Any]) -> list[str]:
    """What differs between two state dicts in names and shapes, a line per entry."""
    shapes = [
        {name: tuple(getattr(value, 'shape', ('no tensor',))) for name, value in state.items()}
        for state in (expected, given)
    ]
    return [
        f'{name} is {shapes[1].get(name, "missing")}, expected {shapes[0].get(name, "nothing")}'
        for name in sorted(expected.keys() | given.keys())
        if shapes[0].get(name) != shapes[1].get(name)
    ]
