from pathlib import Path

import pytest
from configs_read import CONFIGS, OURS, nested
from mmengine.config import Config

from i2ilr_mm.config import find_config, load_config


@pytest.mark.parametrize('name', CONFIGS)
def test_options_reach_everything(root, name):
    options = dict(data_root='my/folder', img_size=64, lr_size=16, lr_method='bicubic', fit='crop')
    cfg = load_config(root / f'configs/{name}.py', options)
    for key, value in options.items():
        found = list(nested(cfg._cfg_dict, key))
        assert len(found) >= 4
        assert set(found) == {value}


@pytest.mark.parametrize('name', CONFIGS)
@pytest.mark.parametrize('protocol', ['intra', 'stargan2', 'heads', 'cats'])
def test_protocols_take_the_configs_place(root, name, protocol):
    """Pairs and scores are the protocol's, data and sizes the config's."""
    path = root / f'configs/protocols/{protocol}.py'
    plain = load_config(root / f'configs/{name}.py')
    cfg = load_config(root / f'configs/{name}.py', dict(lr_size=16, fit='crop'), path)
    assert cfg.protocol == protocol and cfg.train_dataloader.batch_size > 1
    for key, value in (('data_root', plain.data_root), ('img_size', plain.img_size)):
        assert set(nested(cfg._cfg_dict, key)) == {value}
    assert set(nested(cfg._cfg_dict, 'lr_size')) == {16}
    assert set(nested(cfg._cfg_dict, 'fit')) == {'crop'}
    expected = Config.fromfile(path).test_evaluator
    assert [metric.type for metric in cfg.test_evaluator] == [metric.type for metric in expected]
    targets = dict(intra=5, stargan2=10, heads=2, cats=1)[protocol]
    assert cfg.test_dataloader.dataset.n_targets == targets


def test_the_protocol_of_each_config(root):
    named = {name: load_config(root / f'configs/{name}.py').protocol for name in CONFIGS}
    assert named.pop('i2ilr_heads64') == named.pop('i2ilr_heads64_small') == 'heads'
    assert named.pop('i2ilr_cats') == 'cats' and set(named.values()) == {'intra'}


def test_real_pictures_of_ones_own_are_left_alone(root, tmp_path):
    mine = tmp_path / 'mine.py'
    mine.write_text(
        "protocol = 'mine'\n"
        "real = dict(type='ImagePool', data_root='my/real', img_size=None, pipeline=[])\n"
        "network = dict(type='EfficientNetLite0')\n"
        "test_evaluator = [dict(type='DistributionScores', network=network, real=real)]\n"
    )
    cfg = load_config(root / 'configs/i2ilr_heads64.py', dict(data_root='x'), mine)
    real = cfg.test_evaluator[0].real
    assert (real.data_root, real.img_size) == ('my/real', 64)


def test_no_such_protocol(root):
    with pytest.raises(FileNotFoundError, match=r'no config file .*own\.py'):
        load_config(root / 'configs/i2ilr_heads64.py', protocol='own.py')


@pytest.mark.parametrize('name', CONFIGS)
def test_every_config_resumes_exactly(root, name):
    cfg = load_config(root / f'configs/{name}.py')
    assert cfg.train_cfg.type == 'ResumableTrainLoop'
    assert cfg.train_dataloader.sampler.type == 'PairSampler'


@pytest.mark.parametrize(
    'name, size, pictures',
    [
        ('published/i2ilr_celebahq_128', 128, 28_000),
        ('published/i2ilr_celebahq_256', 256, 28_000),
        ('published/i2ilr_afhq', 256, 14_630),
        ('i2ilr_celebahq_128', 128, 28_000),  # the earlier name
    ],
)
def test_published_recipe(root, name, size, pictures):
    cfg = load_config(root / f'configs/{name}.py')
    assert (cfg.img_size, cfg.lr_size, cfg.model.lr_loss) == (size, 8, None)
    assert cfg.model.r1_loss.mode == 'reference' and cfg.model.r1_loss.gamma == 10
    assert cfg.model.gan_loss.loss_weight == cfg.model.cycle_loss.loss_weight == 1
    assert set(cfg.optim_wrapper) == {'constructor', 'generator', 'discriminator'}
    for network, rate in (('generator', 1e-3), ('discriminator', 4e-3)):
        adam = cfg.optim_wrapper[network].optimizer
        assert (adam.type, adam.lr, tuple(adam.betas)) == ('Adam', rate, (0.0, 0.99))
        assert set(cfg.model[network]) == {'type', 'img_size', 'lr_size'}  # all else as published
    assert not {'projected_discriminator', 'projected_loss', 'source_loss'} & set(cfg.model)
    assert cfg.train_dataloader.batch_size == 8
    assert cfg.train_cfg.max_iters * 8 == pytest.approx(100 * pictures, rel=0.001)
    assert cfg.model.ema_decay == 0.999 and not cfg.model.ema_warmup
    assert cfg.get('param_scheduler') is None


@pytest.mark.parametrize('name', OURS)
def test_default_recipe(root, name):
    model = load_config(root / f'configs/{name}.py').model
    assert model.generator.exact_lr == 'bilinear'
    assert (model.discriminator.norm, model.discriminator.residual) == ('none', False)
    assert model.source_loss
    for part in (model.projected_discriminator, model.projected_loss):
        assert (part is None) == name.startswith('i2ilr_heads64')


@pytest.mark.parametrize('name', CONFIGS)
def test_the_source_and_a_second_opinion_are_in_every_evaluation(root, name):
    cfg = load_config(root / f'configs/{name}.py')
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        scores = {(e.type, (e.get('network') or {}).get('type')) for e in evaluator}
        for network in ('EfficientNetLite0', 'EfficientNetLite2'):
            assert ('SourceKept', network) in scores
        assert ('DistributionScores', 'EfficientNetLite2') in scores


def test_dotted_options_win(root):
    path = root / 'configs/i2ilr_heads64.py'
    cfg = load_config(
        path,
        {
            'data_root': 'a',
            'val_dataloader.dataset.data_root': 'b',
            'val_evaluator.0.lr_method': 'bicubic',
        },
    )
    assert cfg.train_dataloader.dataset.data_root == 'a'
    assert cfg.val_dataloader.dataset.data_root == 'b'
    assert cfg.val_evaluator[0].lr_method == 'bicubic'


def test_whole_parts_and_entries_of_lists(root):
    path = root / 'configs/i2ilr_cats.py'
    options = {'val_evaluator.1.network': {'type': 'EfficientNetLite2'}}
    options |= {'model.r1_loss': {'interval': 4}, 'model.projected_loss': None}
    cfg = load_config(path, options)
    assert cfg.val_evaluator[1].network.type == 'EfficientNetLite2'
    assert cfg.model.r1_loss == dict(type='R1Penalty', gamma=1.0, mode='standard', interval=4)
    assert cfg.model.projected_loss is None


@pytest.mark.parametrize(
    'options, message',
    [
        ({'imgsize': 64}, "'imgsize' is not in the config.*img_size"),
        ({'model.generatr.max_channels': 8}, "no 'generatr'"),
        ({'train_pipeline.2.flip_ratio': 0.0}, "no 'train_pipeline'"),
        ({'model.autocast.dtype': 1}, "has None where 'dtype'"),
        ({'fit': 'nope'}, "^fit is 'nope'; accepted is one of stretch, crop$"),
        ({'lr_method': 'nope'}, "^lr_method is 'nope'; accepted is one of box, bicubic$"),
        ({'img_size': 100}, 'img_size=100 with lr_size=8'),
        ({'img_size': '64px'}, "'64px'"),
        ({'train_dataloader.batch_size': 3}, 'batch_size is 3'),
        ({'val_evaluator.9.lr_method': 'box'}, "no '9'"),
        ({'val_evaluator.x': {}}, "no 'x' in a list of 5"),
        ({'train_dataloader': False}, 'train_dataloader.NAME=VALUE'),
        ({'model.accumulation': 0}, 'accumulation is 0; .* of at least 1'),
        ({'model.accumulation': 'two'}, "accumulation is 'two'; accepted is a whole number"),
        ({'model.accumulation': 4}, 'accumulation is 4 with train_dataloader.batch_size=2'),
    ],
)
def test_wrong_options_are_refused(root, options, message):
    with pytest.raises(ValueError, match=message):
        load_config(root / 'configs/i2ilr_heads64.py', options)


def test_places_below_the_home_folder(root, monkeypatch):
    monkeypatch.setenv('HOME', '/home/me')
    options = {
        'data_root': '~/faces',
        'work_dir': '~/runs',
        'test_dataloader.dataset.pair_file': '~/p',
    }
    cfg = load_config(root / 'configs/i2ilr_celebahq.py', options)
    assert cfg.work_dir == '/home/me/runs' and cfg.test_dataloader.dataset.pair_file == '/home/me/p'
    assert cfg.data_root == cfg.train_dataloader.dataset.data_root == '/home/me/faces'


def test_missing_config():
    with pytest.raises(FileNotFoundError, match='nowhere.py'):
        load_config('nowhere.py')


def test_configs_are_found_by_name(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('i2ilr_cats', 'i2ilr_cats.py', 'configs/i2ilr_cats.py'):
        assert Path(find_config(name)).samefile(root / 'configs/i2ilr_cats.py')
    (tmp_path / 'configs').mkdir()
    (tmp_path / 'configs/i2ilr_cats.py').write_text('')
    assert find_config('configs/i2ilr_cats.py') == 'configs/i2ilr_cats.py'  # one's own
    with pytest.raises(FileNotFoundError, match="no config file 'i2ilr_dogs'.*i2ilr_cats, "):
        find_config('i2ilr_dogs')
