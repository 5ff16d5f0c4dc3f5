"""The checks of a machine: what passes, what fails and what is left out."""

import json
from pathlib import Path

import pytest
import torch
from conftest import TINY

from i2ilr.commands.benchmark import VARIANTS
from i2ilr_mm.benchmark import checks
from i2ilr_mm.benchmark.check import outcome, run_checks
from i2ilr_mm.benchmark.machine import Failed, LeftOut, Machine


class Prepared(Machine):
    """Its trainings and benchmarks are there already: files by the name of their run."""

    def train(self, name, *options, resume='', ranks=1, **env) -> str:
        return f'{self.out}/{name}'

    def command(self, name, *arguments, ranks=1, **env) -> str:
        return name


@pytest.fixture
def machine(tmp_path) -> Prepared:
    return Prepared(str(tmp_path), [], device='cuda', gpus=2)


def store(machine: Machine, name: str, step: int, value: float) -> None:
    folder = Path(machine.out, name)
    folder.mkdir(exist_ok=True)
    weight = {'generator.weight': torch.full((4,), value), 'discriminator.weight': torch.ones(2)}
    state = dict(
        state_dict=weight, optimizer=dict(state={0: dict(step=step)}), meta=dict(name=name)
    )
    torch.save(state, folder / f'iter_{step}.pth')


def test_a_resume_is_compared_bit_by_bit(machine):
    store(machine, 'whole', 6, 1.0)
    store(machine, 'stopped', 6, 1.0)
    assert 'equal' in checks.resumed(machine)
    store(machine, 'stopped', 6, 1.0 + 2**-23)
    with pytest.raises(Failed, match=r'state_dict\.generator\.weight differs'):
        checks.resumed(machine)


@pytest.mark.parametrize('other, passes', [(2.09, True), (2.11, False), (float('nan'), False)])
def test_ranks_are_compared_by_how_far_weights_moved(machine, other, passes):
    for name, step, value in (('ranks_1', 1, 1.0), ('ranks_1', 3, 2.0), ('ranks_2', 3, other)):
        store(machine, name, step, value)
    if passes:
        assert '9.0%' in checks.two_ranks(machine)
    else:
        with pytest.raises(Failed, match='at most 10%'):
            checks.two_ranks(machine)


def test_what_a_machine_cannot_do_is_left_out(machine):
    machine.gpus = 1
    with pytest.raises(LeftOut, match='one GPU'):
        checks.two_ranks(machine)
    machine.device = 'cpu'
    for check in (checks.translation, checks.first_step):
        with pytest.raises(LeftOut, match='no GPU'):
            check(machine)


@pytest.mark.parametrize('loss, passes', [(1.019, True), (1.03, False)])
def test_first_losses_are_compared(machine, loss, passes):
    for name, value in (('first_step_cpu', 1.0), ('first_step_gpu', loss)):
        folder = Path(machine.out, name, '20260101', 'vis_data')
        folder.mkdir(parents=True)
        (folder / 'scalars.json').write_text(json.dumps(dict(loss_d=value, loss_g=2.0)) + '\n')
    if passes:
        assert 'loss_d 1.0190 and 1.0000' in checks.first_step(machine)
    else:
        with pytest.raises(Failed, match='2%'):
            checks.first_step(machine)


def benchmarked(machine: Machine, apart: dict[str, float], left_out: str = '') -> None:
    """A report of `i2ilr benchmark` with the distance of each variant from float64."""
    folder = Path(machine.out, 'steps_x')
    folder.mkdir()
    report = dict(
        steps={name: dict(img_per_s=10.0) for name in VARIANTS if name != left_out},
        differences={k: dict(generator=v) for k, v in {'written plainly': 1e-3, **apart}.items()},
    )
    (folder / 'benchmark.json').write_text(json.dumps(report))


def test_steps_as_near_to_float64_as_their_precision_is(machine):
    benchmarked(machine, {'default': 0.019, 'bf16': 0.4})
    assert '10.0 pictures/s' in checks.steps(machine, 'x')


@pytest.mark.parametrize(
    'apart, left_out, message',
    [
        ({'compile': 0.021}, '', 'compile: generator is 2.1e-02'),
        ({'bf16': 0.6}, '', 'bf16: generator is 6.0e-01'),
        ({'default': float('nan')}, '', 'default: generator is nan'),
        ({}, 'CUDA graphs', 'CUDA graphs does not run'),
    ],
)
def test_steps_that_fail(machine, apart, left_out, message):
    benchmarked(machine, apart, left_out)
    with pytest.raises(Failed, match=message):
        checks.steps(machine, 'x')


def test_rounding_of_the_plain_step_is_no_failure(machine):
    """Kinks of leaky ReLUs can put the plain step far from float64, and ours with it."""
    benchmarked(machine, {'written plainly': 0.1, 'default': 0.4})
    checks.steps(machine, 'x')


def test_trouble_in_a_check_is_its_outcome(machine):
    def broken(machine):
        raise RuntimeError('two\nlines')

    result = outcome('it', broken, machine)
    assert (result.state, result.text) == ('FAILED', 'RuntimeError: two lines')


@pytest.mark.slow
def test_report_of_a_cpu(tmp_path, monkeypatch):
    """A training for real; what the other checks of it compare is in the tests above."""
    machine = Machine(str(tmp_path), [], options=TINY, device='cpu', gpus=0)

    def trained(machine):
        work = machine.train('one', 'train_cfg.max_iters=1')
        return f'{len(checks.losses(work))} step'

    def refused(machine):
        machine.train('none', 'train_cfg.max_iters=x')

    chosen = [('no GPU', checks.first_step), ('trained', trained), ('refused', refused)]
    monkeypatch.setattr('i2ilr_mm.benchmark.check.checks', lambda machine: chosen)
    assert [o.state for o in run_checks(machine)] == ['left out', 'passed', 'FAILED']
    report = json.loads((tmp_path / 'check.json').read_text())
    assert report['checks'][1]['text'] == '1 step'
    assert (tmp_path / 'one/iter_1.pth').is_file()
    text = (tmp_path / 'check.md').read_text()
    assert '| no GPU | left out | 0 | no GPU |' in text
    assert 'error: train_cfg.max_iters' in text and 'none.log |' in text
