import os

import pytest
import torch
from mmengine.config import Config

from i2ilr_mm.apis import runner
from i2ilr_mm.apis.runner import build_runner, set_work_dir


def test_work_dir_order():
    for given, config, expected in [('a', 'b', 'a'), (None, 'b', 'b'), (None, None, 'work_dirs/c')]:
        cfg = Config(dict(work_dir=config))
        set_work_dir(cfg, given, 'c.py')
        assert cfg.work_dir == expected


@pytest.mark.parametrize('gpu', [True, False])
@pytest.mark.parametrize('deterministic', [True, False])
def test_what_a_runner_is_given(monkeypatch, gpu, deterministic):
    """Pinned memory with a GPU alone, unless the config says so; cuBLAS's setting if asked for."""
    built = []
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpu)
    monkeypatch.setattr(runner.Runner, 'from_cfg', built.append)
    monkeypatch.setenv('CUBLAS_WORKSPACE_CONFIG', '')  # so that it is put back
    monkeypatch.delenv('CUBLAS_WORKSPACE_CONFIG')
    cfg = Config(
        dict(
            randomness=dict(deterministic=deterministic),
            train_dataloader=dict(batch_size=2),
            val_dataloader=dict(batch_size=2, pin_memory=not gpu),
        )
    )
    build_runner(cfg)
    assert built == [cfg]
    assert cfg.train_dataloader.pin_memory is gpu and cfg.val_dataloader.pin_memory is not gpu
    assert os.environ.get('CUBLAS_WORKSPACE_CONFIG') == (':4096:8' if deterministic else None)


def test_only_a_root_that_is_used_must_exist(monkeypatch):
    monkeypatch.setattr(runner.Runner, 'from_cfg', lambda cfg: 'built')
    cfg = Config(dict(data_root='nowhere', linked={'model.img_size': 3}))
    assert build_runner(cfg) == 'built'
    cfg.linked['train_dataloader.dataset.data_root'] = 'nowhere'
    with pytest.raises(FileNotFoundError, match="data_root 'nowhere' does not exist"):
        build_runner(cfg)
