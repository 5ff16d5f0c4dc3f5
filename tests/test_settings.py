"""Names and types of every setting, against what the classes take."""

from typing import Literal

import pytest

from i2ilr_mm.config import load_config
from i2ilr_mm.settings import accepted, fits


@pytest.mark.parametrize(
    'option, message',
    [
        (
            {'auto_scale_lr.base_batchsize': 64},
            "base_batchsize is unknown; is it 'base_batch_size'",
        ),
        ({'default_hooks.checkpoint.intervall': 2}, "intervall is unknown; is it 'interval'"),
        ({'default_hooks.checkpont': dict(interval=2)}, "no type.*is it 'checkpoint'"),
        ({'model.generator.styel': True}, "styel is unknown; is it 'style'"),
        ({'model.generator.style': 'yes'}, "style is 'yes'; accepted is True or False"),
        ({'model.generator.type': 'I2ILRGenrator'}, "unknown; is it 'I2ILRGenerator'"),
        ({'model.source_loss.weight': 1}, "weight is unknown; is it 'loss_weight'"),
        ({'model.ema_decay': 'x'}, "ema_decay is 'x'; accepted is a number"),
        ({'train_dataloader.batchsize': 4}, "batchsize is unknown; is it 'batch_size'"),
        ({'train_dataloader.num_workers': 'x'}, "num_workers is 'x'; accepted is a whole number"),
        ({'train_dataloader.dataset.splt': 'x'}, "splt is unknown; is it 'split'"),
        ({'train_dataloader.dataset.pipeline.0.kee': 'x'}, r"pipeline\.0\.kee .* is it 'key'"),
        ({'train_dataloader.sampler.sed': 1}, "sed is unknown; is it 'seed'"),
        ({'optim_wrapper.generator.optimizer.lrr': 1}, "lrr is unknown; is it 'lr'"),
        ({'optim_wrapper.generator.optimizer.type': 'Adamm'}, "unknown; is it 'Adam'"),
        ({'train_cfg.max_iter': 3}, "max_iter is unknown; is it 'max_iters'"),
        ({'val_evaluator.0.lrmethod': 1}, "lrmethod is unknown; is it 'lr_method'"),
        ({'log_processor.windowsize': 2}, "windowsize is unknown; is it 'window_size'"),
        ({'randomness.sed': 2}, "sed is unknown; is it 'seed'"),
        ({'env_cfg.mp_cfg.mp_start': 'fork'}, "mp_start is unknown; is it 'mp_start_method'"),
        ({'visualizer.vis_backend': []}, "vis_backend is unknown; is it 'vis_backends'"),
    ],
)
def test_what_is_wrong_is_named_with_the_nearest_right_name(root, option, message):
    with pytest.raises(ValueError, match=message):
        load_config(root / 'configs/i2ilr_heads64.py', option)


def test_all_that_is_wrong_is_named_at_once(root):
    wrong = {'model.ema_decya': 1, 'train_cfg.max_iter': 3}
    with pytest.raises(ValueError, match=r'ema_decya.*; .*max_iter'):
        load_config(root / 'configs/i2ilr_heads64.py', wrong)


@pytest.mark.parametrize(
    'text, refused',
    [
        ('my_widths = [1, 2]', False),
        ('train_dataloder = {}', True),
        ('train_dataloder = {}\ntrain_dataloader = train_dataloder', False),
    ],
)
def test_names_near_those_that_are_read_are_refused_unless_used(root, tmp_path, text, refused):
    path = tmp_path / 'c.py'
    path.write_text(f"_base_ = '{root}/configs/i2ilr_heads64.py'\n{text}\n")
    if not refused:
        load_config(path)
        return
    with pytest.raises(ValueError, match="'train_dataloder' .* is it 'train_dataloader'"):
        load_config(path)


@pytest.mark.parametrize(
    'text, message',
    [
        ('model = dict(', 'line 1.*SyntaxError'),
        ('import sys; sys.exit(0)', 'SystemExit'),
        ('x = 1 / 0', 'ZeroDivisionError'),
        ("_base_ = 'c.py'", 'RecursionError|ConfigParsingError'),
        ("_base_ = 'nowhere.py'", 'nowhere'),
    ],
)
def test_configs_that_cannot_be_read_are_one_line(tmp_path, text, message):
    path = tmp_path / 'c.py'
    path.write_text(text + '\n')
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        load_config(path)
    assert 'c.py' in str(caught.value) and '\n' not in str(caught.value)


def test_parts_are_switched_off_as_mmengines_users_do(root):
    cfg = load_config(
        root / 'configs/i2ilr_celebahq.py',
        {'default_hooks.samples': None, 'train_dataloader.num_workers': 0},
    )
    assert 'samples' not in cfg.default_hooks
    assert cfg.train_dataloader.persistent_workers is False
    assert cfg.val_dataloader.persistent_workers is True


def test_signatures_are_followed_through_kwargs():
    class Base:
        def __init__(self, a: int, b: str | None = None) -> None: ...

    class Child(Base):
        def __init__(self, c: float = 1, **kwargs) -> None: ...

    assert accepted(Child) == dict(c=float, a=int, b=str | None)
    assert accepted(lambda **kwargs: None) is None


@pytest.mark.parametrize(
    'value, hint, expected',
    [
        (1, float, True),
        (True, int, False),
        (1.5, int, False),
        ('a', int | None, False),
        (None, int | None, True),
        ([1], tuple[int, int], True),
        (dict(type='X'), object, True),
        ('b', Literal['a', 'b'], True),
        ('c', Literal['a', 'b'], False),
        (dict(type='X'), list | dict, True),
    ],
)
def test_types(value, hint, expected):
    assert fits(value, hint) is expected
