"""What users of MMEngine write to switch a part off."""

import pytest

from i2ilr_mm.config import load_config


def test_hooks_and_workers(root):
    cfg = load_config(
        root / 'configs/i2ilr_celebahq.py',
        {'default_hooks.samples': None, 'train_dataloader.num_workers': 0},
    )
    assert 'samples' not in cfg.default_hooks
    assert cfg.train_dataloader.persistent_workers is False
    assert cfg.val_dataloader.persistent_workers is True


@pytest.mark.parametrize('name', ['env_cfg', 'randomness', 'launcher', 'log_level', 'resume'])
def test_mmengines_default_takes_the_place_of_none(root, name):
    assert name not in load_config(root / 'configs/i2ilr_heads64.py', {name: None})


def test_the_registries_stay_mmagics(root):
    assert load_config(root / 'configs/i2ilr_heads64.py', {'default_scope': None}).default_scope


@pytest.mark.parametrize(
    'name', ['val_evaluator.1', 'train_dataloader.dataset.pipeline.2', 'visualizer.vis_backends.0']
)
def test_parts_of_lists_are_left_out(root, name):
    path = root / 'configs/i2ilr_heads64.py'
    before, after = load_config(path), load_config(path, {name: None})
    place, _, index = name.rpartition('.')
    for part in place.split('.'):
        before, after = before[part], after[part]
    del before[int(index)]
    assert after == before
