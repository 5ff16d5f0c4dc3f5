from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmengine.logging import MessageHub
from PIL import Image

from i2ilr_mm.engine import hooks
from i2ilr_mm.engine.hooks import (
    DeferredRuntimeInfoHook,
    SampleGridHook,
    ThroughputHook,
)


def test_kimg_comes_from_the_images_seen_and_speed_from_the_window():
    """Not from the iterations, which a run may have made with another batch."""
    hub = MessageHub('test')
    for seconds in (9.0, 0.25, 0.75):
        hub.update_scalar('train/time', seconds)
    hub.update_info('images_seen', 7000)
    runner = SimpleNamespace(
        train_dataloader=SimpleNamespace(batch_size=4),
        message_hub=hub,
        iter=9,
        log_processor=SimpleNamespace(window_size=2),
    )
    ThroughputHook().after_train_iter(runner, 9)
    assert hub.get_scalar('train/kimg').current() == 7
    assert hub.get_scalar('train/img_per_s').current() == 8


class Loss(torch.Tensor):
    """A tensor that counts how often it is read."""

    reads = 0

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func in (torch.Tensor.item, torch.Tensor.tolist):
            cls.reads += 1
        return super().__torch_function__(func, types, args, kwargs or {})


def test_losses_are_read_together_when_they_are_logged():
    hub = MessageHub('deferred')
    runner = SimpleNamespace(
        message_hub=hub,
        hooks=[LoggerHook(interval=3)],
        max_iters=5,
        train_dataloader=range(99),
        val_interval=99,
    )
    hook = DeferredRuntimeInfoHook()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RuntimeInfoHook, 'before_train', lambda *_: None)
        hook.before_train(runner)
    for i in range(5):
        runner.iter = i
        outputs = dict(loss_d=torch.tensor(float(i)).as_subclass(Loss))
        if i % 2 == 0:
            outputs['loss_r1'] = torch.tensor(10.0 * i).as_subclass(Loss)
        hook.after_train_iter(runner, i, outputs=outputs)
        assert Loss.reads == (0, 0, 1, 1, 2)[i]
    assert hub.get_scalar('train/loss_d').data[0].tolist() == [0, 1, 2, 3, 4]
    assert hub.get_scalar('train/loss_r1').data[0].tolist() == [0, 20, 40]


def test_sample_grids_ask_for_validation_pairs_before_work_starts():
    with pytest.raises(ValueError, match=r'val_dataloader and val_cfg'):
        SampleGridHook().before_train(SimpleNamespace(val_loop=None))


def test_a_grid_shows_the_live_generator_and_the_average(tmp_path, monkeypatch):
    shades = dict(generator=-0.5, generator_ema=0.5)  # by which each can be told

    class Model:
        def predict(self, source, lr, network='generator_ema'):
            return torch.full_like(source, shades[network])

    pairs = torch.zeros(2, 3, 128, 128), torch.zeros(2, 3, 8, 8)
    monkeypatch.setattr(hooks, 'load_pairs', lambda *_: pairs)
    runner = SimpleNamespace(model=Model(), work_dir=str(tmp_path), iter=0)
    runner.val_loop = SimpleNamespace(dataloaders=[SimpleNamespace(dataset=[0, 1])])
    runner.visualizer = SimpleNamespace(add_image=lambda *_, **__: None)
    SampleGridHook()._draw(runner)
    (path,) = (tmp_path / 'samples').iterdir()
    row = np.array(Image.open(path))[100, :, 0]
    assert [row[132 * i + 64] for i in range(4)] == [128, 128, 64, 191]
