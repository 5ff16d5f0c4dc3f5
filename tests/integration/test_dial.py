"""`i2ilr test` with the LR sizes and bindings of a dial, on small pictures."""

import json

import pytest
from conftest import TINY, fork
from PIL import Image

CONFIG = 'configs/i2ilr_cats_dial.py'
SCORES = [
    'test_evaluator=[{"type":"LRConsistency"},{"type":"SourceKept",'
    '"network":{"type":"EfficientNetLite0"},"cache_dir":None}]'
]
DIAL = ['model.generator.lr_sizes=[4,8,16]', 'model.target_draws.shares=[1,1,1]']


@pytest.mark.parametrize('asked', [['--lr-size', '16'], ['--free', '0.5'], ['--grey']])
def test_every_kind_of_target_is_scored(root, heads, tmp_path, asked):
    """What binds is met but for clamping and 8 bits, and the report says what was asked for."""
    out, grid = tmp_path / 'scores.json', tmp_path / 'grid.png'
    any_model = '--grey' in asked
    config, own = ('configs/i2ilr_cats.py', []) if any_model else (CONFIG, DIAL)
    options = ['--cfg-options', f'data_root={heads}', *TINY, *own, *SCORES]
    where = ['--work-dir', tmp_path, '--out', out, '--samples', grid]
    command = [root / 'tools/test.py', config, 'untrained', *asked, *where, *options]
    result = fork([str(part) for part in command], root)
    assert result.returncode == 0, result.stdout[-3000:]
    report = json.loads(out.read_text())
    protocol = report['protocol']
    assert protocol['lr_size'] == (16 if '--lr-size' in asked else 8)
    assert protocol.get('free', 0) == (0.5 if '--free' in asked else 0)
    assert protocol.get('grey', False) == ('--grey' in asked)
    assert report['scores']['lr_mae']['value'] < 30
    assert report['scores']['source_kept_lite0']['n'] == 6
    assert Image.open(grid).width == 4 + 5 * 132 + 90


def test_models_of_one_size_refuse_them(root, heads):
    for asked in (['--lr-size', '16'], ['--free', '0.5']):
        command = [root / 'tools/test.py', 'configs/i2ilr_heads64.py', 'untrained', *asked]
        result = fork([*map(str, command), '--cfg-options', f'data_root={heads}', *TINY], root)
        assert result.returncode == 1 and 'Traceback' not in result.stdout
        assert f'error: {asked[0]} is' in result.stdout
