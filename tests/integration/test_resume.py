"""Runs killed by SIGKILL and resumed by the same command, against one that was never interrupted.

Flips are on in all of them.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, TINY
from states import assert_same, state

WORKER = Path(__file__).parent / 'resume_worker.py'
STEPS, BATCH = 8, 4
OPTIONS = [
    *TINY,
    f'train_cfg.max_iters={STEPS}',
    'train_cfg.val_interval=4',
    'val_evaluator=[{"type":"LRConsistency"}]',
    f'train_dataloader.batch_size={BATCH}',
    'default_hooks.checkpoint.interval=2',
    'default_hooks.checkpoint.save_best=lr_mae',
    'model.source_loss.queue_size=4',  # full from the second step on
    'model.generator.style=True',
    'default_hooks.checkpoint.max_keep_ckpts=1',
    'default_hooks.logger.interval=1',
    'default_hooks.samples.interval=100',
    'default_hooks.cost=None',
]


def run(folder: Path, name: str, data, *options: str, resume=None, **details) -> dict:
    """A run for the worker; its work dir is ``folder/name``."""
    command = ['configs/i2ilr_cats.py', '--work-dir', f'{folder}/{name}', '--resume']
    command += [str(resume)] if resume else []
    command += ['--cfg-options', f'data_root={data}', *OPTIONS, *options]
    return dict(args=command, journal=f'{folder}/{name}.journal', **details)


def train(*runs: dict) -> str:
    result = subprocess.run(
        [sys.executable, WORKER, json.dumps(runs)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-4000:]
    return result.stdout


def journal(path) -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def batches(path) -> dict[int, list[str]]:
    """Hashes of every batch; a step that was made twice must have read the same one."""
    result: dict[int, list[str]] = {}
    for line in journal(path):
        assert result.setdefault(line['step'], line['pictures']) == line['pictures']
    return result


def assert_same_end(whole: Path, resumed: Path) -> None:
    a, b = state(whole / 'iter_8.pth'), state(resumed / 'iter_8.pth')
    assert a.keys() == b.keys()
    for part in {'state_dict', 'optimizer', 'param_schedulers'} & a.keys():
        assert_same(a[part], b[part], part)
    for name in ('loss_d', 'loss_g', 'lr_error', 'kimg'):
        scalar = f'train/{name}'
        assert_same(*(c['message_hub']['log_scalars'][scalar] for c in (a, b)), scalar)


SCHEDULE = 'param_scheduler=[{"type":"MultiStepLR","milestones":[3,5],"by_epoch":False}]'


@pytest.mark.slow
def test_a_run_killed_anywhere_ends_as_if_it_had_not_been(heads, tmp_path):
    """The same command again and again, killed at another moment each time.

    At most one checkpoint is kept, and the number of workers changes on the way.
    """
    work, workers = tmp_path / 'killed', 'train_dataloader.num_workers=2'
    kills = [
        ('half iter_2.pth', []),  # the first one: the next run starts anew
        ('half iter_4.pth', [workers]),  # iter_2 is the only whole one
        ('step 4', [workers]),
        ('whole iter_4.pth', []),
        ('remove iter_2.pth', []),
        ('half best_lr_mae_iter_4.pth', []),
        ('step 6', [workers]),
        ('named iter_6.pth', []),
        ('whole iter_8.pth', [workers]),
    ]
    runs = [run(tmp_path, 'killed', heads, SCHEDULE, *more, kill=kill) for kill, more in kills]
    train(run(tmp_path, 'whole', heads, SCHEDULE), *runs)
    assert list(work.glob('iter_8.pth.*.partial')) and (work / 'iter_6.pth').is_file()
    # The run killed at 'named iter_6.pth' left the note at iter_4; the next one mended it.
    assert (work / 'last_checkpoint').read_text() == str(work / 'iter_6.pth')

    (work / 'iter_9.pth.123.partial').write_bytes(b'half')
    (work / 'mine.partial').write_bytes(b'')
    (work / 'iter_8.pth.tmp').write_bytes((work / 'iter_6.pth').read_bytes()[:999])
    (work / 'iter_7.pth').write_bytes((work / 'iter_6.pth').read_bytes()[:-1000])
    (work / 'last_checkpoint').write_text('')
    output = train(run(tmp_path, 'killed', heads, SCHEDULE))
    assert 'resumed epoch: 0, iter: 6' in output

    assert_same_end(tmp_path / 'whole', work)
    expected = batches(tmp_path / 'whole.journal')
    assert batches(tmp_path / 'killed.journal') == expected and len(expected) == STEPS
    # Twelve pictures, each read at least twice: without flips there would be twelve hashes.
    assert len({picture for batch in expected.values() for picture in batch}) > 12
    # The last run read what it needed for its two steps, and nothing again.
    assert [line['read'] for line in journal(tmp_path / 'killed.journal')[-2:]] == [4, 8]
    left = {path.name for path in work.glob('iter_*')} | {path.name for path in work.glob('*.par*')}
    assert left == {'iter_7.pth', 'iter_8.pth', 'iter_8.pth.tmp', 'mine.partial'}
    assert (work / 'last_checkpoint').read_text() == str(work / 'iter_8.pth')


@pytest.mark.slow
def test_processes_and_batch_may_change(heads, tmp_path):
    """In float64, as in test_distributed.py: two processes sum a batch in another order."""
    keep = 'default_hooks.checkpoint.max_keep_ckpts=-1'
    middle = tmp_path / 'one/iter_4.pth'
    double = ['train_dataloader.batch_size=8', 'train_cfg.max_iters=6']
    half, pair = 'train_dataloader.batch_size=2', dict(dtype='float64', ranks=2)
    train(
        run(tmp_path, 'one', heads, keep, dtype='float64'),
        run(tmp_path, 'two', heads, half, resume=middle, **pair),
        run(tmp_path, 'killed', heads, half, resume=middle, kill='step 7', **pair),
        run(tmp_path, 'killed', heads, half, **pair),
        run(tmp_path, 'double', heads, *double, resume=middle, dtype='float64'),
    )
    assert_same_end(tmp_path / 'two', tmp_path / 'killed')  # both processes, killed together
    one = batches(tmp_path / 'one.journal')
    ranks = [batches(tmp_path / f'two.journal.{rank}') for rank in (0, 1)]
    for step in range(5, 9):
        assert sorted(ranks[0][step] + ranks[1][step]) == sorted(one[step])
    a, b = (state(tmp_path / f'{name}/iter_8.pth')['state_dict'] for name in ('one', 'two'))
    difference = max((a[k] - b[k]).abs().max().item() for k in a)
    print(f'worst difference: {difference:.1e}')
    assert a.keys() == b.keys() and difference < 1e-7  # of steps of 1e-3
    assert batches(tmp_path / 'double.journal')[5] == one[5] + one[6]
