import json
import os
import re
import shlex
import shutil
import sys
import zipfile

import numpy as np
import pytest
from conftest import call
from PIL import Image

from i2ilr_mm.apis.match import match_files, pair_by_name
from i2ilr_mm.inference import match


def report(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / 'report.jsonl').read_text().splitlines()]


@pytest.fixture
def folders(pictures, tmp_path):
    """Three originals of 64 px, and the same, darker, of other suffixes."""
    for name in ('originals', 'edited/sub'):
        (tmp_path / name).mkdir(parents=True)
    for name, path in zip(('a', 'b.2', 'sub/c'), pictures):
        image = Image.open(path)
        (tmp_path / 'originals/sub').mkdir(exist_ok=True)
        image.save(tmp_path / f'originals/{name}.png')
        image.point(lambda v: 0.7 * v).save(tmp_path / f'edited/{name}.tif')
    return tmp_path


def test_folders_are_paired_by_name(folders, capsys):
    edited, originals, out = (str(folders / name) for name in ('edited', 'originals', 'out'))
    (folders / 'edited/notes.txt').write_text('no picture')
    Image.new('RGB', (64, 64)).save(folders / 'originals/unused.png')
    assert match_files([edited], [originals], out) == (3, 0)
    lines = report(folders / 'out')
    assert [os.path.relpath(line['file'], out) for line in lines] == [
        'a.png',
        'b.2.png',
        'sub/c.png',
    ]
    for line, name in zip(lines, ('a', 'b.2', 'sub/c')):
        expected = match(f'{edited}/{name}.tif', f'{originals}/{name}.png')
        assert np.array_equal(Image.open(line['file']), expected.pixels)
        assert line['target'] == f'{originals}/{name}.png' and line['reached'] is True
        assert line['lr_worst'] <= 0.5 < 10 < line['lr_worst_before']
    said = capsys.readouterr().out
    worst = max(line['lr_worst'] for line in lines)
    before = max(line['lr_worst_before'] for line in lines)
    assert f'3 of 3 pictures matched into {out}; worst LR error {worst:.2f}' in said
    assert f'{before:.2f} before' in said and 'notes.txt' in said


def test_a_second_call_goes_on_and_never_overwrites(folders, capsys):
    edited, originals, out = (str(folders / name) for name in ('edited', 'originals', 'out'))
    assert match_files([f'{edited}/a.tif'], [f'{originals}/a.png'], out) == (1, 0)
    before = os.stat(f'{out}/a.png').st_mtime_ns
    assert match_files([edited], [originals], out) == (3, 0)
    assert os.stat(f'{out}/a.png').st_mtime_ns == before
    assert '1 of 3 results are there already' in capsys.readouterr().out
    for options, message in (
        (dict(lr_size=(16, 8)), 'made with another lr_size'),
        (dict(lr_method='bicubic'), 'made with another lr_method'),
    ):
        with pytest.raises(FileExistsError, match=message):
            match_files([edited], [originals], out, **options)
    shutil.copy(f'{edited}/b.2.tif', f'{edited}/a.tif')
    with pytest.raises(FileExistsError, match='made with another inputs'):
        match_files([edited], [originals], out)
    Image.new('RGB', (8, 8)).save(f'{out}/d.png')
    shutil.copy(f'{edited}/a.tif', folders / 'd.tif')
    with pytest.raises(FileExistsError, match='is no result of this tool'):
        match_files([str(folders / 'd.tif')], [f'{originals}/a.png'], out)
    assert Image.open(f'{out}/d.png').size == (8, 8)
    assert match_files([edited], [originals], out, lr_size=16, overwrite=True) == (3, 0)
    assert Image.open(f'{out}/a.png').info['i2ilr_mm:lr_size'] == '16x16'


def test_what_cannot_be_used_is_named_and_the_rest_is_done(folders, capsys):
    (folders / 'edited/broken.png').write_bytes(b'no picture')
    Image.new('RGB', (60, 60)).save(folders / 'edited/odd.png')
    target, out = str(folders / 'originals/a.png'), folders / 'out'
    assert match_files([str(folders / 'edited')], [target], str(out)) == (3, 2)
    errors = [line['error'] for line in report(out) if 'error' in line]
    assert len(errors) == 2 and 'do not divide it' in errors[1] and 'broken.png' in errors[0]
    output = capsys.readouterr()
    assert (output.out + output.err).count('passed over: ') == 2
    assert '3 of 5 pictures matched' in output.out and '2 could not be' in output.out


def test_one_image_into_a_file(folders):
    edited, original = str(folders / 'edited/a.tif'), str(folders / 'originals/a.png')
    out = folders / 'new' / ('x' * 200 + '.PNG')
    assert match_files([edited], [original], str(out)) == (1, 0)
    assert np.array_equal(Image.open(out), match(edited, original).pixels)
    assert os.listdir(folders / 'new') == [out.name]  # and no report
    for wrong, message in (
        ([str(folders / 'edited'), 'x.png'], 'one file for 3 images; give a folder'),
        ([edited, 'x.jpg'], r'must end in \.png, which keeps every pixel as it is, or be a folder'),
        ([original, original], 'would replace a picture'),
        ([original, str(folders / 'originals')], 'would replace a picture'),
    ):
        before = (folders / 'originals/a.png').read_bytes()
        with pytest.raises(ValueError, match=message):
            match_files([wrong[0]], [original], wrong[1], overwrite=True)
        assert (folders / 'originals/a.png').read_bytes() == before


def test_zips_16_bits_and_names_that_differ_by_their_suffix(folders):
    deep = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(deep).save(folders / 'deep.png')
    with zipfile.ZipFile(folders / 'in.zip', 'w') as archive:
        archive.write(folders / 'deep.png', 'deep.png')
        archive.write(folders / 'edited/a.tif', 'deep.tif')
    out = folders / 'out'
    target = str(folders / 'originals/a.png')
    assert match_files([str(folders / 'in.zip')], [target], str(out)) == (2, 0)
    assert sorted(os.listdir(out)) == ['deep.png.png', 'deep.tif.png', 'report.jsonl']
    data = (out / 'deep.png.png').read_bytes()
    assert data[24] == 16 and (out / 'deep.tif.png').read_bytes()[24] == 8  # of the header


def test_the_example_of_the_docs(root, tmp_path, monkeypatch):
    """Both blocks run as they are written, and print what the page says."""
    page = (root / 'docs/match.md').read_text()
    python, command, printed = (
        re.search(rf'```{language}\n(.*?)```', page, re.DOTALL)[1]
        for language in ('python', 'bash', 'text')
    )
    monkeypatch.chdir(tmp_path)
    exec(compile(python, 'docs/match.md', 'exec'), {})
    name, *arguments = shlex.split(command.removeprefix('i2ilr '))
    result = call(sys.executable, root / f'tools/{name}.py', *arguments, cwd=tmp_path)
    assert printed.strip() in result.stdout
    edited, original, repaired = (
        np.array(Image.open(f'{stem}.png'), float) for stem in ('edited', 'original', 'repaired')
    )
    for picture, figure in ((edited, '21.6'), (repaired, '4.6')):
        assert f'{np.abs(picture - original).mean():.1f}' == figure and figure in page
    mark = (edited == 0).all(axis=2)  # what was drawn is still there
    assert mark.sum() > 10 and (repaired[mark] < original[mark] - 40).mean() > 0.9


def test_pairs_by_name():
    images = [('i/a.png', 'a'), ('i/B.jpg', 'B'), ('i/v1.2.png', 'v1.2')]
    targets = [(f't/{name}.tif', name) for name in ('v1.2', 'b', 'a', 'v1')]
    paired = [target for _, (target, _) in pair_by_name(images, targets)]
    assert paired == ['t/a.tif', 't/b.tif', 't/v1.2.tif']
    assert pair_by_name(images, targets[:1]) == [(image, targets[0]) for image in images]
    with pytest.raises(ValueError, match=r'1 of 3 images have no target.*\(v1\.2\).*one for all'):
        pair_by_name(images, targets[1:])
    twins = [('t/a.png', 'a.png'), ('t/a.jpg', 'a.jpg')]
    with pytest.raises(ValueError, match=r'1 of 1 images have no target of their name, or several'):
        pair_by_name([('i/a.png', 'a')], twins)
    both = pair_by_name([('i/a.png', 'a.png'), ('i/a.jpg', 'a.jpg')], twins)
    assert [target for _, (target, _) in both] == ['t/a.png', 't/a.jpg']


@pytest.mark.parametrize(
    'arguments, code, message',
    [
        (['--lr-size', '6x8'], 1, 'do not divide it; the nearest grids that do are 8x8, 4x8'),
        (['--lr-size', '8x'], 2, "'8x' is neither a number, as 8, nor HxW, as 12x16"),
        (['--lr-size', '0'], 2, "'0' is neither"),
        (['--lr-method', 'area'], 2, "'area'"),
        (['--lr-size', '4x8', '--lr-method', 'bicubic'], 0, '1 of 1 pictures matched into'),
    ],
)
def test_the_command(folders, root, arguments, code, message):
    pair = ['--image', 'edited/a.tif', '--target', 'originals/a.png', '--out', 'x.png']
    command = sys.executable, root / 'tools/match.py', *pair, *arguments
    result = call(*command, cwd=folders, check=False)
    assert result.returncode == code and message in result.stdout, result.stdout
    assert 'Traceback' not in result.stdout and (folders / 'x.png').exists() == (code == 0)
    if code == 0:
        info = Image.open(folders / 'x.png').info
        assert info['i2ilr_mm:lr_size'] == '4x8' and info['i2ilr_mm:lr_method'] == 'bicubic'
