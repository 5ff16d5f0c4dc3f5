"""Settings that are right by themselves, and do not go together."""

import pytest

from i2ilr_mm.config import load_config
from i2ilr_mm.together import misfits

STEPS = 'train_dataloader.dataset.pipeline'


@pytest.mark.parametrize(
    'options, message',
    [
        (
            {'val_cfg': None},
            'val_cfg is None: val_dataloader, val_cfg, val_evaluator are',
        ),
        ({'val_cfg': None, 'val_evaluator': None}, 'val_cfg and val_evaluator are None'),
        ({'train_cfg': None}, 'train_cfg is None'),
        ({'optim_wrapper.genrator': 1}, "genrator is unknown; is it 'generator'"),
        ({'optim_wrapper.generator': None, 'optim_wrapper.foo': 1}, 'foo is unknown; there are'),
        ({'optim_wrapper.constructor': 3.25}, 'constructor is 3.25, which is unknown'),
        ({'optim_wrapper.constructor': None}, 'has no constructor'),
        ({'auto_scale_lr': None, 'train_cfg': None}, 'train_cfg is None'),
        ({f'{STEPS}.0.key': 'target'}, r"0 .LoadPicture. asks for 'target', and there is img"),
        ({f'{STEPS}.2.keys': 'zzz'}, r"2 .Flip. asks for 'zzz', and there is img at this step"),
        ({f'{STEPS}.0': None}, r"0 .ResizePicture. asks for 'img', and there is nothing"),
        ({f'{STEPS}.3': None}, r"3 .PackInputs. asks for 'lr', and there is img"),
        ({f'{STEPS}.4': None}, 'does not end in'),
        ({f'{STEPS}.4.keys': ['img']}, 'does not end in'),
    ],
)
def test_refused(root, options, message):
    with pytest.raises(ValueError, match=message):
        load_config(root / 'configs/i2ilr_heads64.py', options)


def test_scaling_needs_its_base(root):
    cfg = load_config(root / 'configs/i2ilr_heads64.py')
    cfg.auto_scale_lr = dict(enable=True)
    assert 'base_batch_size' in next(misfits(cfg))


@pytest.mark.parametrize(
    'options',
    [
        {'val_cfg': None, 'val_dataloader': None, 'val_evaluator': None},
        {'auto_scale_lr': None},
        {f'{STEPS}.2': None},
    ],
)
def test_let_through(root, options):
    load_config(root / 'configs/i2ilr_heads64.py', options)


def test_what_other_transforms_leave_is_not_known(root):
    cfg = load_config(root / 'configs/i2ilr_heads64.py')
    cfg.train_dataloader.dataset.pipeline = [dict(type='LoadImageFromFile', key='img')]
    assert not list(misfits(cfg))
