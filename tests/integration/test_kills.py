"""Commands killed by SIGKILL at random moments, and given again.

``KILLS=30 pytest tests/integration/test_kills.py`` kills each command 30 times; ``KILL_SEED``
chooses other moments. test_resume.py has the moments at which most can go wrong in training.
"""

import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from conftest import ROOT, TINY, fork, tiny
from PIL import Image
from states import assert_same, state

from i2ilr_mm.inference import init_model

KILLS = int(os.environ.get('KILLS', 3))
SEED = int(os.environ.get('KILL_SEED', 0))
CONFIG = 'configs/i2ilr_heads64.py'
STEPS = 8
OPTIONS = [
    *TINY,
    f'train_cfg.max_iters={STEPS}',
    'train_cfg.val_interval=4',
    'val_evaluator=[{"type":"LRConsistency"}]',
    'default_hooks.checkpoint.interval=2',
    'default_hooks.checkpoint.save_best=lr_mae',
    'default_hooks.checkpoint.max_keep_ckpts=1',
    'default_hooks.samples.interval=2',
    'default_hooks.cost=None',
]


class Killed:
    """Gives a command again and again, each time with another moment to be killed at.

    Args:
        command: A tool and its arguments.
        seconds: How long it takes if it is left alone.
    """

    def __init__(self, command: list[str], seconds: float) -> None:
        self.command, self.seconds = command, seconds
        self.rng = random.Random(f'{SEED} {command[0]}')
        self.count = 0

    def once(self) -> bool:
        """Whether it was killed, and did not end before."""
        result = fork(self.command, ROOT, kill=self.rng.uniform(0, self.seconds))
        assert result.returncode in (0, -9), result.stdout[-4000:]
        self.count += result.returncode == -9
        return result.returncode == -9


def finish(command: list[str]) -> tuple[float, str]:
    """Run a command to its end; seconds and output."""
    start = time.perf_counter()
    result = fork(command, ROOT)
    assert result.returncode == 0, result.stdout[-4000:]
    return time.perf_counter() - start, result.stdout


def killed_runs(
    command: Callable[[str], list[str]], seconds: float, times: int, look: Callable[[str], None]
) -> Iterator[str]:
    """Names of runs that were each killed up to so many times, and then ended.

    Args:
        command: The command of a run, from its name.
        seconds: How long it takes.
        times: Kills of one run at most.
        look: Looks at a run after each kill, by its name.
    """
    killed, rounds = Killed(command('0'), seconds), 0
    while killed.count < KILLS:
        name = str(rounds)
        killed.command = command(name)
        for _ in range(times):
            goes_on = killed.once()
            look(name)
            if not goes_on:
                break
        finish(killed.command)
        yield name
        rounds += 1
    print(f'{Path(killed.command[0]).stem}: {killed.count} kills in {rounds} runs')


def tool(name: str, *arguments: object) -> list[str]:
    return [str(ROOT / 'tools' / f'{name}.py'), *map(str, arguments)]


@pytest.mark.slow
def test_training(heads, tmp_path):
    def command(name: str) -> list[str]:
        options = ['--cfg-options', f'data_root={heads}', *OPTIONS]
        return tool('train', CONFIG, '--work-dir', tmp_path / name, '--resume', *options)

    seconds, _ = finish(command('whole'))
    whole = state(tmp_path / 'whole/iter_8.pth')

    def look(name: str) -> None:
        for path in (tmp_path / name).glob('*.pth'):
            torch.load(path, weights_only=True)
        for path in (tmp_path / name).glob('samples/*.png'):
            Image.open(path).load()

    for name in killed_runs(command, seconds, 4, look):
        resumed = state(tmp_path / name / 'iter_8.pth')
        for part in ('state_dict', 'optimizer', 'param_schedulers'):
            assert_same(whole.get(part), resumed.get(part), part)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('run') / 'a.pth'
    torch.save(dict(state_dict=init_model(ROOT / CONFIG, cfg_options=tiny()).state_dict()), path)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder that have their names; reports say when they were written to."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file() and path.suffix not in ('.partial', '.jsonl')
    }


@pytest.mark.slow
def test_translating(checkpoint, heads, tmp_path):
    def command(name: str) -> list[str]:
        places = ['--source', heads / 'val', '--target', heads / 'val', '--all-pairs']
        places += ['--out', tmp_path / name, '--grid', tmp_path / f'{name}.png']
        return tool('translate', CONFIG, checkpoint, *places, '--cfg-options', *TINY)

    seconds, _ = finish(command('whole'))
    whole = contents(tmp_path / 'whole')
    assert len(whole) == 36

    def look(name: str) -> None:
        if (tmp_path / name).is_dir():
            assert contents(tmp_path / name).items() <= whole.items()

    for name in killed_runs(command, seconds, 3, look):
        assert contents(tmp_path / name) == whole
        assert (tmp_path / f'{name}.png').read_bytes() == (tmp_path / 'whole.png').read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize('folder', [True, False])
def test_publishing(checkpoint, tmp_path, folder):
    def command(name: str) -> list[str]:
        place = tmp_path / name / ('model' if folder else 'model.safetensors')
        return tool('publish_model', CONFIG, checkpoint, place, '--cfg-options', *TINY)

    def written(name: str) -> dict[str, bytes]:
        place = tmp_path / name / ('model' if folder else '')
        return contents(place) if place.is_dir() else {}

    seconds, _ = finish(command('whole'))
    whole = written('whole')
    assert whole.keys() == ({'README.md', 'model.safetensors'} if folder else {'model.safetensors'})
    killed, rounds = Killed(command('0'), seconds), 0
    while killed.count < KILLS:
        killed.command = command(str(rounds))
        if killed.once():
            assert written(str(rounds)).items() <= whole.items()
            if 'model.safetensors' not in written(str(rounds)):
                finish(killed.command)
        assert written(str(rounds)) == whole
        rounds += 1
    print(f'publishing: {killed.count} kills in {rounds} runs, 0 differing bits, 0 half files')
