"""The checks of `i2ilr check`: each says in a line what it saw, or raises why it did not pass."""

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from i2ilr_mm.inference import Translator
from i2ilr_mm.inference.places import expand
from i2ilr_mm.loading import load_weights_only

from .machine import Failed, LeftOut, Machine
from .variants import REFERENCE

LEVELS = 2
"""A translation on the GPU may differ from the CPU's by this many grey levels, TF32 included."""

FIRST_LOSS = 0.02
"""The losses of the first step may differ by this share between devices."""

FLOAT32, BFLOAT16 = 0.02, 0.5
"""Relative distance of losses and gradients from float64, for each precision. Where the step that
is written plainly is farther away in float32, five times its distance."""

RANKS = 0.1
"""Distance of two ranks' weights from one's, as a share of how far the training moved them."""


def checks(machine: Machine) -> Iterator[tuple[str, Callable[[Machine], str]]]:
    """Name and function of each check, in the order in which they run."""
    yield 'translation as on the CPU', translation
    yield 'first step as on the CPU', first_step
    yield 'resume, bit by bit', resumed
    yield 'two ranks as one', two_ranks
    for config in machine.configs:
        yield f'steps of {config}', partial(steps, config=config)


def translation(machine: Machine) -> str:
    """Results of the shipped model on the GPU and on the CPU, in float32 and bfloat16."""
    _ask_for_a_gpu(machine)
    pictures = expand('embedded:heads64')[:8]
    results = {}
    for name, options in (
        ('cpu', dict(device='cpu')),
        ('float32', dict(device=machine.device)),
        ('bfloat16', dict(device=machine.device, amp=True)),
    ):
        made = Translator('embedded:heads64', **options).translate(pictures, pictures[::-1])
        results[name] = torch.stack([torch.as_tensor(r.image).int() for r in made])
    worst = {k: (v - results['cpu']).abs().max().item() for k, v in results.items()}
    if worst['float32'] > LEVELS:
        raise Failed(f'{worst["float32"]} grey levels apart; at most {LEVELS} are expected')
    return f'worst pixel {worst["float32"]} grey levels apart, {worst["bfloat16"]} in bfloat16'


def first_step(machine: Machine) -> str:
    """The losses of one step from the same weights and pictures, on both devices."""
    _ask_for_a_gpu(machine)
    runs = [
        machine.train('first_step_gpu', 'train_cfg.max_iters=1'),
        machine.train('first_step_cpu', 'train_cfg.max_iters=1', CUDA_VISIBLE_DEVICES=''),
    ]
    gpu, cpu = (losses(run)[0] for run in runs)
    apart = {k: abs(gpu[k] - cpu[k]) / max(abs(cpu[k]), 1e-3) for k in ('loss_d', 'loss_g')}
    text = ', '.join(f'{k} {gpu[k]:.4f} and {cpu[k]:.4f}' for k in apart)
    if max(apart.values()) > FIRST_LOSS:
        raise Failed(f'{text}; they may differ by {FIRST_LOSS:.0%}')
    return text


def resumed(machine: Machine) -> str:
    """Six steps at once, and the same six with a stop after three."""
    whole = machine.train('whole', 'train_cfg.max_iters=6')
    machine.train('stopped', 'train_cfg.max_iters=3')
    stopped = machine.train('stopped', 'train_cfg.max_iters=6', resume='_resumed')
    if different := first_difference(_trained(whole), _trained(stopped)):
        raise Failed(f'after three more steps {different} differs from a run without a stop')
    return 'weights and optimisers are equal to the last bit'


def two_ranks(machine: Machine) -> str:
    """Three steps of two processes against one with the same total batch."""
    if machine.device == 'cuda' and machine.gpus < 2:
        raise LeftOut('one GPU: two processes need two')
    runs = [
        machine.train(
            f'ranks_{n}',
            'train_cfg.max_iters=3',
            f'train_dataloader.batch_size={4 // n}',
            ranks=n,
        )
        for n in (2, 1)
    ]
    two, one = (_generator(f'{run}/iter_3.pth') for run in runs)
    moved = (one - _generator(f'{runs[1]}/iter_1.pth')).norm()
    share = ((two - one).norm() / moved).item()
    text = f'weights are {share:.1%} of their movement apart'
    if not share <= RANKS:
        raise Failed(f'{text}; at most {RANKS:.0%} are expected')
    return text


def steps(machine: Machine, config: str) -> str:
    """All variants of the step: each must run, and be as near to float64 as its precision is."""
    machine.command(
        f'steps_{config}',
        *('benchmark', config, '--variants', 'all', '--rounds', str(machine.rounds)),
        *('--no-data', '--out', os.path.join(machine.out, f'steps_{config}')),
        *(['--cfg-options', *machine.options] if machine.options else []),
    )
    with open(os.path.join(machine.out, f'steps_{config}', 'benchmark.json')) as file:
        report = json.load(file)
    if wrong := [*_missing(report), *_far(report['differences'])]:
        raise Failed('; '.join(wrong))
    best = max(report['steps'], key=lambda name: report['steps'][name]['img_per_s'])
    rate = report['steps'][best]['img_per_s']
    return f'all variants run; fastest: {best}, {rate:.1f} pictures/s'


def _ask_for_a_gpu(machine: Machine) -> None:
    if machine.device == 'cpu':
        raise LeftOut('no GPU')


def _missing(report: dict[str, Any]) -> list[str]:
    """Variants that did not run."""
    from i2ilr.commands.benchmark import VARIANTS

    return [
        f'{name} does not run (see the log)' for name in VARIANTS if name not in report['steps']
    ]


def _far(differences: dict[str, dict[str, float]]) -> list[str]:
    """Variants that are farther from float64 than their precision explains."""
    wrong = []
    for name, apart in differences.items():
        for part, value in apart.items():
            rounding = 5 * differences[REFERENCE][part]
            most = max(BFLOAT16 if 'bf16' in name else FLOAT32, rounding)
            if not value <= most:
                wrong.append(f'{name}: {part} is {value:.1e} from float64, at most {most:.1e}')
    return wrong


def losses(work: str) -> list[dict[str, float]]:
    """The scalars that a training logged, a line per step."""
    (folder,) = (d for d in os.scandir(work) if os.path.isdir(os.path.join(d, 'vis_data')))
    with open(os.path.join(folder, 'vis_data', 'scalars.json')) as file:
        return [line for line in map(json.loads, file) if 'loss_d' in line]


def first_difference(a: Any, b: Any, name: str = '') -> str:
    """Name of the first entry in which two checkpoints differ, '' if they are the same."""
    if isinstance(a, torch.Tensor):
        same = isinstance(b, torch.Tensor) and torch.equal(a, b)
        return '' if same else name
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        pairs = [(f'{name}.{key}'.lstrip('.'), a[key], b[key]) for key in a]
    elif isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        pairs = [(f'{name}.{i}', *pair) for i, pair in enumerate(zip(a, b))]
    else:
        return '' if a == b else name
    return next(filter(None, (first_difference(x, y, key) for key, x, y in pairs)), '')


def _trained(work: str) -> dict[str, Any]:
    state = load_weights_only(f'{work}/iter_6.pth')
    return {part: state[part] for part in ('state_dict', 'optimizer')}


def _generator(checkpoint: str) -> torch.Tensor:
    state = load_weights_only(checkpoint)['state_dict']
    parts = [v.double().flatten() for k, v in state.items() if k.startswith('generator.')]
    return torch.cat(parts)
