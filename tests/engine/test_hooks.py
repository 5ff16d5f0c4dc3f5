import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from torch import nn

from i2ilr_mm.engine.hooks import PlainCheckpointHook, SampleGridHook


def test_checkpoints_become_plain_and_come_back(tmp_path):
    hook = PlainCheckpointHook(by_epoch=False)
    history = HistoryBuffer([1.0, 2.5], [1, 1])
    checkpoint = dict(
        meta=dict(score=np.float64(1.5), shape=(1, 2), flag=np.bool_(True)),
        message_hub=dict(
            log_scalars={'train/loss': history}, runtime_info=dict(eta=np.float64(3), x=np.ones(2))
        ),
    )
    hook.before_save_checkpoint(None, checkpoint)
    file = io.BytesIO()
    torch.save(checkpoint, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    assert loaded['meta'] == dict(score=1.5, shape=[1, 2], flag=True)
    loaded.update(state_dict={}, optimizer={})
    best = dict(best_ckpt=str(tmp_path / 'a/best.pth'), best_score=2.0)
    loaded['message_hub']['runtime_info'].update(best)
    runner = SimpleNamespace(
        model=nn.Module(), _load_from='a.pth', _resume=True, work_dir=str(tmp_path / 'b')
    )
    hook.after_load_checkpoint(runner, loaded)
    restored = loaded['message_hub']['log_scalars']['train/loss']
    assert isinstance(restored, HistoryBuffer)
    assert restored.data[0].tolist() == [1.0, 2.5] and restored.mean() == 1.75
    info = loaded['message_hub']['runtime_info']
    assert info['best_score'] == 2.0 and 'best_ckpt' not in info  # another run's file
    loaded['message_hub'].update(runtime_info=dict(best), log_scalars={})
    runner.work_dir = str(tmp_path / 'a')
    hook.after_load_checkpoint(runner, loaded)
    assert loaded['message_hub']['runtime_info'] == best


def test_checkpoints_that_do_not_fit_are_refused():
    hook = PlainCheckpointHook(by_epoch=False)
    runner = SimpleNamespace(model=nn.Linear(2, 3), _load_from='a.pth', _resume=True)
    with pytest.raises(ValueError, match=r'a.pth.*does not fit.*weight'):
        hook.after_load_checkpoint(runner, dict(state_dict=nn.Linear(2, 4).state_dict()))
    with pytest.raises(ValueError, match=r'a.pth.*weights only.*load_from=a.pth'):
        hook.after_load_checkpoint(runner, dict(state_dict=nn.Linear(2, 3).state_dict()))


def test_sample_grids_ask_for_validation_pairs_before_work_starts():
    with pytest.raises(ValueError, match=r'val_dataloader and val_cfg'):
        SampleGridHook().before_train(SimpleNamespace(val_loop=None))
