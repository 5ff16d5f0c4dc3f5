"""Whole commands on small real pictures; every flag has a test that fails when it does nothing."""

import io
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from pathlib import Path

import golden
import pytest
import torch
from conftest import ROOT, TINY, call, free_port
from PIL import Image, ImageChops

CONFIG = 'configs/i2ilr_heads64.py'
WHOLE = 'configs/i2ilr_cats.py'
"""The whole recipe: with a projected discriminator."""
WITHOUT_FORECAST = 'default_hooks.cost=None'
"""Counting the cost of a step takes longer than four steps."""
QUICK = [
    'train_cfg.max_iters=4',
    'train_cfg.val_interval=4',
    'val_evaluator=[{"type":"LRConsistency"}]',
    'test_evaluator=[{"type":"LRConsistency"}]',
    'default_hooks.checkpoint.interval=2',
    'default_hooks.checkpoint.save_best=lr_mae',
    'default_hooks.logger.interval=1',
    'log_processor.window_size=2',
    'default_hooks.samples.interval=2',
    WITHOUT_FORECAST,
]


def python(tool: str, *arguments: str, **options):
    return call(sys.executable, ROOT / 'tools' / tool, *arguments, **options)


def options(data_root, *more: str) -> list[str]:
    return ['--cfg-options', f'data_root={data_root}', *TINY, *QUICK, *more]


def state(path) -> dict:
    return torch.load(path, weights_only=True)


def same(a: dict, b: dict) -> bool:
    return all(torch.equal(a['state_dict'][k], b['state_dict'][k]) for k in a['state_dict'])


@pytest.fixture(scope='module')
def trained(heads, tmp_path_factory) -> Path:
    """A work dir after four steps."""
    folder = tmp_path_factory.mktemp('run')
    given = [option for option in options(heads) if option != WITHOUT_FORECAST]
    result = python('train.py', CONFIG, '--work-dir', folder, *given)
    (folder / 'stdout.txt').write_text(result.stdout)
    return folder


@pytest.mark.parametrize('tool', sorted((ROOT / 'tools').glob('*.py')), ids=lambda path: path.stem)
def test_every_tool_is_a_command(tool):
    result = call(sys.executable, tool, '--help')
    assert 'usage: ' in result.stdout and tool.name in result.stdout


def test_training_leaves_what_it_should(trained):
    log = (trained / 'stdout.txt').read_text()
    for word in (
        'Cost: ',
        ' GMAC per picture',
        'eta:',
        'loss_d:',
        'loss_g:',
        'lr_error:',
        'img_per_s:',
        'kimg:',
        'lr_mae:',
    ):
        assert word in log
    assert (trained / 'iter_2.pth').is_file() and (trained / 'iter_4.pth').is_file()
    assert list(trained.glob('best_lr_mae_iter_*.pth'))
    for step in (2, 4):
        grid = Image.open(trained / f'samples/iter_{step}.png')
        assert grid.size == (4 + 4 * 132, 22 + 6 * 132)
    assert list(trained.glob('*/vis_data/vis_image/samples_*.png'))


def test_cfg_options_and_work_dir(trained):
    weights = state(trained / 'iter_4.pth')['state_dict']
    assert weights['generator.from_rgb.weight_orig'].shape[0] == 4  # TINY's base_channels


def test_checkpoints_hold_plain_data(trained):
    checkpoint = state(trained / 'iter_4.pth')  # weights_only
    assert checkpoint['meta']['iter'] == 4
    assert int(checkpoint['state_dict']['_extra_state']) == 4


def test_resume_goes_on(trained, heads, tmp_path):
    """Four steps at once, against two and two: the same weights."""
    steady = options(heads)
    whole = state(trained / 'iter_4.pth')
    half = [*steady, 'train_cfg.max_iters=2', 'train_cfg.val_interval=2']
    python('train.py', CONFIG, '--work-dir', tmp_path / 'a', *half)
    result = python('train.py', CONFIG, '--work-dir', tmp_path / 'a', '--resume', *steady)
    assert 'resumed epoch: 0, iter: 2' in result.stdout
    resumed = state(tmp_path / 'a/iter_4.pth')
    assert same(whole, resumed)
    again = python('train.py', CONFIG, '--work-dir', tmp_path / 'a', '--resume', *steady)
    assert 'at iteration 4 of 4 already' in again.stdout
    history = resumed['message_hub']['log_scalars']
    assert history['train/loss_g'].shape[1] == 4  # the log goes on, too

    path = trained / 'iter_2.pth'
    python('train.py', CONFIG, '--work-dir', tmp_path / 'b', '--resume', path, *steady)
    assert same(whole, state(tmp_path / 'b/iter_4.pth'))


def test_interrupt_says_how_to_go_on(heads, tmp_path):
    command = [sys.executable, ROOT / 'tools/train.py', CONFIG, '--work-dir', tmp_path]
    many = ['train_cfg.max_iters=100000', 'train_cfg.val_interval=100000']
    process = subprocess.Popen(
        [*command, *options(heads, *many)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Where the tests themselves run in the background of a shell, SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        for line in process.stdout:
            if 'Iter(train) [ ' in line and ' 6/100000]' in line:
                process.send_signal(signal.SIGINT)
                break
        output = process.communicate(timeout=60)[0]
    finally:
        process.kill()
    assert process.returncode == 1 and 'Traceback' not in output
    assert re.search(r'interrupted at iteration \d+; last checkpoint: .*iter_\d+.pth', output)


def test_an_earlier_run_is_not_overwritten(trained, heads):
    before = (trained / 'iter_4.pth').stat().st_mtime_ns
    result = python('train.py', CONFIG, '--work-dir', trained, *options(heads), check=False)
    assert result.returncode == 1 and '--resume' in result.stdout
    assert (trained / 'iter_4.pth').stat().st_mtime_ns == before


def test_amp_changes_the_arithmetic_and_grids_reach_tensorboard(trained, heads, tmp_path):
    backend = 'visualizer.vis_backends=[{"type":"TensorboardVisBackend"}]'
    python('train.py', CONFIG, '--work-dir', tmp_path, '--amp', *options(heads, backend))
    (events,) = tmp_path.rglob('events.out.tfevents.*')
    assert b'samples' in events.read_bytes() and b'PNG' in events.read_bytes()
    plain, amp = state(trained / 'iter_2.pth'), state(tmp_path / 'iter_2.pth')
    assert not same(plain, amp)
    name = 'generator.encoder.0.conv1.weight_orig'
    difference = (plain['state_dict'][name] - amp['state_dict'][name]).norm()
    assert difference < 0.2 * plain['state_dict'][name].norm()


def test_auto_scale_lr_scales_all_rates(heads, tmp_path):
    """Twice the batch that they are meant for; D's is corrected for its lazy R1, too."""
    more = options(heads, 'train_dataloader.batch_size=8')
    python('train.py', WHOLE, '--work-dir', tmp_path, '--auto-scale-lr', *more)
    optimizers = state(tmp_path / 'iter_4.pth')['optimizer']
    rates = {name: each['param_groups'][0]['lr'] for name, each in optimizers.items()}
    expected = dict(generator=2e-3, discriminator=4e-3 * 8 / 9, projected_discriminator=4e-3)
    assert {name: rates[name] for name in expected} == pytest.approx(expected)


def test_losses_that_are_not_finite_stop_the_run(heads, tmp_path):
    """The step, the pictures and the last good checkpoint are named, and nothing bad is written."""
    train = ['train.py', CONFIG, '--work-dir', tmp_path]
    python(*train, *options(heads))
    long = ['train_cfg.max_iters=12', 'train_cfg.val_interval=12']
    long += ['default_hooks.logger.interval=6', 'default_hooks.checkpoint.interval=6']
    overflow = 'model.gan_loss.loss_weight=1e38'
    result = python(*train, '--resume', *options(heads, *long, overflow), check=False)
    assert result.returncode == 1 and 'Traceback' not in result.stdout
    found = re.search(r'error: iteration (\d+): .*loss_\w+ is (?:nan|inf)', result.stdout)
    assert found and 5 <= int(found[1]) <= 6
    names = re.search(r'The batch: ([^.]+\.jpg(?:, [^.]+\.jpg){3})\. ', result.stdout)[1].split(
        ', '
    )
    assert all((heads / 'train' / name).is_file() for name in names)
    assert f"Last good checkpoint: '{tmp_path}/iter_4.pth'" in result.stdout
    assert not (tmp_path / 'iter_6.pth').exists()


def test_a_saturated_discriminator_is_warned_of(heads, tmp_path):
    """A generator that stands still: the projected discriminator knows it in no time."""
    still = ['optim_wrapper.generator.optimizer.lr=1e-9']
    long = ['train_cfg.max_iters=120', 'train_cfg.val_interval=120']
    rare = ['default_hooks.checkpoint.interval=120', 'default_hooks.samples.interval=120']
    watch = ['default_hooks.watch.interval=20', 'default_hooks.logger.interval=20']
    result = python(
        *('train.py', WHOLE, '--work-dir', tmp_path),
        *options(heads, *still, *long, *rare, *watch, 'log_processor.window_size=20'),
    )
    warning = (
        r'WARNING - iteration \d+: the projected discriminator saturates: its mean loss per term '
        r'is 0\.0'
    )
    assert 1 <= len(re.findall(warning, result.stdout)) < 6  # not at every look


def test_score_table_json_pairs_and_samples(trained, heads, tmp_path):
    out, samples = tmp_path / 'deep/scores.json', tmp_path / 'deep/samples.png'
    result = python(
        *('test.py', CONFIG, trained / 'iter_4.pth', '--work-dir', tmp_path),
        *('--out', out, '--samples', samples, *options(heads)),
    )
    assert re.search(r'lr_mae +\d+\.\d+ .*grey levels, lower is better +12 ', result.stdout)
    scores = json.loads(out.read_text())
    lr_mae = scores['scores']['lr_mae']
    assert lr_mae['n'] == 12 and scores['weights'] == 'EMA'
    assert lr_mae['low'] < lr_mae['value'] < lr_mae['high'] and lr_mae['protocol'] == 'heads'
    assert scores['protocol'] == dict(
        name='heads',
        split='test',
        pictures=6,
        data_hash=scores['protocol']['data_hash'],
        n_targets=2,
        pairing='any',
        pair_seed=0,
        img_size=32,
        lr_size=8,
        lr_method='box',
        fit='stretch',
    )
    pairs = json.loads((tmp_path / 'deep/scores.pairs.json').read_text())['pairs']
    assert len(pairs) == 6 and all(len(targets) == 2 for targets in pairs.values())
    assert Image.open(samples).width == 4 + 5 * 132 + 90
    assert list(tmp_path.glob('*/*.log'))  # --work-dir


def test_the_ema_weights_are_scored(trained, heads, tmp_path):
    checkpoint = state(trained / 'iter_4.pth')
    broken = {
        k: torch.zeros_like(v) if k.startswith('generator.') else v
        for k, v in checkpoint['state_dict'].items()
    }
    torch.save(dict(state_dict=broken), tmp_path / 'live_is_zero.pth')
    values = []
    for path in (trained / 'iter_4.pth', tmp_path / 'live_is_zero.pth'):
        python('test.py', CONFIG, path, '--work-dir', tmp_path, *options(heads))
        values.append(json.loads((tmp_path / 'metrics.json').read_text())['scores'])
    assert values[0] == values[1]


@pytest.mark.slow
def test_dist_scripts(heads, tmp_path):
    """Two ranks through dist_train.sh and dist_test.sh; the scores are those of one process."""
    env = dict(
        MASTER_PORT=free_port(),
        PATH=f'{Path(sys.executable).parent}:{os.environ["PATH"]}',
        HOME=str(tmp_path),  # the cache of real features
    )
    train = ['bash', 'tools/dist_train.sh', CONFIG, '2', '--work-dir', tmp_path / 'run']
    half = ['train_cfg.max_iters=2', 'train_cfg.val_interval=2']
    call(*train, *options(heads, *half), **env)
    resumed = call(*train, '--resume', *options(heads), **env)
    assert 'resumed epoch: 0, iter: 2' in resumed.stdout
    assert 'unexpected key' not in resumed.stdout and 'missing keys' not in resumed.stdout
    checkpoint = tmp_path / 'run/iter_4.pth'
    assert int(state(checkpoint)['state_dict']['_extra_state']) == 4

    both = (
        'test_evaluator=[{"type":"LRConsistency"},{"type":"DistributionScores","k":2,'
        '"network":{"type":"EfficientNetLite0"},"cache_dir":None}]'
    )
    test = ['bash', 'tools/dist_test.sh', CONFIG, checkpoint, '2', '--work-dir', tmp_path / 'two']
    call(*test, *options(heads, both, 'test_dataloader.batch_size=5'), **env)
    python('test.py', CONFIG, checkpoint, '--work-dir', tmp_path / 'one', *options(heads, both))
    two, one = (
        json.loads((tmp_path / n / 'metrics.json').read_text())['scores'] for n in ('two', 'one')
    )
    assert two.keys() == one.keys() >= {'lr_mae', 'fd_lite0'}
    for name in one:
        figures, facts = (
            [
                {k: v for k, v in report[name].items() if isinstance(v, float) is real}
                for report in (two, one)
            ]
            for real in (True, False)
        )
        assert figures[0] == pytest.approx(figures[1], rel=1e-3, abs=1e-3)
        assert facts[0] == facts[1] and 'value' in figures[0]


@pytest.mark.slow
def test_two_nodes(heads, tmp_path):
    """Two launchers, as on two machines: both ranks meet, and one of them writes."""
    port = free_port()
    command = ['bash', 'tools/dist_train.sh', CONFIG, '1', '--work-dir', str(tmp_path / 'run')]
    nodes = [
        subprocess.Popen(
            [*command, *options(heads)],
            cwd=ROOT,
            env={
                **os.environ,
                **dict(NNODES='2', NODE_RANK=str(rank), MASTER_ADDR='127.0.0.1', MASTER_PORT=port),
                **dict(OMP_NUM_THREADS='1', I2ILR_TRACEBACK='1'),
                'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}',
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in (0, 1)
    ]
    outputs = [node.communicate(timeout=300)[0] for node in nodes]
    for node, output in zip(nodes, outputs):
        assert node.returncode == 0, output[-4000:]
    kimg = re.search(r'\[4/4\].* kimg: ([\d.]+)', outputs[0])
    assert kimg and float(kimg[1]) == pytest.approx(4 * 2 * 4 / 1000)
    assert int(state(tmp_path / 'run/iter_4.pth')['state_dict']['_extra_state']) == 4


def fake_command(folder: Path, name: str) -> None:
    """A command on PATH that prints its arguments."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text('#!/bin/sh\necho "' + name + ' $*"\n')
    path.chmod(path.stat().st_mode | stat.S_IEXEC)


def test_scripts_pass_nodes_and_arguments_on(tmp_path):
    fake_command(tmp_path / 'bin', 'python')
    fake_command(tmp_path / 'bin', 'srun')
    path = f'{tmp_path}/bin:{os.environ["PATH"]}'
    nodes = dict(NNODES='2', NODE_RANK='1', MASTER_ADDR='10.1.2.3', MASTER_PORT='12345', PATH=path)
    line = call('bash', 'tools/dist_train.sh', 'c.py', '4', '--amp', **nodes).stdout
    for part in (
        *('--nnodes=2', '--node-rank=1', '--master-addr=10.1.2.3', '--master-port=12345'),
        *('--nproc-per-node=4', 'train.py c.py --launcher pytorch --amp'),
    ):
        assert part in line
    line = call(
        'bash', 'tools/slurm_train.sh', 'gpu', 'job', 'c.py', '--amp', PATH=path, GPUS='4'
    ).stdout
    for part in (
        '-p gpu',
        '--job-name=job',
        '--gres=gpu:4',
        '--ntasks=4',
        '--launcher slurm --amp',
    ):
        assert part in line
    for script in ('dist_train.sh', 'dist_test.sh', 'slurm_train.sh'):
        result = call('bash', f'tools/{script}', check=False)
        assert result.returncode == 2 and 'usage' in result.stdout


@pytest.mark.parametrize('script', ['dist_train.sh c.py 1', 'dist_test.sh c.py c.pth 1'])
def test_a_port_that_is_taken_is_one_line(script):
    with socket.create_server(('127.0.0.1', 0)) as sock:
        port = str(sock.getsockname()[1])
        name, *arguments = script.split()
        result = call('bash', f'tools/{name}', *arguments, check=False, MASTER_PORT=port)
    assert result.returncode == 1
    assert re.fullmatch(
        f'error: port {port} is taken.* MASTER_PORT to a free one', result.stdout[:-1]
    )


def test_conversion_tool(tmp_path):
    torch.save(golden.checkpoint(), tmp_path / 'ref.pt')
    tool = 'convert_reference_checkpoint.py'
    result = python(tool, tmp_path / 'ref.pt', tmp_path / 'out.pth')
    assert 'img_size=64 lr_size=8' in result.stdout
    assert (tmp_path / 'out.pth').is_file()
    again = python(tool, tmp_path / 'ref.pt', tmp_path / 'out.pth', check=False)
    assert again.returncode == 1 and 'exists already' in again.stdout


def test_own_folder_without_splits(heads, tmp_path):
    folder = tmp_path / 'mine'
    folder.mkdir()
    for i, path in enumerate(sorted(heads.rglob('*.jpg'))):
        shutil.copy(path, folder / f'{i}.jpg')
    python('train.py', CONFIG, '--work-dir', tmp_path / 'run', *options(folder))
    assert (tmp_path / 'run/iter_4.pth').is_file()


@pytest.mark.parametrize(
    'name, classes, workers', [('celebahq', 'female male', 1), ('afhq', 'cat dog wild', 0)]
)
def test_large_configs_train_on_their_layout(name, classes, workers, heads, tmp_path):
    """StarGAN v2's folders, the real configs, small networks and pictures.

    The configs keep their workers between epochs; that none can be kept is no mistake.
    """
    pictures = sorted(heads.rglob('*.jpg'))
    for split in ('train', 'test' if name == 'afhq' else 'val'):
        for i, kind in enumerate(classes.split()):
            (tmp_path / split / kind).mkdir(parents=True)
            for path in pictures[4 * i : 4 * i + 4]:
                shutil.copy(path, tmp_path / split / kind / path.name)
    config = f'configs/i2ilr_{name}.py'
    work_dir = ['--work-dir', tmp_path / 'run']
    counts = [f'{split}_dataloader.num_workers={workers}' for split in ('train', 'val')]
    python('train.py', config, *work_dir, *options(tmp_path, *counts))
    assert (tmp_path / 'run/iter_4.pth').is_file()


def test_parts_that_are_none_are_off(heads, tmp_path):
    names = [*('env_cfg', 'randomness', 'visualizer', 'log_processor', 'default_hooks.timer')]
    names += ['val_dataloader', 'val_cfg', 'val_evaluator', 'default_hooks.samples']
    given = [option for option in QUICK if not option.startswith('log_processor')]
    given = ['--cfg-options', f'data_root={heads}', *TINY, *given, *(f'{n}=None' for n in names)]
    python('train.py', CONFIG, '--work-dir', tmp_path, *given)
    assert (tmp_path / 'iter_4.pth').is_file() and not (tmp_path / 'samples').exists()


def test_names_that_the_locale_lacks(heads, tmp_path):
    """A code page of few characters, for files, arguments, logs and what is printed."""
    there = tmp_path / 'Köpfe 頭'
    shutil.copytree(heads, there / 'bild')
    for path in list((there / 'bild/val/male').glob('*.jpg')):
        path.rename(path.with_name(f'é {path.name}'))
    locale = dict(LC_ALL='C', PYTHONCOERCECLOCALE='0', PYTHONUTF8='0', PYTHONIOENCODING='cp1252')
    work, out = tmp_path / 'läuft 日', tmp_path / 'aus 日'
    python('train.py', CONFIG, '--work-dir', work, *options(there / 'bild'), **locale)
    log = next(work.glob('*/*.log')).read_text(encoding='utf-8')
    assert str(work) in log and 'Logging error' not in log
    places = ['--source', there / 'bild/val/male', '--target', there / 'bild/val/female']
    command = ['translate.py', CONFIG, work / 'iter_4.pth', *places, '--out', out]
    result = python(*command, *options(there / 'bild'), **locale)
    assert '3 of 3 pairs translated into' in result.stdout and 'Traceback' not in result.stdout
    assert len(list(out.glob('é *.png'))) == 3
    missing = python(
        'translate.py', CONFIG, tmp_path / '日.pth', *command[3:], check=False, **locale
    )
    assert missing.returncode == 1 and 'there is no checkpoint' in missing.stdout


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['nowhere.py'], "no config file 'nowhere.py'"),
        ([CONFIG, '--cfg-options', 'data_root=nowhere'], "data_root 'nowhere' does not exist"),
        ([CONFIG, '--cfg-options', 'img_size=100'], 'img_size=100 with lr_size=8'),
        ([CONFIG, '--resume', 'none.pth'], "no checkpoint 'none.pth'"),
        ([CONFIG, '--cfg-options', 'oops'], 'KEY=VALUE'),
        ([CONFIG, '--cfg-options', 'model.ema_decy=0.2'], "ema_decy is unknown; is it 'ema_decay'"),
        (
            [CONFIG, '--cfg-options', 'train_cfg.maxiters=2'],
            "maxiters is unknown; is it 'max_iters'",
        ),
    ],
)
def test_mistakes_get_one_clear_line(arguments, message, tmp_path):
    result = python('train.py', *arguments, '--work-dir', tmp_path / 'x', check=False)
    assert result.returncode != 0
    assert message in result.stdout and 'Traceback' not in result.stdout


def test_test_tool_refuses_what_it_cannot_score(tmp_path):
    (tmp_path / 'bad.pth').write_text('no checkpoint')
    result = python('test.py', CONFIG, tmp_path / 'bad.pth', check=False)
    assert (
        result.returncode == 1 and 'bad.pth' in result.stdout and 'Traceback' not in result.stdout
    )


def test_a_wrong_option_of_a_score_is_one_line(heads, tmp_path):
    wrong = 'test_evaluator=[{"type":"LRConsistency","foo":1}]'
    command = ['test.py', CONFIG, 'untrained', '--work-dir', tmp_path, *options(heads, wrong)]
    result = python(*command, check=False)
    assert result.returncode == 1 and 'Traceback' not in result.stdout
    assert 'error: test_evaluator.0.foo is unknown; there are' in result.stdout
    assert 'lr_method' in result.stdout and 'self' not in result.stdout


def test_compare_scores(tmp_path):
    score = dict(value=1.5, unit='grey levels', better='lower', n=3)
    for name, value, protocol in (('a', 1.5, 'intra'), ('b', 0.25, 'intra'), ('c', 1, 'stargan2')):
        content = dict(protocol=dict(name=protocol), scores=dict(lr_mae={**score, 'value': value}))
        (tmp_path / f'{name}.json').write_text(json.dumps(content))
    result = python('compare_scores.py', f'old={tmp_path}/a.json', f'new={tmp_path}/b.json')
    assert re.search(r'score +old +new +unit', result.stdout)
    assert re.search(r'lr_mae +1.500 +0.2500 +grey levels, lower is better +3', result.stdout)
    result = python(
        'compare_scores.py', f'x={tmp_path}/a.json', f'x={tmp_path}/b.json', check=False
    )
    assert result.returncode == 1 and "'x' is given twice" in result.stdout
    for wrong, message in (('c.json', 'name: intra'), ('none.json', "none.json' cannot be read")):
        both = f'{tmp_path}/a.json', f'x={tmp_path}/{wrong}'
        result = python('compare_scores.py', *both, check=False)
        assert result.returncode == 1 and message in result.stdout
        assert 'Traceback' not in result.stdout


def test_a_protocol_in_the_configs_place(heads, tmp_path):
    """StarGAN v2's ten references of each other class; its scores need weights, so not those."""
    scores = [option for option in options(heads) if 'img_size' in option or 'data_root' in option]
    only_lr = 'test_evaluator=[{"type":"LRConsistency"}]'
    command = ['test.py', CONFIG, 'untrained', '--protocol', 'stargan2', '--work-dir', tmp_path]
    python(*command, '--cfg-options', *TINY, *scores, only_lr)
    found = json.loads((tmp_path / 'metrics.json').read_text())
    assert found['protocol']['name'] == found['scores']['lr_mae']['protocol'] == 'stargan2'
    assert found['protocol']['pairing'] == 'each_class' and found['protocol']['n_targets'] == 10
    assert found['scores']['lr_mae']['n'] == 6 * 3  # there are no more than three
    result = python(*command, '--cfg-options', *TINY, *scores, HOME=str(tmp_path), check=False)
    assert result.returncode == 1 and 'inception_v3_google-0cc3c7bd.pth' in result.stdout
    assert 'Traceback' not in result.stdout
    result = python(*command[:4], 'other', check=False)
    assert result.returncode == 1 and "no config file 'protocols/other'" in result.stdout
    assert 'protocols/stargan2' in result.stdout  # names those there are


def test_a_baseline_has_no_lr_error(heads, tmp_path):
    """Sources moved to their targets' colours."""
    python('test.py', CONFIG, 'project-source', '--work-dir', tmp_path, *options(heads))
    found = json.loads((tmp_path / 'metrics.json').read_text())
    assert found['scores']['lr_mae']['value'] < 1 and found['weights'] == 'none'


def test_publishing_and_comparing(trained, heads, tmp_path):
    """The published generator has its checkpoint's scores, and stands beside another's results."""
    out, checkpoint = tmp_path / 'mine.safetensors', trained / 'iter_4.pth'
    result = python('publish_model.py', CONFIG, checkpoint, out, *options(heads))
    assert f'wrote {out}' in result.stdout
    found, pictures = [], []
    for scored, *beside in ((checkpoint, out), (out, f'a={checkpoint}', f'b={checkpoint}')):
        samples = ['--samples', tmp_path / 'samples.png', '--beside', *beside]
        command = ['test.py', CONFIG, scored, '--work-dir', tmp_path, *samples]
        python(*command, *options(heads))
        found.append(json.loads((tmp_path / 'metrics.json').read_text())['scores'])
        pictures.append(Image.open(tmp_path / 'samples.png').convert('RGB'))
    assert found[0]['lr_mae']['value'] == pytest.approx(found[1]['lr_mae']['value'], rel=1e-3)
    assert [p.width for p in pictures] == [4 + 6 * 132 + 90, 4 + 7 * 132 + 90]
    result, other = ((4 + i * 132, 22, 132 * (i + 1), pictures[0].height) for i in (2, 5))
    gap = ImageChops.difference(pictures[0].crop(result), pictures[0].crop(other))
    assert max(high for _, high in gap.getextrema()) <= 1  # the same weights
    refused = python('test.py', CONFIG, out, '--beside', out, check=False)
    assert refused.returncode == 2 and '--samples or --plots' in refused.stdout
    alike = ['--samples', tmp_path / 'x.png', '--beside', '1/a', '2/a', f'result={out}']
    refused = python('test.py', CONFIG, out, *alike, check=False)
    assert refused.returncode == 1 and "['a', 'result']; give each" in refused.stdout


def test_a_published_model_is_used_without_its_config(trained, heads, tmp_path):
    """Weights, scores and licence in one file or folder; translate, export and the card."""
    checkpoint = trained / 'iter_4.pth'
    only_lr = 'test_evaluator=[{"type":"LRConsistency"}]'
    python('test.py', CONFIG, checkpoint, '--work-dir', tmp_path, *options(heads, only_lr))
    about = ['--data', 'some heads', '--licence', 'CC0-1.0', '--scores', tmp_path / 'metrics.json']
    folder = tmp_path / 'mine'
    command = ['publish_model.py', CONFIG, checkpoint, folder, *about, *options(heads)]
    assert 'mine/README.md' in python(*command).stdout
    assert '| lr_mae |' in (folder / 'README.md').read_text()
    again = python(*command, check=False)
    assert again.returncode == 1 and 'not empty; give a new folder' in again.stdout
    pair = ['--source', heads / 'val/male', '--target', heads / 'val/male', '--device', 'cpu']
    pair += ['--size', '40']
    made = []
    for i, model in enumerate((['--model', folder], [CONFIG, checkpoint, *options(heads)])):
        python('translate.py', *model, *pair, '--out', tmp_path / str(i))
        made.append([p.read_bytes() for p in sorted((tmp_path / str(i)).glob('*.png'))])
    images = [[Image.open(io.BytesIO(p)) for p in files] for files in made]
    assert {image.size for image in images[0]} == {(40, 40)}  # the model is one of 32 px
    pixels = [[image.tobytes() for image in files] for files in images]
    assert len(pixels[0]) == 3 and pixels[0] == pixels[1]
    export = ['export.py', '--model', folder, tmp_path / 'a.pt2', '--format', 'torch-export']
    python(*export, '--size', '40')
    # nothing of a config goes with it, and one of both is needed
    for wrong, message in (
        ((CONFIG, checkpoint, '--model', folder), 'describes itself'),
        (('--model', folder, *options(heads)), 'describes itself'),
        ((CONFIG,), 'a model is needed'),
        ((), 'a model is needed'),
    ):
        refused = python('translate.py', *wrong, *pair, '--out', tmp_path / 'x', check=False)
        assert refused.returncode == 2 and message in refused.stdout
    away = python('translate.py', '--model', 'cats', *pair, '--out', tmp_path / 'x', check=False)
    assert away.returncode == 1 and "there is no 'cats'; give a .safetensors" in away.stdout


def test_translate(trained, heads, tmp_path):
    (tmp_path / 'in').mkdir()
    for i, path in enumerate(sorted((heads / 'val/male').glob('*.jpg'))[:2]):
        shutil.copy(path, tmp_path / f'in/{i}.jpg')
    target, out = next((heads / 'val/female').glob('*.jpg')), tmp_path / 'out'
    sizes = [*options(heads), '--project', '--strength', '0.5', '--device', 'cpu']
    command = ['translate.py', CONFIG, trained / 'iter_4.pth', '--source', tmp_path / 'in']
    command += ['--target', target, '--out', out, '--grid', tmp_path / 'grid.png']
    assert '2 of 2 pairs translated' in python(*command, *sizes).stdout
    assert Image.open(tmp_path / 'grid.png').height == 22 + 2 * 132
    written = Image.open(out / f'1__{target.stem}.png')
    assert written.size == (32, 32) and written.info['i2ilr_mm:strength'] == '0.5'
    assert float(written.info['i2ilr_mm:lr_worst']) < 0.5
    (tmp_path / 'in/2.jpg').write_bytes(b'no picture')
    before = (tmp_path / 'grid.png').read_bytes()
    assert python(*command, *sizes, check=False).returncode == 3
    assert (tmp_path / 'grid.png').read_bytes() == before
    again = python(*command, '--overwrite', *sizes, check=False)
    assert again.returncode == 3 and '1 could not be' in again.stdout
    assert again.stdout.count('passed over') == 1
    missing = python('translate.py', CONFIG, trained / 'none.pth', *command[3:], check=False)
    assert missing.returncode == 1 and 'Traceback' not in missing.stdout


def test_demo_serves_this_machine_alone(trained, heads, tmp_path):
    command = [sys.executable, 'tools/demo.py', CONFIG, trained / 'iter_4.pth', '--port', '0']
    command += ['--examples', heads, '--device', 'cpu', '--max-upload-mb', '2', *options(heads)]
    command += ['--size', '40']
    process = subprocess.Popen(
        [str(part) for part in command], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = next(line for line in process.stdout if 'open http' in line)
        address = re.search(r'http://127\.0\.0\.1:\d+/', line)[0]
        with urllib.request.urlopen(address + 'api/model') as answer:
            model = json.load(answer)
        assert (model['img_size'], model['max_upload_mb']) == (40, 2)
        with urllib.request.urlopen(address + 'api/examples/0') as answer:
            assert Image.open(io.BytesIO(answer.read())).size == (40, 40)
        with pytest.raises(OSError):  # another address of this machine
            urllib.request.urlopen(address.replace('127.0.0.1', '127.0.0.2'), timeout=5)
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_export(trained, heads, tmp_path):
    out = tmp_path / 'a.pt2'
    command = ['export.py', CONFIG, trained / 'iter_4.pth', out, '--format', 'torch-export']
    result = python(*command, '--project', *options(heads))
    assert re.search(r'largest difference from PyTorch: \d\.\de[-+]\d+', result.stdout)
    assert re.search(r'one picture: \d+\.\d ms exported', result.stdout)
    assert out.stat().st_size > 10_000
    again = python(*command, *options(heads), check=False)
    assert again.returncode == 1 and 'exists; choose another name' in again.stdout


def test_plots(trained, heads, tmp_path):
    lite0 = (
        'test_evaluator=[{"type":"LRConsistency"},{"type":"DistributionScores","k":2,'
        '"network":{"type":"EfficientNetLite0"},"cache_dir":None}]'
    )
    plots = ['--plots', tmp_path / 'plots']
    command = ['test.py', CONFIG, trained / 'iter_4.pth', '--work-dir', tmp_path, *plots]
    python(*command, *options(heads, lite0))
    assert Image.open(tmp_path / 'plots/best_to_worst.png').height == 22 + 10 * 132
    assert Image.open(tmp_path / 'plots/frechet_against_n.png').width > 300


def test_plot_training(trained, tmp_path):
    out = tmp_path / 'deep/curves.png'
    python('plot_training.py', f'four={trained}', trained, '--out', out)
    assert Image.open(out).width > 300
    result = python('plot_training.py', tmp_path, check=False)
    assert result.returncode == 1 and 'holds no log' in result.stdout
