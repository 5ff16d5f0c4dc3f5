import json
import os
import re
import shutil
import unicodedata
import zipfile

import numpy as np
import pytest
from PIL import Image

from i2ilr_mm.apis.translate import translate_files
from i2ilr_mm.inference import Translator
from i2ilr_mm.inference.places import find_pictures
from i2ilr_mm.lr import down


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
    (folder / 'attributes.json').write_text('{}')  # known beside pictures
    places = [str(folder)], [str(good[2])], str(tmp_path / 'out')
    assert translate_files(translator, *places) == (2, 2)
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
    assert told.count("1 x .txt ('notes.txt')") == 1
    assert '2 of 4 pairs translated' in told


def mask_picture(folder) -> str:
    Image.new('L', (8, 8), 'grey').save(folder / 'mask8.png')
    return str(folder / 'mask8.png')


def test_a_second_call_goes_on_and_never_overwrites(
    translator, pictures, tmp_path, capsys, monkeypatch
):
    out, grid = tmp_path / 'out', tmp_path / 'grid.png'

    def call(sources, **options):
        return translate_files(translator, sources, [pictures[3]], str(out), **options)

    assert call(pictures[:1]) == (1, 0)
    (first,) = out.glob('*.png')
    before = first.stat().st_mtime_ns
    call(pictures[:3], grid=str(grid))
    assert first.stat().st_mtime_ns == before and len(list(out.glob('*.png'))) == 3
    assert '1 of 3 results are there already' in capsys.readouterr().out
    assert len(report(out)) == 3
    assert Image.open(grid).height == 22 + 3 * 132
    assert call(pictures[:3], grid=str(grid)) == (3, 0)  # the same command, once more
    for options, message in (
        (dict(strength=0.5), 'made with another strength'),
        (dict(project=True), 'made with another project'),
        (dict(mask=mask_picture(tmp_path)), 'made with another mask'),
    ):
        with pytest.raises(FileExistsError, match=message):
            call(pictures[:3], **options)
    before_grid = grid.read_bytes()
    assert call(pictures[:3], grid=str(grid)) == (3, 0)
    assert grid.read_bytes() == before_grid and 'left as it is' in capsys.readouterr().out
    monkeypatch.setitem(translator.metadata, 'checkpoint', 'renamed.safetensors')
    assert call(pictures[:3]) == (3, 0)
    monkeypatch.setitem(translator.metadata, 'weights', 'of another model')
    with pytest.raises(FileExistsError, match='made with another weights'):
        call(pictures[:3])
    monkeypatch.undo()
    assert first.stat().st_mtime_ns == before
    call(pictures[:3], project=True, overwrite=True)
    assert first.stat().st_mtime_ns > before
    assert all(line['lr_worst'] < 0.5 for line in report(out)[-3:])


def test_a_picture_that_was_replaced_is_noticed(translator, pictures, tmp_path):
    source = tmp_path / 'a.jpg'
    shutil.copy(pictures[0], source)
    call = [str(source)], pictures[1:2], str(tmp_path / 'out')
    translate_files(translator, *call)
    shutil.copy(pictures[2], source)
    with pytest.raises(FileExistsError, match='made with another inputs'):
        translate_files(translator, *call)


def test_odd_names(translator, pictures, tmp_path):
    """Equal stems, a name that is no text, and one that is too long together with its target's."""
    folder, out, target = tmp_path / 'in', tmp_path / 'out', 't' * 20
    folder.mkdir()
    shutil.copy(pictures[0], folder / 'a.jpg')
    Image.open(pictures[0]).save(folder / 'a.png')
    shutil.copy(pictures[0], os.fsencode(folder) + b'/b\xff.jpg')
    shutil.copy(pictures[0], folder / ('c' * 240 + '.jpg'))
    shutil.copy(pictures[1], tmp_path / f'{target}.jpg')
    found = translate_files(translator, [str(folder)], [str(tmp_path / f'{target}.jpg')], str(out))
    assert found == (4, 0)
    assert {f'a.jpg__{target}.png', f'a.png__{target}.png'} < set(os.listdir(out))
    (short,) = [name for name in os.listdir(out) if name.startswith('ccc')]
    assert re.fullmatch(r'c{171}~[0-9a-f]{8}\.png', short)
    again = translate_files(translator, [str(folder)], [str(tmp_path / f'{target}.jpg')], str(out))
    assert again == (4, 0) and len(os.listdir(out)) == 5  # the report, and nothing made twice


def test_results_below_the_sources_are_no_sources(translator, pictures, tmp_path):
    shutil.copy(pictures[0], tmp_path / 'a.jpg')
    call = [str(tmp_path)], pictures[1:2], str(tmp_path / 'out')
    assert translate_files(translator, *call) == (1, 0)
    assert translate_files(translator, *call) == (1, 0)
    both = [str(tmp_path)], [str(tmp_path)], str(tmp_path / 'out')
    assert translate_files(translator, *both) == (1, 0)
    with pytest.raises(ValueError, match='holds the pictures; give a folder of its own'):
        translate_files(translator, [str(tmp_path)], pictures[1:2], str(tmp_path))
    beside = [str(tmp_path / 'a.jpg')], pictures[1:2], str(tmp_path)  # named one by one
    assert translate_files(translator, *beside) == (1, 0)


def test_foreign_files_are_not_taken_for_results(translator, pictures, tmp_path):
    source = os.path.basename(pictures[0]).removesuffix('.jpg')
    target = os.path.basename(pictures[1]).removesuffix('.jpg')
    Image.new('RGB', (4, 4)).save(tmp_path / f'{source}__{target}.png')
    with pytest.raises(FileExistsError, match='is no result of this tool'):
        translate_files(translator, pictures[:1], pictures[1:2], str(tmp_path))


def test_a_target_can_be_named_twice(translator, pictures, tmp_path):
    targets = [pictures[3], pictures[4], pictures[3]]
    assert translate_files(translator, pictures[:3], targets, str(tmp_path / 'out')) == (3, 0)


@pytest.mark.parametrize('blend', [True, [3, 0, 1]])
def test_a_blend_of_all_targets(translator, pictures, tmp_path, blend):
    call = pictures[:1], pictures[2:5], str(tmp_path / 'out')
    options = dict(blend=blend, project=True)
    translate_files(translator, *call, **options)
    (path,) = (tmp_path / 'out').glob('*__blend.png')
    wanted = translator.blend(pictures[2:5], None if blend is True else blend)
    error = down(translator.source(path)[None], 8)[0] - wanted
    assert error.abs().max() * 127.5 < 0.5
    assert translate_files(translator, *call, **options) == (1, 0)
    with pytest.raises(ValueError, match='3 pictures and 2 weights'):
        translate_files(translator, *call, blend=[1, 2])


def test_a_damaged_member_of_a_zip(translator, pictures, tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        for i in range(2):
            archive.write(pictures[i], f'{i}.jpg')
    data = bytearray((tmp_path / 'a.zip').read_bytes())
    data[data.index(b'PK\x01\x02') + 8] |= 1  # the first member is marked as encrypted
    (tmp_path / 'a.zip').write_bytes(data)
    out = str(tmp_path / 'out')
    assert translate_files(translator, [str(tmp_path / 'a.zip')], pictures[2:3], out) == (1, 1)
    assert 'encrypted' in capsys.readouterr().out


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
    assert len(find_pictures([f'{heads}/**'])) == 18  # not the folders that it matches, too
    assert len(find_pictures(['embedded:heads64'])) == 2000
    with pytest.raises(FileNotFoundError, match="no picture at '.*none"):
        find_pictures([str(tmp_path / 'none*.jpg')])
    with pytest.raises(FileNotFoundError, match='no pictures in'):
        find_pictures([str(tmp_path)])


def test_names_that_clash_are_told_apart(translator, pictures, tmp_path):
    for i, name in enumerate(('a/same', 'b/same', 'c/Same', 'c/other')):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(pictures[i], tmp_path / f'{name}.jpg')
    sources = [str(tmp_path / f'{name}.jpg') for name in ('a/same', 'b/same', 'c/Same', 'c/other')]
    target = os.path.basename(pictures[4]).removesuffix('.jpg')
    out = tmp_path / 'out'
    assert translate_files(translator, sources, pictures[4:5], str(out)) == (4, 0)
    names = sorted(name for name in os.listdir(out) if name.endswith('.png'))
    assert f'other__{target}.png' in names and len({name.lower() for name in names}) == 4
    lines = {line['source']: line['file'] for line in report(out)}
    for i, source in enumerate(sources):  # each is its own source's
        (expected,) = translator.translate(pictures[i], pictures[4])
        assert np.array_equal(Image.open(lines[source]), expected.image)
    assert translate_files(translator, sources[::-1], pictures[4:5], str(out)) == (4, 0)
    assert sorted(n for n in os.listdir(out) if n.endswith('.png')) == names


def test_pictures_in_natural_order(tmp_path, pictures):
    for name in ('frame10', 'frame2', 'frame1'):
        shutil.copy(pictures[0], tmp_path / f'{name}.jpg')
    for place in (str(tmp_path), f'{tmp_path}/*.jpg'):
        assert [name for _, name in find_pictures([place])] == ['frame1', 'frame2', 'frame10']


def test_a_grid_takes_no_pictures_place(translator, pictures, tmp_path, monkeypatch):
    """Nor a mask's or a result's, nor one where a pattern would find it the next time."""
    folder, out, mask = tmp_path / 'in', str(tmp_path / 'out'), mask_picture(tmp_path)
    folder.mkdir()
    shutil.copy(pictures[0], folder / 'a.jpg')
    Image.open(pictures[0]).save(tmp_path / 'b.png')
    target = os.path.basename(pictures[1]).removesuffix('.jpg')
    monkeypatch.chdir(tmp_path)
    before = [(tmp_path / name).read_bytes() for name in ('b.png', 'mask8.png')]
    b, among = str(tmp_path / 'b.png'), 'lies among the pictures'
    for sources, grid, message in (
        ([b], tmp_path / 'b.png', 'is one of the pictures'),
        ([b], mask, 'is one of the pictures'),
        ([b], f'{out}/b__{target}.png', 'is one of the pictures or results'),
        ([str(folder)], folder / 'grid.png', among),
        ([f'{tmp_path}/*.png'], tmp_path / 'grid.png', among),
        (['[bx].png'], 'x.png', among),
        (['**/*.png'], 'grid.png', among),
        (['**/*.*g'], 'in/grid.png', among),
    ):
        options = dict(grid=str(grid), mask=mask, overwrite=True)
        with pytest.raises(ValueError, match=message):
            translate_files(translator, sources, pictures[1:2], out, **options)
    after = [(tmp_path / name).read_bytes() for name in ('b.png', 'mask8.png')]
    assert before == after and not os.path.exists(out)
    with pytest.raises(ValueError, match=r"'.*result\.png' looks like a picture.*give a folder"):
        translate_files(translator, pictures[:1], pictures[1:2], str(tmp_path / 'result.png'))
    call = ['b*.png'], pictures[1:2], out
    assert translate_files(translator, *call, grid='grid.png') == (1, 0)  # beside them


def test_a_result_takes_no_pictures_place(translator, pictures, tmp_path):
    for name in ('a', 'a__b', 'b'):
        Image.open(pictures[0]).save(tmp_path / f'{name}.png')
    sources = [str(tmp_path / f'{name}.png') for name in ('a', 'a__b')]
    before = (tmp_path / 'a__b.png').read_bytes()
    call = sources, [str(tmp_path / 'b.png')], str(tmp_path)
    for blend in (False, True):
        with pytest.raises(ValueError, match=r"the result '.*a__b.*' would replace a picture"):
            shutil.copy(tmp_path / 'a__b.png', tmp_path / 'a__blend.png')
            pattern = [*sources, str(tmp_path / 'a__blend.png')]
            translate_files(translator, pattern, *call[1:], overwrite=True, blend=blend)
    assert (tmp_path / 'a__b.png').read_bytes() == before


def test_folders_with_two_links_to_themselves(translator, pictures, tmp_path, capsys):
    """Every link doubles the paths, so that a walk through them would never end."""
    folder = tmp_path / 'in'
    folder.mkdir()
    shutil.copy(pictures[0], folder / 'a.jpg')
    for name in ('one', 'two'):
        (folder / name).symlink_to(folder)
    os.mkfifo(folder / 'p.jpg')
    call = pictures[1:2], str(tmp_path / 'out')
    assert translate_files(translator, [str(folder)], *call) == (1, 0)
    told = capsys.readouterr().out
    assert "2 x link to a folder that is read already (first 'one'), 1 x pipe ('p.jpg')" in told
    assert translate_files(translator, [f'{folder}/*'], *call) == (1, 0)
    assert "3 x folder, pipe or the like (first '" in capsys.readouterr().out


def test_names_equal_but_for_their_normal_form(translator, pictures, tmp_path):
    """Some disks take both for one name."""
    for name in ('\u00e9', 'e\u0301'):
        shutil.copy(pictures[0], tmp_path / f'{name}.jpg')
    sources = [str(tmp_path / f'{name}.jpg') for name in ('\u00e9', 'e\u0301')]
    assert translate_files(translator, sources, pictures[1:2], str(tmp_path / 'out')) == (2, 0)
    names = [unicodedata.normalize('NFC', path.name) for path in (tmp_path / 'out').glob('*.png')]
    assert len(set(names)) == 2


def test_home_in_python(translator, pictures, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'in').mkdir()
    shutil.copy(pictures[0], tmp_path / 'in/a.jpg')
    mask_picture(tmp_path)
    options = dict(mask='~/mask8.png', grid='~/grid.png')
    assert translate_files(translator, ['~/in'], ['~/in/*.jpg'], '~/out', **options) == (1, 0)
    assert (tmp_path / 'out/a__a.png').is_file() and (tmp_path / 'grid.png').is_file()
    (result,) = translator.translate('~/in', '~/in/a.jpg')
    assert result.source_name == str(tmp_path / 'in/a.jpg')
    translator.save_pretrained('~/model')
    assert Translator.from_pretrained('~/model', device='cpu').img_size == 32
    assert Translator('~/model/model.safetensors', device='cpu').img_size == 32
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        archive.write(pictures[0], 'a.jpg')
    assert len(translator.translate(['~/a.zip::a.jpg'], '~/a.zip')) == 1
