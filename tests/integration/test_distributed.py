"""Two gloo processes against one with the same total batch."""

import os
import socket
import subprocess
import sys

import pytest
import torch
from conftest import TINY

WORKER = os.path.join(os.path.dirname(__file__), 'ddp_worker.py')


def free_port() -> str:
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return str(sock.getsockname()[1])


def train(root, heads, tmp_path, name: str, ranks: int, *options: str) -> list[dict]:
    """Five steps with eight pictures in all; returns the state of every rank."""
    launch = [sys.executable, WORKER]
    launcher = []
    if ranks > 1:
        launch = [
            sys.executable,
            *('-m', 'torch.distributed.run', '--nproc-per-node', str(ranks)),
            *('--master-port', free_port(), WORKER),
        ]
        launcher = ['--launcher', 'pytorch']
    command = [
        *launch,
        str(tmp_path / f'{name}_rank'),
        str(root / 'configs/i2ilr_heads64.py'),
        *launcher,
        *('--work-dir', str(tmp_path / name), '--cfg-options', f'data_root={heads}', *TINY),
        *(
            'train_cfg.max_iters=5',
            'train_cfg.val_interval=5',
            'val_evaluator=[dict(type="LRConsistency")]',
        ),
        *(f'train_dataloader.batch_size={8 // ranks}', 'default_hooks.logger.interval=1'),
        'train_pipeline.2.flip_ratio=0.0',
        'train_dataloader.dataset.pipeline.2.flip_ratio=0.0',
        *options,
    ]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return [
        torch.load(tmp_path / f'{name}_rank{rank}.pth', weights_only=True) for rank in range(ranks)
    ]


def worst_difference(a: dict, b: dict) -> float:
    assert a.keys() == b.keys()
    return max((a[k].double() - b[k].double()).abs().max().item() for k in a)


@pytest.mark.slow
def test_two_processes_equal_one(root, heads, tmp_path, record_property):
    first, second = train(root, heads, tmp_path, 'two', 2)
    (single,) = train(root, heads, tmp_path, 'one', 1)
    assert worst_difference(first, second) == 0
    weights = {k: v for k, v in single.items() if not k.endswith('bias')}
    difference = worst_difference({k: first[k] for k in weights}, weights)
    everything = worst_difference(first, single)
    print(f'worst difference of weights {difference:.2e}, with biases {everything:.2e}')
    assert everything < 1e-5
