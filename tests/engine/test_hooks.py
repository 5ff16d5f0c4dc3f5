import io

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from i2ilr_mm.engine.hooks import PlainCheckpointHook


def test_checkpoints_become_plain_and_come_back():
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
    hook.after_load_checkpoint(None, loaded)
    restored = loaded['message_hub']['log_scalars']['train/loss']
    assert isinstance(restored, HistoryBuffer)
    assert restored.data[0].tolist() == [1.0, 2.5] and restored.mean() == 1.75
