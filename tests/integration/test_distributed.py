"""Two gloo processes against one with the same total batch."""

import os

import pytest
import torch
from conftest import TINY, fork

WORKER = os.path.join(os.path.dirname(__file__), 'ddp_worker.py')


def train(root, heads, tmp_path, dtype: str, ranks: int) -> list[dict]:
    """Five steps with eight pictures in all; returns the state of every rank."""
    name = f'ranks{ranks}'
    command = [
        WORKER,
        str(tmp_path / f'{name}_rank'),
        dtype,
        str(root / 'configs/i2ilr_cats.py'),
        *(('--launcher', 'pytorch') if ranks > 1 else ()),
        *('--work-dir', str(tmp_path / name), '--cfg-options', f'data_root={heads}', *TINY),
        *(
            'train_cfg.max_iters=5',
            'model.source_loss.queue_size=8',  # full from the second step on
            'model.generator.style=True',
            'train_cfg.val_interval=5',
            'val_evaluator=[{"type":"LRConsistency"}]',
        ),
        *(f'train_dataloader.batch_size={8 // ranks}', 'default_hooks.logger.interval=1'),
        'default_hooks.cost=None',
    ]
    result = fork(command, tmp_path, ranks=ranks)
    assert result.returncode == 0, result.stdout[-4000:]
    return [
        torch.load(tmp_path / f'{name}_rank{rank}.pth', weights_only=True) for rank in range(ranks)
    ]


def worst_difference(a: dict, b: dict) -> float:
    assert a.keys() == b.keys()
    return max((a[k].double() - b[k].double()).abs().max().item() for k in a)


@pytest.mark.slow
def test_two_processes_equal_one(root, heads, tmp_path):
    """In float64: in float32 Adam with beta1 = 0 cannot be compared element by element.

    It makes whole steps of gradients that are nothing but rounding, and summing a batch in two
    parts rounds differently.
    """
    first, second = train(root, heads, tmp_path, 'float64', 2)
    (single,) = train(root, heads, tmp_path, 'float64', 1)
    assert int(single['_extra_state']) == 5
    assert worst_difference(first, second) == 0
    difference = worst_difference(first, single)
    print(f'worst difference after 5 steps: {difference:.2e}')
    assert difference < 1e-5
    names = [
        torch.load(tmp_path / f'ranks{n}/iter_5.pth', weights_only=True)['state_dict'].keys()
        for n in (1, 2)
    ]
    assert names[0] == names[1]
