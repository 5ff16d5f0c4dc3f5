"""Checkpoints of the published code, brought into our names.

They are dicts with the state dicts 'Gen', 'Dis' and 'AverageG', and the optimisers' 'optG' and
'optD', which are left behind.
"""

import os
import re
from typing import Any

import torch
from torch import Tensor

from i2ilr.files import at_home, replacing

from ..loading import load_weights_only, state_differences
from ..models.discriminator import LRResidualDiscriminator
from ..models.generator import I2ILRGenerator

PARTS = {'Gen': 'generator', 'AverageG': 'generator_ema', 'Dis': 'discriminator'}

_BLOCK_RULES = [
    (r'\bconv1x1\.conv\.', 'shortcut.'),
    (r'\b(conv[12])\.conv\.', r'\1.'),
    (r'\b(ms[12])\.conv\.conv\.', r'\1.conv.'),
    (r'\b(norm[12])\.conv_weight\.', r'\1.scale.'),
    (r'\b(norm[12])\.conv_bias\.', r'\1.shift.'),
]

_GENERATOR_RULES = [
    (r'^from_rgb\.0\.conv\.', 'from_rgb.'),
    (r'^down_block\.', 'encoder.'),
    (r'^block\.', 'decoder.'),
    (r'^to_rgb\.0\.', 'to_rgb.norm.'),
    (r'^to_rgb\.2\.conv\.', 'to_rgb.conv.'),
    *_BLOCK_RULES,
]


def _discriminator_rules(state: dict[str, Tensor]) -> list[tuple[str, str]]:
    """Rules for one discriminator: main.i and last_block.i count on from different places."""
    main = [int(m[1]) for m in (re.match(r'main\.(\d+)\.', name) for name in state) if m]
    last = [int(m[1]) for m in (re.match(r'last_block\.(\d+)\.', name) for name in state) if m]
    if not main or not last or set(main) != set(range(max(main) + 1)) or max(last) > len(state):
        raise ValueError("'Dis' has no layers named main.0, main.1, ... and last_block.*")
    # last_block: conditional block, further blocks, LReLU, 4x4 conv, LReLU, 1x1 conv.
    end = max(last)
    return [
        (r'^main\.0\.conv\.', 'from_rgb.'),
        *((rf'^main\.{i}\.', f'blocks.{i - 1}.') for i in range(1, max(main) + 1)),
        (r'^last_block\.0\.', 'conditional.'),
        (rf'^last_block\.{end - 2}\.conv\.', 'conv.'),
        (rf'^last_block\.{end}\.conv\.', 'to_logits.'),
        *((rf'^last_block\.{i}\.', f'tail.{i - 1}.') for i in range(1, end - 3)),
        *_BLOCK_RULES,
    ]


def _rename(state: dict[str, Tensor], rules: list[tuple[str, str]]) -> dict[str, Tensor]:
    renamed = {}
    for name, value in state.items():
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        renamed[name] = value
    return renamed


def _part(checkpoint: Any, key: str) -> dict[str, Tensor]:
    state = checkpoint.get(key) if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict) or not state:
        contents = ', '.join(map(str, checkpoint)) if isinstance(checkpoint, dict) else 'no dict'
        raise ValueError(
            f"a checkpoint of the published code holds the state dicts 'Gen', 'Dis' and "
            f"'AverageG'; '{key}' is not among what this file holds: {contents[:200]}"
        )
    if not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        raise ValueError(f"'{key}' holds entries that are no named tensors; it is no state dict")
    broken = [name for name, value in state.items() if not value.isfinite().all()]
    if broken:
        raise ValueError(f"'{key}' holds values that are not finite, in {broken[0]}")
    return {name.removeprefix('module.'): value for name, value in state.items()}


def convert(checkpoint: Any) -> dict[str, Any]:
    """Turn a loaded checkpoint of the published code into one that ``I2ILR`` loads strictly.

    Args:
        checkpoint: Dict with the state dicts 'Gen', 'Dis' and 'AverageG'.

    Returns:
        ``{'state_dict': ..., 'meta': ...}``; meta holds img_size, lr_size and the widths.

    Raises:
        ValueError: If parts, layers or shapes are missing, unknown or wrong; says which.
    """
    parts = {key: _part(checkpoint, key) for key in PARTS}
    rules = {
        'Gen': _GENERATOR_RULES,
        'AverageG': _GENERATOR_RULES,
        'Dis': _discriminator_rules(parts['Dis']),
    }
    renamed = {key: _rename(parts[key], rules[key]) for key in PARTS}
    sizes = _sizes(renamed)
    state_dict: dict[str, Any] = {}
    for key, name in PARTS.items():
        _check_fits(key, renamed[key], sizes)
        state_dict.update({f'{name}.{k}': v.float() for k, v in renamed[key].items()})
    # The published average is long past its warm-up: keep its decay at the full 0.999.
    state_dict['_extra_state'] = torch.tensor(100_000)
    return dict(state_dict=state_dict, meta=dict(source='published I2I-LR code', **sizes))


def _sizes(renamed: dict[str, dict[str, Tensor]]) -> dict[str, int]:
    """Read picture size, LR size and widths off the weights' shapes."""
    generator, discriminator = renamed['Gen'], renamed['Dis']
    try:
        base = generator['from_rgb.weight_orig'].shape[0]
        first = discriminator['from_rgb.weight_orig'].shape[0]
        steps = len({n.split('.')[1] for n in discriminator if n.startswith('blocks.')})
        widest = generator['decoder.0.conv1.weight_orig'].shape[1]
        img_size = 2**14 // first  # the published width is 2^14 / H
    except KeyError as error:
        raise ValueError(f'the checkpoint lacks the layer {error}') from error
    except (IndexError, ZeroDivisionError) as error:
        raise ValueError('the first layers of the checkpoint have impossible shapes') from error
    return dict(
        img_size=img_size, lr_size=img_size // 2**steps, base_channels=base, max_channels=widest
    )


def _check_fits(key: str, state: dict[str, Tensor], sizes: dict[str, int]) -> None:
    with torch.device('meta'):
        if key == 'Dis':
            widths = dict(sizes, base_channels=None)
            network: torch.nn.Module = LRResidualDiscriminator(**widths)  # type: ignore[arg-type]
        else:
            network = I2ILRGenerator(**sizes)  # type: ignore[arg-type]
    wrong = state_differences(network.state_dict(), state)
    if wrong:
        raise ValueError(
            f"'{key}' does not fit the published architecture at {sizes['img_size']} px, LR "
            f'{sizes["lr_size"]}: {len(wrong)} entries differ, first: {"; ".join(wrong[:3])}'
        )


def convert_file(source: str, target: str) -> dict[str, Any]:
    """Read, :func:`convert` and write a checkpoint file; an existing target is not touched.

    Returns:
        The meta dict with the sizes.

    Raises:
        FileNotFoundError: If there is no source file.
        FileExistsError: If the target exists.
        ValueError: If the source cannot be read or converted.
    """
    target = at_home(target)
    if os.path.exists(target):
        raise FileExistsError(f"'{target}' exists already; delete it or name another file")
    converted = convert(load_weights_only(source, map_location='cpu'))
    with replacing(target) as partial:
        torch.save(converted, partial)
    return converted['meta']
