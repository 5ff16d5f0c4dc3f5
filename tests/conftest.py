import json
import os
import socket
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import pytest
import torch

from i2ilr.main import keep_freed_memory

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(Path(__file__).parent))

import warm  # noqa: E402

warm.format_configs_once()
keep_freed_memory()
torch.set_flush_denormal(True)
if 'PYTEST_XDIST_WORKER' in os.environ:
    torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest test, which would keep one worker busy after all others are done."""
    items.sort(key=lambda item: 'test_learning' not in item.nodeid)


@cache
def forks() -> subprocess.Popen:
    """The process of forks.py, one for each worker of the tests; it ends with them."""
    return subprocess.Popen(
        [sys.executable, Path(__file__).parent / 'forks.py'],
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def fork(
    argv: list[str], cwd: Path, kill: float | None = None, ranks: int = 1, **env: str
) -> subprocess.CompletedProcess:
    """Run a Python script in a process that has imported PyTorch and MMagic before.

    After ``kill`` seconds it is killed, if it runs still. Several ``ranks`` are processes that find
    each other as torchrun's do. Of ``env`` only what is not read by an import has an effect.
    """
    argv, variables = [str(part) for part in argv], [env]
    if ranks > 1:
        env.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=free_port(), WORLD_SIZE=str(ranks))
        variables = [{**env, 'RANK': str(i), 'LOCAL_RANK': str(i)} for i in range(ranks)]
    with tempfile.NamedTemporaryFile('r', encoding='utf-8') as output:
        command = dict(argv=argv, cwd=str(cwd), output=output.name, kill=kill, ranks=variables)
        server = forks()
        server.stdin.write(json.dumps(command) + '\n')
        server.stdin.flush()
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(argv, code, output.read())


def call(*command: str, cwd: Path = ROOT, check: bool = True, **env: str):
    """Run a command as a user would; the output of both streams is in ``stdout``."""
    command = [str(part) for part in command]
    script = Path(command[1]).parent == ROOT / 'tools' and command[0] == sys.executable
    if script and env.keys() <= {'HOME'} and '--help' not in command:
        result = fork(command[1:], cwd, **env)
    else:
        result = run_anew(command, cwd, env)
    if check:
        assert result.returncode == 0, result.stdout[-4000:]
    return result


def run_anew(command: list[str], cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess:
    """Run a command in a process that starts from nothing."""
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, 'OMP_NUM_THREADS': '1', **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors='backslashreplace',
    )


def free_port() -> str:
    """A port of this machine that nothing listens on."""
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return str(sock.getsockname()[1])


@pytest.fixture(scope='session')
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope='session')
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small real pictures: {train,val}/{female,male}/*.jpg, 12 and 6 of them."""
    folder = tmp_path_factory.mktemp('heads')
    with zipfile.ZipFile(ROOT / 'i2ilr_mm/assets/heads64.zip') as archive:
        for split, count, target in (('train', 6, 'train'), ('test', 3, 'val')):
            for kind in ('female', 'male'):
                names = [n for n in archive.namelist() if n.startswith(f'{split}/{kind}/')]
                (folder / target / kind).mkdir(parents=True)
                for name in sorted(names)[:count]:
                    (folder / target / kind / Path(name).name).write_bytes(archive.read(name))
    return folder


TINY = [
    'img_size=32',
    'lr_size=8',
    'model.generator.base_channels=4',
    'model.generator.max_channels=8',
    'model.discriminator.base_channels=4',
    'model.discriminator.max_channels=8',
    'train_dataloader.batch_size=4',
]
"""--cfg-options that make any config train in seconds."""


def tiny() -> dict[str, int]:
    """TINY as load_config takes it."""
    return {k: int(v) for k, v in (option.split('=') for option in TINY)}


tiny_options = pytest.fixture(tiny, name='tiny_options')


def untrained(path: Path, options: dict, config: str = 'i2ilr_heads64') -> str:
    """Publish a model that was not trained: the same one for the same arguments."""
    from i2ilr_mm.inference import init_model
    from i2ilr_mm.inference.release import publish

    torch.manual_seed(0)
    publish(init_model(ROOT / f'configs/{config}.py', cfg_options=options), str(path), {})
    return str(path)


@pytest.fixture(scope='session')
def translator(root, tmp_path_factory):  # type: ignore[no-untyped-def]
    """A Translator with a small untrained model of 32 px."""
    from i2ilr_mm.inference import Translator

    config, options = root / 'configs/i2ilr_heads64.py', tiny()
    path = untrained(tmp_path_factory.mktemp('m') / 'a.safetensors', options)
    return Translator(config, path, device='cpu', batch_size=2, cfg_options=options)


@pytest.fixture(scope='session')
def pictures(heads) -> list[str]:
    """Six files of ``heads``."""
    return sorted(str(path) for path in heads.rglob('*.jpg'))[:6]
