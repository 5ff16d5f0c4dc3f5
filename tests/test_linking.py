"""One value at the top level reaches what is left open, whoever reads the config."""

from unittest.mock import patch

import pytest
from configs_read import CONFIGS, nested
from mmengine.config import Config
from mmengine.runner import Runner

from i2ilr_mm.config import find_config, load_config
from i2ilr_mm.datasets import ImagePool
from i2ilr_mm.linking import LINKED, link, unlink
from i2ilr_mm.models import I2ILRGenerator

OTHER = dict(data_root='my/folder', img_size=128, lr_size=16, lr_method='bicubic', fit='crop')


@pytest.fixture
def run(tmp_path):
    """What a bare Runner.from_cfg makes of a config file and options; it dumps its config, too."""

    def init(self, cfg, work_dir, **settings):
        self.cfg, self._work_dir, self._timestamp = cfg, work_dir, 'dumped'
        object.__setattr__(cfg, '_filename', None)
        self.dump_config()

    def of(path, **options) -> Config:
        cfg = path if isinstance(path, Config) else Config.fromfile(path)
        cfg.merge_from_dict({'work_dir': str(tmp_path), **options})
        with patch.object(Runner, '__init__', init):
            return Runner.from_cfg(cfg).cfg

    return of


@pytest.fixture
def child(root, tmp_path):
    def write(text):
        path = tmp_path / 'child.py'
        path.write_text(f"_base_ = '{root}/configs/i2ilr_heads64.py'\n{text}\n")
        return path

    return write


def without_work_dir(cfg: Config) -> dict:
    return {k: v for k, v in cfg._cfg_dict.to_dict().items() if k != 'work_dir'}


@pytest.mark.parametrize('name', CONFIGS)
def test_any_runner_does_as_our_commands_do(root, run, name):
    path = root / f'configs/{name}.py'
    for options in ({}, OTHER):
        cfg = run(path, **options)
        assert without_work_dir(cfg) == without_work_dir(load_config(path, options))
        for key in LINKED:
            assert set(nested(cfg._cfg_dict, key)) == {options.get(key, cfg[key])}
            assert cfg[key] is not None


@pytest.mark.parametrize('name', LINKED)
def test_a_config_of_ones_own(child, run, name):
    path = child(f'{name} = {OTHER[name]!r}')
    for cfg in (load_config(path), run(path)):
        assert set(nested(cfg._cfg_dict, name)) == {OTHER[name]}


EXPLICIT = {
    'data_root': "val_dataloader = dict(dataset=dict(data_root='embedded:heads64'))",
    'img_size': 'model = dict(source_loss=dict(img_size=64))',
    'lr_size': 'model = dict(source_loss=dict(lr_size=8))',
    'lr_method': "val_evaluator = [dict(type='LRConsistency', lr_method='box')]",
}


@pytest.mark.parametrize('name', EXPLICIT)
def test_what_a_user_has_set_stays(root, child, run, name):
    """It has the value that the base's top level has, and stays when that changes."""
    path = child(EXPLICIT[name])
    before = load_config(root / 'configs/i2ilr_heads64.py')[name]
    for cfg in (load_config(path, {name: OTHER[name]}), run(path, **{name: OTHER[name]})):
        values = list(nested(cfg._cfg_dict, name))
        assert values.count(before) == 1 and set(values) == {before, OTHER[name]}


def test_dicts_in_lists_follow_where_they_are_open(child, run):
    path = child(
        "train_dataloader = dict(dataset=dict(_delete_=True, type='ConcatDataset', datasets=["
        "dict(type='ImagePool', data_root=None, img_size=None), dict(type='ImagePool', "
        "data_root='b')]))"
    )
    cfg = run(path, data_root='x')
    assert [part.data_root for part in cfg.train_dataloader.dataset.datasets] == ['x', 'b']
    assert cfg.train_dataloader.dataset.datasets[0].img_size == cfg.img_size
    assert 'img_size' not in cfg.train_dataloader.dataset.datasets[1]


def test_a_runs_own_copy_is_as_open_as_its_config(root, run, tmp_path):
    """What was explicit stays so; what followed goes on following."""
    explicit = {'val_dataloader.dataset.data_root': 'x'}
    run(load_config(root / 'configs/i2ilr_heads64.py', dict(data_root='x', **explicit)))
    dumped = tmp_path / 'dumped.py'
    assert 'linked' not in Config.fromfile(dumped)
    for cfg in (load_config(dumped, OTHER), run(dumped, **OTHER)):
        assert cfg.val_dataloader.dataset.data_root == 'x'
        assert set(nested(cfg._cfg_dict, 'data_root')) == {'x', OTHER['data_root']}
        assert set(nested(cfg._cfg_dict, 'img_size')) == {128}


def test_a_loaded_config_goes_on_following(root, tmp_path):
    cfg = load_config(root / 'configs/i2ilr_heads64.py', dict(img_size=32))
    cfg.dump(tmp_path / 'filled.py')
    for again in (cfg, tmp_path / 'filled.py'):
        again = load_config(again, dict(img_size=128, data_root='x'))
        assert set(nested(again._cfg_dict, 'img_size')) == {128}
        assert set(nested(again._cfg_dict, 'data_root')) == {'x'}


def test_what_is_set_in_a_loaded_config_stays(root):
    cfg = load_config(root / 'configs/i2ilr_heads64.py')
    cfg.val_dataloader.dataset.data_root = 'own'
    again = load_config(cfg, dict(data_root='x'))
    assert set(nested(again._cfg_dict, 'data_root')) == {'x', 'own'}


OWN_ROOTS = """
train_dataloader = dict(dataset=dict(data_root='a'))
val_dataloader = dict(dataset=dict(data_root='b'))
test_dataloader = dict(dataset=dict(data_root='c'))
"""


def test_an_option_that_changes_nothing_is_refused(child, run):
    path = child(OWN_ROOTS)
    for read in (lambda: load_config(path, dict(data_root='x')), lambda: run(path, data_root='x')):
        with pytest.raises(ValueError, match="data_root='x' changes nothing.*'a', 'b', 'c'"):
            read()


def test_a_setting_that_one_has_not_changed_may_go_unused(child, run):
    path = child(OWN_ROOTS)
    for cfg in (load_config(path), run(path)):
        assert set(nested(cfg._cfg_dict, 'data_root')) == {'a', 'b', 'c', 'embedded:heads64'}


@pytest.mark.parametrize('name', ['data_rot', 'batch_size', 'train_pipeline'])
def test_an_option_that_no_file_has_is_refused(root, run, name):
    with pytest.raises(ValueError, match=f"'{name}' is not in the config.*data_root"):
        run(root / 'configs/i2ilr_heads64.py', **{name: 1})


def test_what_tools_add_to_a_config_is_let_through(root, run):
    added = dict(launcher='none', load_from=None, experiment_name='x', resume=False)
    assert run(root / 'configs/i2ilr_heads64.py', **added).experiment_name == 'x'


def test_a_misspelt_setting_of_a_file_is_refused(child, run):
    path = child("data_rot = 'x'")
    for read in (load_config, run):
        with pytest.raises(ValueError, match="'data_rot' is not read by .*'data_root'"):
            read(path)


def test_variables_of_a_file_are_let_through(child, run):
    path = child("data_roots = ['a', 'b']\ndata_root = data_roots[0]\nmy_widths = [1, 2]")
    for read in (load_config, run):
        assert read(path).train_dataloader.dataset.data_root == 'a'


OTHER_MODEL = (
    "img_size = 3\nx = 1\nmodel = dict(type='SRGAN', generator=dict(img_size={}, lr_size=None))\n"
)


def test_configs_of_others_are_left_alone(tmp_path, run):
    path = tmp_path / 'a.py'
    path.write_text(OTHER_MODEL.format(None))
    assert run(path, data_rot='y').model.generator.img_size is None


def test_configs_of_others_that_import_this_package_are_linked(tmp_path, run):
    path = tmp_path / 'a.py'
    path.write_text(OTHER_MODEL.format(None) + "custom_imports = dict(imports='i2ilr_mm.models')\n")
    options = {'train_dataloader.batch_size': 1}  # a pair is asked of ours alone
    assert run(path, my_own=1, img_size=100, lr_size=3, **options).model.generator.img_size == 100
    path.write_text(OTHER_MODEL.format(4) + "custom_imports = dict(imports=['i2ilr_mm'])\n")
    for option, why in ((dict(img_size=5), r'sets img_size to \[4\]'), (dict(fit='x'), 'no part')):
        with pytest.raises(ValueError, match=f'changes nothing: the config .*{why}'):
            run(path, **option)


def test_places_that_nothing_fills_are_named():
    """As where a model is built from a config that nobody linked."""
    cfg = Config.fromfile(find_config('i2ilr_heads64'))
    with pytest.raises(ValueError, match='img_size is None; .* load_config and Runner.from_cfg'):
        I2ILRGenerator(**{k: v for k, v in cfg.model.generator.items() if k != 'type'})
    with pytest.raises(ValueError, match='data_root is None; give a folder'):
        ImagePool(data_root=None, split='train', pipeline=[], img_size=32, lr_size=8)


def test_unlink_opens_what_link_filled():
    cfg = Config(dict(img_size=3, model=dict(img_size=None, x=[dict(img_size=3)])))
    link(cfg)
    assert cfg.model.img_size == 3 and cfg.linked == {'model.img_size': 3}
    unlink(cfg)
    assert cfg.model.img_size is None and cfg.model.x[0].img_size == 3 and 'linked' not in cfg
