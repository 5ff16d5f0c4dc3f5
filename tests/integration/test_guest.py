"""As a guest: MMagic's own tools on our configs, our parts in its models, a lone wheel."""

import inspect
import json
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from conftest import ROOT, call
from mmengine.config import Config
from mmengine.runner import Runner

from i2ilr_mm.config import load_config
from i2ilr_mm.loading import load_weights_only
from i2ilr_mm.models import SoftplusGANLoss

CHILD = f"""
_base_ = '{ROOT}/configs/i2ilr_heads64.py'
img_size = 32
model = dict(
    generator=dict(base_channels=4, max_channels=8),
    discriminator=dict(base_channels=4, max_channels=8),
)
train_cfg = dict(max_iters=2, val_interval=2)
val_evaluator = [dict(type='LRConsistency', lr_method='box')]
test_evaluator = [dict(type='LRConsistency', lr_method='box')]
default_hooks = dict(checkpoint=dict(save_best=None))
"""


@pytest.fixture
def child(tmp_path) -> Path:
    path = tmp_path / 'child.py'
    path.write_text(CHILD)
    return path


@pytest.mark.slow
def test_mmagics_own_tools(child, heads, tmp_path):
    """Options as they merge them, a size of a child config, and MMEngine reads our checkpoint."""
    tool = [sys.executable, '-m', 'i2ilr_mm.mmagic']
    option = ['--cfg-options', f'data_root={heads}', 'lr_size=16']
    where = dict(PYTHONPATH=str(ROOT))
    train = call(
        *tool, 'train', child, '--work-dir', tmp_path / 'run', *option, cwd=tmp_path, **where
    )
    assert 'Iter(val)' in train.stdout
    cfg = load_config(tmp_path / 'run' / 'child.py')
    generator = cfg.model.generator
    assert (generator.img_size, generator.lr_size) == (32, 16)
    assert cfg.val_dataloader.dataset.data_root == str(heads)
    checkpoint = tmp_path / 'run/iter_2.pth'
    test = call(*tool, 'test', child, checkpoint, *option, cwd=tmp_path, **where)
    assert 'lr_mae' in test.stdout


def test_what_mmagics_tools_refuse_is_one_line(child, heads, tmp_path):
    tool = [sys.executable, '-m', 'i2ilr_mm.mmagic', 'train', child, '--work-dir', tmp_path / 'run']
    option = ['--cfg-options', f'data_rot={heads}']
    result = call(*tool, *option, cwd=tmp_path, check=False, PYTHONPATH=str(ROOT))
    assert result.returncode == 1 and 'Traceback' not in result.stdout + (result.stderr or '')
    assert "option 'data_rot'" in result.stdout + (result.stderr or '')


def test_a_tool_that_mmagic_does_not_have():
    result = call(sys.executable, '-m', 'i2ilr_mm.mmagic', 'trian', check=False)
    assert result.returncode == 1 and "'train'" in result.stdout


def test_epochs_with_mmengines_sampler(child, heads, tmp_path):
    cfg = load_config(child, dict(data_root=str(heads)))
    cfg.work_dir = str(tmp_path / 'run')
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1)
    cfg.train_dataloader.sampler = dict(type='DefaultSampler', shuffle=True)
    cfg.default_hooks = dict(logger=dict(type='LoggerHook'), timer=dict(type='IterTimerHook'))
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == 6  # 12 pictures, 2 a step


def test_parts_of_mmengine_with_our_model(child, heads, tmp_path):
    """AdamW, clipping, an average, its sampler and loop; its hook's checkpoint says why not."""
    cfg = load_config(child, dict(data_root=str(heads)))
    cfg.work_dir, cfg.val_dataloader, cfg.val_cfg, cfg.val_evaluator = (
        str(tmp_path),
        None,
        None,
        None,
    )
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=3)
    cfg.train_dataloader.sampler = dict(type='InfiniteSampler', shuffle=True)
    cfg.optim_wrapper.generator = dict(
        type='OptimWrapper',
        optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.1),
        clip_grad=dict(max_norm=1e-3),
    )
    cfg.custom_hooks = [dict(type='EMAHook', momentum=0.5)]
    cfg.default_hooks = dict(
        logger=dict(type='LoggerHook', interval=1),
        checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=3),
    )
    runner = Runner.from_cfg(cfg)
    runner.train()
    wrapper = runner.optim_wrapper['generator']
    assert type(wrapper.optimizer) is torch.optim.AdamW
    assert wrapper.message_hub.get_scalar('train/grad_norm').data[0].size == 3
    assert all(p.grad is None or p.grad.norm() < 2e-3 for p in runner.model.generator.parameters())
    stored = torch.load(tmp_path / 'iter_3.pth', weights_only=False)
    averaged, live = stored['state_dict'], stored['ema_state_dict']
    assert any(not torch.equal(averaged[name], live[f'module.{name}']) for name in averaged)
    with pytest.raises(ValueError, match=r"type='PlainCheckpointHook'.*torch\.save"):
        load_weights_only(str(tmp_path / 'iter_3.pth'))
    torch.save({'state_dict': averaged}, tmp_path / 'own.pth')  # as the error says
    assert load_weights_only(str(tmp_path / 'own.pth'))['state_dict'].keys() == averaged.keys()


def test_joined_pools(child, heads, tmp_path):
    """Two roots, with our own sampler and loop."""
    pool = load_config(child, dict(data_root=str(heads))).train_dataloader.dataset
    data = dict(_delete_=True, type='ConcatDataset', datasets=[pool, {**pool, 'split': 'val'}])
    child.write_text(f'{child.read_text()}\ntrain_dataloader = dict(dataset={data!r})\n')
    cfg = Config.fromfile(child)
    cfg.merge_from_dict(dict(work_dir=str(tmp_path), val_cfg=None, val_dataloader=None))
    cfg.val_evaluator, cfg.default_hooks = None, dict(timer=dict(type='IterTimerHook'))
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == 2 and len(runner.train_dataloader.dataset) == 18


def test_losses_of_both_sides_take_the_same_call():
    """MMagic's models call gan_loss(x, target_is_real, is_disc=...); ours call its GANLoss so."""
    from mmagic.models.losses import GANLoss

    x = torch.randn(4, 1)
    for loss in (SoftplusGANLoss(), GANLoss('hinge')):
        assert {'target_is_real', 'is_disc'} <= set(inspect.signature(loss.forward).parameters)
        assert loss(x, True, is_disc=True).ndim == 0
    hinge = GANLoss('hinge')
    assert hinge(x, True, is_disc=True) != hinge(x, True, is_disc=False)


@pytest.fixture(scope='module')
def site(tmp_path_factory) -> Path:
    """Packages as after `pip install` of the wheel: no checkout, no OpenMMLab package, no lpips."""
    folder = tmp_path_factory.mktemp('site')
    wheels = folder / 'wheels'
    call(sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '-w', wheels, ROOT)
    with zipfile.ZipFile(next(wheels.glob('*.whl'))) as wheel:
        wheel.extractall(folder)
    absent = ('mm', 'i2ilr', '__editable__', '_i2ilr', 'lpips', 'torchvision', 'diffusers')
    for path in Path(torch.__file__).parents[1].iterdir():
        if not path.name.startswith(absent) and not (folder / path.name).exists():
            (folder / path.name).symlink_to(path)
    return folder


@pytest.mark.slow
def test_the_wheel_works_without_a_clone(site, heads, tmp_path):
    """Isolated (-S): nothing but the wheel and what it requires is on the path."""
    python = [sys.executable, '-S', '-m']
    env = dict(PYTHONPATH=str(site))
    where = call(
        *[sys.executable, '-S', '-c', 'import i2ilr_mm, mmagic; print(mmagic.__file__)'],
        cwd=tmp_path,
        **env,
    ).stdout
    assert '_openmmlab' in where
    for name in ('val/female', 'val/male'):
        shutil.copytree(heads / name, tmp_path / 'pictures', dirs_exist_ok=True)
    target = next((tmp_path / 'pictures').iterdir())
    translate = ['i2ilr', 'translate', '--model', 'embedded:heads64']
    call(
        *[*python, *translate, '--source', 'pictures', '--target', target, '--out', 'out'],
        cwd=tmp_path,
        **env,
    )
    assert len(list((tmp_path / 'out').glob('*.png'))) == 6
    (tmp_path / 'child.py').write_text(
        CHILD.replace(f'{ROOT}/configs', f'{site}/i2ilr_mm/.mim/configs')
    )
    call(*python, 'i2ilr_mm', 'train', 'child.py', cwd=tmp_path, **env)
    assert (tmp_path / 'work_dirs/child/iter_2.pth').exists()


def test_scores_that_need_torchvision_say_so(site, tmp_path):
    code = """
import i2ilr_mm
from mmagic.registry import MODELS
for name in ('InceptionTF', 'InceptionTorchvision', 'LPIPS'):
    try:
        MODELS.build(dict(type=name))
    except ImportError as error:
        print(error)
"""
    found = call(sys.executable, '-S', '-c', code, cwd=tmp_path, PYTHONPATH=str(site)).stdout
    fitting = int(torch.__version__.split('.')[1]) + 15
    assert found.count(f" needs torchvision: pip install 'torchvision==0.{fitting}.*'") == 3


@pytest.mark.slow
def test_an_installed_torch_is_left_alone(site, tmp_path):
    """pip would install the wheel beside an old torch, and take no other."""
    call(sys.executable, '-m', 'venv', tmp_path)
    (packages,) = tmp_path.glob('lib/python*/site-packages')
    stub = packages / 'torch-2.6.0.dist-info'  # what pip reads of an installed package
    stub.mkdir()
    (stub / 'METADATA').write_text('Metadata-Version: 2.1\nName: torch\nVersion: 2.6.0\n')
    (stub / 'RECORD').write_text('')
    wheel = next((site / 'wheels').glob('*.whl'))
    extras = '[demo,export,hub]'
    install = [tmp_path / 'bin/pip', 'install', '-q', '--dry-run', '--report', tmp_path / 'r.json']
    call(*install, f'{wheel}{extras}')
    report = json.loads((tmp_path / 'r.json').read_text())
    names = {found['metadata']['name'].lower() for found in report['install']}
    assert {'i2ilr_mm', 'flask', 'onnxruntime', 'scipy'} <= names
    assert not {'torch', 'torchvision', 'mmcv', 'mmcv-lite'} & names


@pytest.mark.slow
def test_mim_train(site, heads, tmp_path):
    """mim finds config and script in the installed package; options go through to the script."""
    options = [f'data_root={heads}', 'img_size=32', 'train_cfg.max_iters=2']
    options += [f'model.{n}.base_channels=4' for n in ('generator', 'discriminator')]
    options += [f'model.{n}.max_channels=8' for n in ('generator', 'discriminator')]
    options += ['train_cfg.val_interval=2', 'val_evaluator=[{"type":"LRConsistency"}]']
    options += ['default_hooks.checkpoint.save_best=lr_mae']
    command = ['train', 'i2ilr_mm', 'i2ilr_heads64.py', '--work-dir', tmp_path / 'run']
    result = call(
        *[sys.executable, '-m', 'mim', *command, '--cfg-options', *options],
        cwd=tmp_path,
        PYTHONPATH=str(site),
    )
    assert f'{site}/i2ilr_mm/.mim/configs/i2ilr_heads64.py' in result.stdout
    assert 'Training finished successfully' in result.stdout
    assert (tmp_path / 'run/iter_2.pth').exists()


def test_the_wheel_holds_what_belongs_in_it(site):
    package = site / 'i2ilr_mm'
    assert (package / 'py.typed').exists() and (package / '.mim/configs/i2ilr_heads64.py').exists()
    assert (package / '.mim/tools/train.py').exists() and (
        package / '.mim/model-index.yml'
    ).exists()
    assert not (package / '_openmmlab/mmagic/models/editors/stylegan2/ada').exists()
    for name in ('mmagic', 'mmcv_lite', 'mmengine'):
        assert any(package.glob(f'_openmmlab/{name}-*/LICENSE*')) or any(
            package.glob(f'_openmmlab/{name}-*/**/LICENSE*')
        )
