"""One rank of a distributed run: train by tools/train.py's own path, then store this rank's state.

Usage: ddp_worker.py OUT_PREFIX DTYPE CONFIG [arguments of tools/train.py]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from i2ilr.commands import train
from i2ilr.main import run

if __name__ == '__main__':
    prefix, dtype = sys.argv.pop(1), sys.argv.pop(1)
    main = train.main

    def train_and_keep(arguments):
        from mmengine.dist import get_rank
        from mmengine.runner import Runner

        original = Runner.train

        def train_and_store(self):
            model = original(self)
            state = getattr(model, 'module', model).state_dict()
            torch.save(state, f'{prefix}{get_rank()}.pth')
            return model

        Runner.train = train_and_store
        main(arguments)

    torch.set_num_threads(1)
    torch.set_default_dtype(getattr(torch, dtype))
    train.main = train_and_keep
    run('train')
    # A thread of gloo's that is left could abort the process when Python exits.
    names = [path.read_text().strip() for path in Path('/proc/self/task').glob('*/comm')]
    if 'pt_gloo_runloop' in names:
        sys.exit(f'threads are left: {names}')
