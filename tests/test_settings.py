"""Names and types of every setting, against what the classes take."""

import pytest
from mmengine.config import Config

from i2ilr_mm.config import load_config
from i2ilr_mm.settings import check_settings, is_ours


@pytest.fixture
def raw(root) -> Config:
    """The config as MMEngine reads it."""
    return Config.fromfile(root / 'configs/i2ilr_heads64.py')


@pytest.mark.parametrize(
    'option, message',
    [
        (
            {'auto_scale_lr.base_batchsize': 64},
            "base_batchsize is unknown; is it 'base_batch_size'",
        ),
        ({'default_hooks.checkpoint.intervall': 2}, "intervall is unknown; is it 'interval'"),
        ({'default_hooks.checkpont': dict(interval=2)}, "no type.*is it 'checkpoint'"),
        ({'default_hooks.throughput.typ': 'x'}, "typ is unknown; is it 'type'"),
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
        ({'optim_wrapper.generator.optimizer.lr': None}, 'lr is None; accepted is a number$'),
        ({'optim_wrapper.generator.optimizer.lr': {}}, 'lr is {}; accepted is a number$'),
        ({'optim_wrapper.generator.optimizer.betas': [0.5]}, r'betas is \[0.5\]; .* list of 2'),
        ({'train_cfg.val_interval': 0}, 'val_interval is 0; .* of at least 1'),
        ({'train_cfg.max_iters': -3}, 'max_iters is -3; .* of at least 1'),
        ({'model.generator.base_channels': 0}, 'base_channels is 0; .* from 1 to 16384'),
        ({'model.r1_loss.gamma': -1}, 'gamma is -1; .* of at least 0'),
        ({'model.lr_method': 'bx'}, "lr_method is 'bx'; accepted is one of box, bicubic"),
        ({'val_evaluator': 'LRConsistency'}, "is 'LRConsistency'; .* a dict or a list or None"),
        ({'log_processor.window_size': 'x'}, "window_size is 'x'; accepted is a whole number"),
        ({'default_scope': 3.25}, 'default_scope is 3.25; accepted is text'),
        ({'launcher': 'foo'}, "launcher is 'foo'; accepted is one of none, pytorch"),
        ({'log_level': 'LOUD'}, "log_level is 'LOUD'; accepted is one of .*INFO"),
        ({'resume': 'x'}, "resume is 'x'; accepted is True or False"),
        ({'load_from': 3}, 'load_from is 3; accepted is text or None'),
        ({'train_dataloader.persistent_workers': 'x'}, "workers is 'x'; accepted is True or False"),
        ({'test_dataloader.dataset.n_targets': 0}, 'n_targets is 0; .* of at least 1'),
        ({'img_size': 2**40}, '^img_size is 1099511627776; accepted .* from 1 to 8192$'),
        ({'train_dataloader.dataset.pipeline.2.flip_ratio': 'x'}, "ratio is 'x'; .* a number"),
        ({'train_dataloader.dataset.pipeline.2.flip_ratio': 2}, 'ratio is 2; .* from 0 to 1'),
    ],
)
def test_what_is_wrong_is_named_with_the_nearest_right_name(root, option, message):
    with pytest.raises(ValueError, match=message):
        load_config(root / 'configs/i2ilr_heads64.py', option)


@pytest.mark.parametrize(
    'option',
    [
        'a\nb',
        'model.a\nb',
        'model.a\nb.c',
        'model.generator.style.a\nb',
        'val_evaluator.a\nb',
        'optim_wrapper.a\nb',
        'default_hooks.a\nb',
    ],
)
@pytest.mark.parametrize('value', [1, 'a\nb', {'a\nb': 1}, ['a\nb']])
def test_line_breaks_in_names_and_values_stay_out_of_messages(raw, option, value):
    with pytest.raises(ValueError) as caught:
        load_config(raw, {option: value})
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'option', ['fit', 'data_root', 'launcher', 'model.type', 'model.lr_method', 'protocol']
)
def test_line_breaks_in_values_stay_out_as_well(raw, option):
    try:
        load_config(raw, {option: 'a\nb'})
    except ValueError as error:
        assert option in str(error) and '\n' not in str(error)
    else:
        assert option in ('data_root', 'protocol')  # any text is right


def test_imports_are_no_options(raw):
    """They would change nothing: the config has been read by then."""
    with pytest.raises(ValueError, match="'custom_imports.imports' comes too late"):
        load_config(raw, {'custom_imports.imports': ['os']})


def test_all_that_is_wrong_is_named_at_once(root):
    wrong = {'model.ema_decya': 1, 'train_cfg.max_iter': 3}
    with pytest.raises(ValueError, match=r'ema_decya.*; .*max_iter'):
        load_config(root / 'configs/i2ilr_heads64.py', wrong)


@pytest.mark.parametrize(
    'settings, message',
    [
        ("model = 'x'", "model is 'x'; accepted is a dict"),
        ('model = [1]', r'model is \[1\]; accepted is a dict'),
        ("model = dict(_delete_=True, type='I2ILRR')", "model.type is 'I2ILRR', .*is it 'I2ILR'"),
        ("model = dict(compile='x')", "model.compile is 'x'; accepted is True or False or a dict"),
        ('load_from = 3', 'load_from is 3; accepted is text or None'),
        ('default_hooks = []', r'default_hooks is \[\]; accepted is a dict or None'),
        ("env_cfg = 'x'", "env_cfg is 'x'; accepted is a dict"),
        ('img_size = 2**40', 'img_size is 1099511627776'),
        (
            "optim_wrapper = dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='Adam'))",
            r"optim_wrapper has no constructor.*constructor='I2ILROptimWrapperConstructor'",
        ),
        (
            'optim_wrapper = dict(generator=dict(optimizer=dict(_delete_=True, lr=1)))',
            r'optim_wrapper\.generator\.optimizer has no type',
        ),
        ('train_dataloader = dict(dataset=dict(pipeline=[]))', 'pipeline does not end in .*Pack'),
        ("val_evaluator = ['LRConsistency']", r"evaluator\.0 is 'LRConsistency'; .* with a type"),
        ("val_evaluator = [dict(lr_method='box')]", r'val_evaluator\.0 has no type'),
        (
            "train_dataloader = dict(dataset=dict(pipeline=['Flip']))",
            "pipeline.0 is 'Flip'; accepted is a dict with a type",
        ),
    ],
)
def test_files_are_checked_like_options(root, tmp_path, settings, message):
    path = tmp_path / 'c.py'
    path.write_text(f"_base_ = '{root}/configs/i2ilr_heads64.py'\n{settings}\n")
    with pytest.raises(ValueError, match=message) as caught:
        load_config(path)
    assert '\n' not in str(caught.value)


def test_a_class_may_stand_for_its_name(root):
    """As MMEngine's pure Python configs have it."""
    from torch.optim import Adam

    cfg = load_config(root / 'configs/i2ilr_heads64.py')
    cfg.optim_wrapper.generator.optimizer.type = Adam
    check_settings(cfg)
    cfg.optim_wrapper.generator.optimizer.lrr = 3
    with pytest.raises(ValueError, match="lrr is unknown; is it 'lr'"):
        check_settings(cfg)


def test_a_users_own_class_has_ranges_of_its_own(root):
    class Loss:
        def __init__(self, loss_weight: float) -> None: ...

    cfg = load_config(root / 'configs/i2ilr_heads64.py')
    cfg.model.cycle_loss = dict(type=Loss, loss_weight=-1)
    check_settings(cfg)
    cfg.model.cycle_loss = dict(type=Loss, loss_weight='x')
    with pytest.raises(ValueError, match="loss_weight is 'x'"):
        check_settings(cfg)


def test_a_model_named_with_its_scope_is_checked_like_any(root):
    options = {'model.type': 'mmagic.I2ILR', 'model.r1_loss.gamm': 2}
    with pytest.raises(ValueError, match="gamm is unknown; is it 'gamma'"):
        load_config(root / 'configs/i2ilr_heads64.py', options)


def test_other_models_are_none_of_our_business():
    assert not is_ours(Config(dict(model=dict(type='SRGAN'))))
    assert not is_ours(Config(dict()))
    with pytest.raises(ValueError, match="model is None; .*dict.type='I2ILR'"):
        is_ours(Config(dict(train_cfg=dict(max_iters=1))))


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
