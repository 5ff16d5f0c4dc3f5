"""Rows of the board, from logs that are written by hand."""

import json

import pytest

from i2ilr.board import HEAD, board_row, training_minutes

CONFIG = "data_root = '/data/cats.zip'\nimg_size = 64\nmodel = dict(type='I2ILR', data_root='no')\n"


def log(folder, name: str, *rows: dict) -> None:
    path = folder / name / 'vis_data'
    path.mkdir(parents=True)
    (path / 'scalars.json').write_text('\n'.join(map(json.dumps, rows)))


def step(step: int, time: float) -> dict:
    return dict(step=step, iter=step, kimg=0.004 * step, time=time)


def validation(step: int, kd: float, kept: float) -> dict:
    return dict(step=step, kd_lite0=kd, source_kept_lite0=kept, kd_lite2=3 * kd, time=99.0)


@pytest.fixture
def work_dir(tmp_path):
    """Killed after step 150 and resumed at step 100."""
    (tmp_path / 'i2ilr_cats.py').write_text(CONFIG)
    first = [step(50, 1.0), step(100, 0.5), validation(100, 0.2, 0.99), step(150, 7.0)]
    log(tmp_path, '20261127_100000', *first)
    second = [step(150, 2.0), step(200, 1.0), validation(200, 0.05, 0.9), step(250, 1.0)]
    log(tmp_path, '20261128_100000', *second, validation(250, 0.04, 0.8))
    return tmp_path


def cells(work_dir, kd: float, kept: float, **options) -> dict[str, str]:
    line = board_row(str(work_dir), kd, kept, 'abc1234', 'a core', **options)
    assert line.startswith('| ') and line.endswith(' |')
    return dict(zip(HEAD, line[2:-2].split(' | '), strict=True))


def test_a_row(work_dir):
    """50 x 1 s, 50 x 0.5 s, 50 x 2 s as made again, and 50 x 1 s are 225 s."""
    assert cells(work_dir, kd=0.06, kept=0.85) == {
        'set': 'cats.zip, 64 px',
        'recipe': 'i2ilr_cats',
        'minutes': '4',
        'pictures': '800',
        'KD-lite0': '0.0500',
        'kept, Lite0': '0.9000',
        'KD-lite2': '0.1500',
        'date': '2026-11-27',
        'commit': 'abc1234',
        'machine': 'a core',
        'command': '`i2ilr train i2ilr_cats --cfg-options img_size=64`',
    }
    assert training_minutes(str(work_dir), 0.8) == pytest.approx(225 / 60)


@pytest.mark.parametrize(
    'kd, kept, pictures',
    [
        (0.05, 0.9, '800'),  # a bar is met where it is equal
        (0.2, 0.85, '400'),
        (0.045, 0.8, '1,000'),
        (0.045, 0.85, 'not within 1,000'),  # each is met once, never both
    ],
)
def test_both_bars_at_one_validation(work_dir, kd, kept, pictures):
    assert cells(work_dir, kd, kept)['pictures'] == pictures


def test_the_recipe_may_have_a_name(work_dir):
    assert cells(work_dir, 0.05, 0.9, recipe='ours')['recipe'] == 'ours'


@pytest.mark.parametrize('kd, kept', [(0.0, 0.5), (float('nan'), 0.5), (0.1, 1.1), (0.1, -0.1)])
def test_bars_out_of_range(work_dir, kd, kept):
    with pytest.raises(ValueError, match='kept in'):
        cells(work_dir, kd, kept)


def test_what_is_missing_is_named(work_dir, tmp_path_factory):
    empty = tmp_path_factory.mktemp('empty')
    with pytest.raises(FileNotFoundError, match='no config'):
        cells(empty, 0.1, 0.5)
    (empty / 'x.py').write_text(CONFIG)
    log(empty, '20260101_000000', step(10, 1.0), dict(step=10, lr_mae=1.0))
    with pytest.raises(ValueError, match='lack kd_lite0'):
        cells(empty, 0.1, 0.5)
