import json

import pytest
from PIL import Image

from i2ilr import curves
from i2ilr.curves import plot_curves, read_validations


def log(folder, name: str, *rows: dict) -> None:
    path = folder / name / 'vis_data'
    path.mkdir(parents=True)
    (path / 'scalars.json').write_text('\n'.join(map(json.dumps, rows)))


def validation(step: int, lr_mae: float) -> dict:
    return dict(lr_mae=lr_mae, fid=300.0 - step, time=0.1, data_time=0.1, step=step)


@pytest.fixture
def work_dir(tmp_path):
    """A run, and its resumes: the first came to step 20 again, the second has larger batches."""
    log(
        tmp_path,
        '20260101_000000',
        dict(kimg=0.04, step=10, iter=10),
        validation(10, 9.0),
        validation(20, 8.0),
    )
    log(tmp_path, '20260102_000000', dict(kimg=0.16, step=30, iter=30), validation(20, 7.5))
    log(tmp_path, '20260103_000000', validation(30, 6.0))
    return tmp_path


def test_validations_of_a_resumed_run(work_dir):
    read = read_validations(str(work_dir))
    assert read['lr_mae'] == [
        (pytest.approx(k), v) for k, v in ((0.04, 9.0), (0.1, 7.5), (0.16, 6.0))
    ]
    assert read.keys() == {'lr_mae', 'fid'}


def test_curves(work_dir, tmp_path):
    plot_curves({'a': str(work_dir), 'b': str(work_dir)}, str(tmp_path / 'curves.png'))
    width, height = Image.open(tmp_path / 'curves.png').size
    assert width > 1.5 * height  # two plots side by side


def test_nothing_to_draw(tmp_path):
    with pytest.raises(FileNotFoundError, match='holds no log'):
        read_validations(str(tmp_path))
    log(tmp_path, 'run', dict(kimg=1.0, step=10, iter=10))
    with pytest.raises(ValueError, match='no validation yet'):
        read_validations(str(tmp_path))


def test_a_line_that_is_half_written(work_dir):
    path = work_dir / '20260103_000000/vis_data/scalars.json'
    before = read_validations(str(work_dir))
    path.write_text(path.read_text() + '\n{"lr_mae": 3.')
    assert read_validations(str(work_dir)) == before
    path.write_text('{"lr_mae"\n' + path.read_text())
    with pytest.raises(ValueError, match=r"line 1 of '.*20260103.*' is damaged"):
        read_validations(str(work_dir))


def test_realism_is_drawn_against_source_kept(tmp_path, monkeypatch):
    """For each network that judged both, in the order of the pictures seen."""
    rows = [
        dict(kd_lite2=0.3, kd_lite0=0.2, source_kept_lite2=0.9, step=10),
        dict(kd_lite2=0.1, kd_lite0=0.1, source_kept_lite2=0.6, step=20),
    ]
    log(tmp_path, 'run', dict(kimg=8.0, step=20, iter=20), *rows)
    drawn = []
    original = curves.new_figure

    def keep(*size):
        figure, axes = original(*size)
        drawn.extend(axes)
        return figure, axes

    monkeypatch.setattr(curves, 'new_figure', keep)
    plot_curves({'a': str(tmp_path)}, str(tmp_path / 'curves.png'))
    (axis,) = [axis for axis in drawn if axis.get_title() == 'kd_lite2 against source_kept_lite2']
    (line,) = axis.get_lines()
    assert line.get_xydata().tolist() == [[0.9, 0.3], [0.6, 0.1]]
    assert [text.get_text() for text in axis.texts] == ['8k']
