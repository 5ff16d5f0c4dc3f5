"""Training runs by tools/train.py's own path, each in a process of its own, killed on request.

Usage: resume_worker.py RUNS, a JSON list of objects with
    args: arguments of tools/train.py;
    kill: None, or the event at which the run kills itself by SIGKILL: 'step N' (the N-th
        batch is read), 'half FILE' (half of it written), 'whole FILE' (written, without its name),
        'named FILE' (in place), 'remove FILE' (about to be deleted);
    journal: file that gets a line of JSON per step: its iteration, a hash of every picture of the
        batch, and how many training pictures this process has read so far;
    ranks: number of processes (1); their journals end in .0, .1, ...
    dtype: 'float32' or 'float64'.

The processes are forked, as importing torch anew takes longer than everything else.
"""

import hashlib
import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
import warm
from mmengine.fileio import LocalBackend
from mmengine.logging import MessageHub
from torch._subclasses.fake_tensor import FakeTensor

from i2ilr.commands import train
from i2ilr_mm.datasets import ImagePool
from i2ilr_mm.models import I2ILR


def name_of(path) -> str:
    """The name that a partial file is going to have."""
    name = os.path.basename(path)
    return name.rsplit('.', 2)[0] if name.endswith('.partial') else name


def watch_files(event) -> None:
    replace, remove, put = os.replace, os.remove, LocalBackend.put

    def watched_put(self, obj, filepath):
        with open(filepath, 'wb') as file:
            file.write(obj[: len(obj) // 2])
        event(f'half {name_of(filepath)}')
        put(self, obj, filepath)

    def watched_replace(source, target):
        event(f'whole {name_of(target)}')
        replace(source, target)
        event(f'named {name_of(target)}')

    def watched_remove(path, **options):
        event(f'remove {name_of(path)}')
        remove(path, **options)

    os.replace, os.remove, LocalBackend.put = watched_replace, watched_remove, watched_put


def watch_steps(event, journal: str) -> None:
    prepare, step = ImagePool.prepare_data, I2ILR.train_step
    read = []

    def watched_prepare(self, idx):
        read.extend([idx] if type(self) is ImagePool else [])
        return prepare(self, idx)

    def watched_step(self, data, optim_wrapper):
        if isinstance(data['inputs']['img'], FakeTensor):  # CostHook counts a step
            return step(self, data, optim_wrapper)
        pictures = [hashlib.sha1(p.numpy()).hexdigest() for p in data['inputs']['img']]
        iteration = MessageHub.get_current_instance().get_info('iter') + 1
        line = dict(step=iteration, pictures=pictures, read=len(read))
        with open(journal, 'a') as file:
            file.write(json.dumps(line) + '\n')
        event(f'step {iteration}')
        return step(self, data, optim_wrapper)

    ImagePool.prepare_data, I2ILR.train_step = watched_prepare, watched_step


def child(run: dict, rank: int, port: int) -> None:
    """Train, and leave without Python's clean-up, which belongs to the parent."""

    def event(name: str) -> None:
        if name == run.get('kill'):
            os.kill(os.getpid(), signal.SIGKILL)

    status = 1
    try:
        ranks, args, journal = run.get('ranks', 1), run['args'], run['journal']
        if ranks > 1:
            os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(ranks))
            os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
            args, journal = [args[0], '--launcher', 'pytorch', *args[1:]], f'{journal}.{rank}'
        watch_files(event)
        watch_steps(event, journal)
        torch.set_default_dtype(getattr(torch, run.get('dtype', 'float32')))
        sys.argv[1:] = args
        train.main(train.parse_args(sys.argv[1:], 'train'))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def start(run: dict, rank: int, port: int) -> int:
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        child(run, rank, port)
    return pid


if __name__ == '__main__':
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    warm.import_late_modules()
    warm.format_configs_once()
    for run in json.loads(sys.argv[1]):
        with socket.socket() as sock:
            sock.bind(('127.0.0.1', 0))
            port = sock.getsockname()[1]
        pids = [start(run, rank, port) for rank in range(run.get('ranks', 1))]
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        print(f'exit {codes} of {run}', flush=True)
        if any(code != (-signal.SIGKILL if run.get('kill') else 0) for code in codes):
            sys.exit(f'expected otherwise: {codes}')
