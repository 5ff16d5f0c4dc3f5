"""Two and four gloo processes against one: steps and options."""

from pathlib import Path

import pytest
import torch
from conftest import ROOT, fork

WORKER = Path(__file__).parent / 'scale_worker.py'
VARIANTS = (
    'standard',
    'lazy',
    'accumulation',
    'lazy accumulation',
    'checkpointing',
    'dial',
    'bf16',
)


@pytest.fixture(scope='module')
def ranks(tmp_path_factory) -> dict[int, list[dict]]:
    """By number of processes, the networks of each rank."""
    folder = tmp_path_factory.mktemp('scale')
    results = {}
    for count in (1, 2, 4):
        out = folder / f'of{count}'
        out.mkdir()
        done = fork([WORKER, out], ROOT, ranks=count, HOME=str(folder))
        assert done.returncode == 0, done.stdout[-4000:]
        results[count] = [
            torch.load(out / f'rank{rank}.pth', weights_only=True) for rank in range(count)
        ]
    return results


@pytest.mark.slow
@pytest.mark.parametrize('count', [2, 4])
@pytest.mark.parametrize('variant', VARIANTS)
def test_steps_of_several_processes_are_those_of_one(ranks, variant, count):
    """Parameters after four Adam steps in float64, gradients of the first one in float32.

    In float32, Adam with beta1 = 0 makes whole steps of gradients that are nothing but rounding.
    bf16 keeps 8 bits, of sums over other parts of the batch.
    """
    single = ranks[1][0][variant]
    mine = [networks[variant] for networks in ranks[count]]
    for other in mine[1:]:
        for part in ('trained', 'gradients'):
            assert all(torch.equal(mine[0][part][k], other[part][k]) for k in mine[0][part])
    assert mine[0]['trained'].keys() == single['trained'].keys()
    for name, value in single['trained'].items() if variant != 'bf16' else ():
        assert (mine[0]['trained'][name] - value).abs().max() < 1e-5, name
    tolerance = 2e-2 if variant == 'bf16' else 1e-5
    assert mine[0]['gradients'].keys() == single['gradients'].keys()
    for name, value in single['gradients'].items():
        difference = ((mine[0]['gradients'][name] - value).norm() / value.norm()).item()
        print(f'{variant}, {count} processes, {name}: {difference:.1e}')
        assert difference < tolerance, name


@pytest.mark.slow
@pytest.mark.parametrize('count', [2, 4])
def test_gradients_are_exchanged_once_per_step(ranks, count):
    assert [networks['reductions'] for networks in ranks[count]] == [3] * count


@pytest.mark.slow
def test_accumulation_equals_the_whole_batch(ranks):
    networks = ranks[1][0]
    for name, value in networks['standard']['trained'].items():
        other = networks['accumulation']['trained'][name]
        assert (other - value).abs().max() < 1e-5, name
    assert len(networks['lazy']['gradients']) == 1 + len(networks['standard']['gradients'])
