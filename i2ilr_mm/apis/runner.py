"""From a config to a running MMEngine Runner, and the end of its process group."""

import gc
import os

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from ..building import config_errors
from ..datasets.pictures import resolve_root


def set_work_dir(cfg: Config, work_dir: str | None, config_name: str) -> None:
    """Take the given work dir, else the config's, else work_dirs/<config>."""
    stem = os.path.splitext(config_name)[0]
    cfg.work_dir = work_dir or cfg.get('work_dir') or os.path.join('work_dirs', stem)


def build_runner(cfg: Config) -> Runner:
    """Check what can be checked before networks are built, then build the Runner.

    Raises:
        FileNotFoundError: If the data root does not exist.
        ValueError: If a part of the config is unknown or takes no such option.
    """
    if any(path.endswith('.data_root') for path in cfg.get('linked', ())):
        resolve_root(cfg.data_root, 'data_root')
    if cfg.get('randomness', {}).get('deterministic'):
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')  # or cuBLAS refuses
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if isinstance(cfg.get(loader), dict):
            cfg[loader].setdefault('pin_memory', torch.cuda.is_available())
    if cfg.get('launcher') == 'pytorch' and not torch.cuda.is_available():
        # MMEngine takes a GPU for granted, but keeps a group that exists and devices that are set.
        torch.distributed.init_process_group('gloo')
        cfg.model_wrapper_cfg.device_ids = None
    with config_errors(cfg):
        return Runner.from_cfg(cfg)


def leave_group() -> None:
    """End the process group, once nothing but garbage holds it, while Python is whole.

    Gloo's threads give back Python objects after their last task. When Python is about to exit by
    then, the process is aborted (seen in one of fifteen runs, torch 2.14).
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        gc.collect()  # the runner, with the networks' wrappers, is part of cycles
        torch.distributed.destroy_process_group()
