import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from i2ilr_mm.inference.batch import find_pictures, translate_files


def report(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / 'report.jsonl').read_text().splitlines()]


def test_a_folder_and_what_cannot_be_used_in_it(translator, heads, tmp_path, capsys):
    folder = tmp_path / 'in'
    (folder / 'sub').mkdir(parents=True)
    good = sorted((heads / 'val/male').glob('*.jpg'))
    for name, path in zip(('a.jpg', 'sub/b.jpg'), good):
        (folder / name).write_bytes(path.read_bytes())
    (folder / 'broken.png').write_bytes(b'no picture')
    (folder / 'empty.jpg').write_bytes(b'')
    (folder / 'notes.txt').write_text('no picture either')
    failed = translate_files(translator, [str(folder)], [str(good[2])], str(tmp_path / 'out'))
    assert failed == 2
    target = good[2].stem
    lines = report(tmp_path / 'out')
    made = [line['file'] for line in lines if 'file' in line]
    assert [os.path.relpath(file, tmp_path / 'out') for file in made] == [
        f'a__{target}.png',
        f'sub/b__{target}.png',
    ]
    assert all(os.path.isfile(file) for file in made)
    assert sum('broken.png' in line.get('error', '') for line in lines) == 1
    output = capsys.readouterr()
    told = output.out + output.err
    assert told.count('passed over: ') == 2 and '0 bytes' in told
    assert '2 of 4 pairs translated' in told


def test_a_second_call_goes_on_and_never_overwrites(translator, pictures, tmp_path, capsys):
    out = tmp_path / 'out'

    def call(sources, **options):
        return translate_files(translator, sources, [pictures[3]], str(out), **options)

    call(pictures[:1])
    (first,) = out.glob('*.png')
    before = first.stat().st_mtime_ns
    call(pictures[:3], grid=str(tmp_path / 'grid.png'))
    assert first.stat().st_mtime_ns == before and len(list(out.glob('*.png'))) == 3
    assert '1 of 3 results are there already' in capsys.readouterr().out
    assert len(report(out)) == 3
    assert Image.open(tmp_path / 'grid.png').height == 22 + 2 * 132
    for options, message in (
        (dict(strength=0.5), 'made with another strength'),
        (dict(project=True), 'made with another project'),
        (dict(grid=str(tmp_path / 'grid.png')), 'grid.png.* exists'),
    ):
        with pytest.raises(FileExistsError, match=message):
            call(pictures[:3], **options)
    assert first.stat().st_mtime_ns == before
    call(pictures[:3], project=True, overwrite=True)
    assert first.stat().st_mtime_ns > before
    assert all(line['lr_worst'] < 0.5 for line in report(out)[-3:])


def test_all_pairs_and_a_mask(translator, pictures, tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / 'mask.png')
    options = dict(all_pairs=True, project=True, mask=str(tmp_path / 'mask.png'))
    translate_files(translator, pictures[:2], pictures[2:5], str(tmp_path / 'out'), **options)
    assert len(list((tmp_path / 'out').glob('*.png'))) == 6
    by_source = {}
    for line in report(tmp_path / 'out'):  # a black mask leaves everything to the source
        by_source.setdefault(line['source'], []).append(np.array(Image.open(line['file'])))
    for same in by_source.values():
        assert np.abs(np.ptp(np.stack(same).astype(int), axis=0)).max() <= 1
    Image.new('L', (4, 4)).save(tmp_path / 'small.png')
    with pytest.raises(ValueError, match='4 x 4; it needs one pixel for each of 8 x 8 cells'):
        translate_files(
            translator,
            pictures[:1],
            pictures[:1],
            str(tmp_path / 'b'),
            mask=str(tmp_path / 'small.png'),
        )


def test_finding_pictures(heads, tmp_path):
    folder = heads / 'val/female'
    names = sorted(path.stem for path in folder.iterdir())
    assert [name for _, name in find_pictures([str(folder)])] == names
    assert [name for _, name in find_pictures([f'{folder}/*.jpg'])] == names
    assert len(find_pictures([str(heads)])) == 18
    with pytest.raises(FileNotFoundError, match="nothing at '.*none"):
        find_pictures([str(tmp_path / 'none*.jpg')])
    with pytest.raises(FileNotFoundError, match='no pictures in'):
        find_pictures([str(tmp_path)])


def test_names_that_clash_are_refused(translator, pictures, tmp_path):
    for folder in 'ab':
        (tmp_path / folder).mkdir()
        shutil.copy(pictures[0], tmp_path / folder / 'same.jpg')
    twins = [str(tmp_path / folder / 'same.jpg') for folder in 'ab']
    with pytest.raises(ValueError, match='two results would be'):
        translate_files(translator, twins, pictures[1:2], str(tmp_path / 'out'))
    assert not (tmp_path / 'out').exists()
