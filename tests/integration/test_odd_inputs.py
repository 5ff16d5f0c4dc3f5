"""Odd inputs, made at random: each is used, or refused by an error that a command shows as a line.

``ODD_INPUTS=20 pytest tests/integration/test_odd_inputs.py`` takes 20 times as many.
"""

import hashlib
import io
import json
import os
import signal
import warnings
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from picture_formats import every_case
from PIL import Image

from i2ilr.options import parse_value
from i2ilr_mm.apis.translate import translate_files
from i2ilr_mm.config import load_config
from i2ilr_mm.datasets.pictures import (
    PictureError,
    left_out,
    list_pictures,
    picture_path,
    picture_size,
    read_picture,
    resolve_root,
)
from i2ilr_mm.inference import Translator, init_model, match
from i2ilr_mm.inference.demo import create_app
from i2ilr_mm.inference.matching import read_pixels
from i2ilr_mm.inference.release import publish

TIMES = int(os.environ.get('ODD_INPUTS', 1))
SEED = int(os.environ.get('ODD_SEED', 0))
SHOWN = (ValueError, OSError, ImportError)  # what a command shows as one line


def some(count: int):
    """Settings for hypothesis: so many examples, the same in every run with the same ODD_SEED."""
    chosen = settings(
        max_examples=count * TIMES,
        deadline=None,
        derandomize=SEED == 0,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    return (lambda test: seed(SEED)(chosen(test))) if SEED else chosen


@contextmanager
def in_time(seconds: int = 20):
    def late(*_):
        raise AssertionError(f'takes more than {seconds} s')

    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes changed, cut off, left out, doubled or put in."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(data) or 1))
        # Most of what steers a decoder stands at the beginning or the end.
        at = [at, at % 64, max(len(data) - 1 - at % 64, 0)][rng.integers(3)]
        length = int(rng.integers(1, 40))
        kind = rng.integers(6)
        if kind == 0:
            data[at : at + length] = rng.bytes(len(data[at : at + length]))
        elif kind == 1:
            data[at : at + 1] = bytes([1 << int(rng.integers(8))])
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            del data[at : at + length]
        elif kind == 4:
            data[at:at] = data[at : at + length]
        else:
            data[at : at + 4] = [b'\xff\xff\xff\xff', b'\0\0\0\0', b'\x7f\xff\xff\xff'][
                rng.integers(3)
            ]
    return bytes(data)


@pytest.mark.parametrize('read', [read_picture, read_pixels])
def test_damaged_pictures(tmp_path, read):
    rng = np.random.default_rng(SEED)
    whole = every_case()
    used = 0
    for i in range(300 * TIMES):
        case = whole[rng.integers(len(whole))]
        path = tmp_path / f'{i}.png'
        path.write_bytes(damaged(case.data, rng))
        with in_time(), warnings.catch_warnings():
            warnings.simplefilter('error')
            try:
                picture = read(str(path))
                used += 1
                assert picture.ndim == 3 and picture.shape[2] in (3, 3 + (read is read_pixels))
                assert picture.dtype == np.uint8 or read is read_pixels
                assert sorted(picture_size(str(path))) == sorted(picture.shape[:2])  # as stored
            except PictureError as error:
                assert str(path) in str(error) and '\n' not in str(error), case.name
        path.unlink()
    assert 0 < used < 300 * TIMES


def test_damaged_zips(tmp_path, heads):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        for i, path in enumerate(sorted(heads.rglob('*.jpg'))[:4]):
            kind = zipfile.ZIP_DEFLATED if i % 2 else zipfile.ZIP_STORED
            archive.write(path, f'train\\{path.name}' if i == 1 else f'train/{path.name}', kind)
        archive.writestr('notes.txt', 'no picture')
    rng = np.random.default_rng(SEED)
    read = 0
    for i in range(150 * TIMES):
        path = tmp_path / f'{i}.zip'
        path.write_bytes(damaged(buffer.getvalue(), rng))
        with in_time():
            try:
                root = resolve_root(str(path))
                names = list_pictures(root)
                left_out(root)
            except SHOWN as error:
                assert str(path) in str(error) and '\n' not in str(error)
                continue
            for name in names:
                try:
                    read_picture(picture_path(root, name))
                    read += 1
                except PictureError as error:
                    assert str(path) in str(error) and '\n' not in str(error)
        path.unlink()
    assert read


@pytest.mark.parametrize('kind', ['safetensors', 'pth'])
def test_damaged_models(root, tmp_path, tiny_options, kind):
    """The same weights as before the damage, or an error; never others without a word."""
    config = root / 'configs/i2ilr_heads64.py'
    torch.manual_seed(0)
    model = init_model(config, cfg_options=tiny_options)
    whole = tmp_path / f'whole.{kind}'
    if kind == 'pth':
        torch.save(dict(state_dict=model.state_dict(), meta={}), whole)
    else:
        publish(model, str(whole), {})
    expected = Translator(config, whole, 'cpu', cfg_options=tiny_options).network.state_dict()
    rng, used = np.random.default_rng(SEED), 0
    for i in range(50 * TIMES):
        path = tmp_path / f'{i}.{kind}'
        path.write_bytes(damaged(whole.read_bytes(), rng))
        with in_time(60):
            try:
                if kind == 'pth' or i % 2:
                    model = Translator(config, path, 'cpu', cfg_options=tiny_options)
                else:
                    model = Translator(path, device='cpu')
            except SHOWN as error:
                assert str(path) in str(error)
            else:
                used += 1
                same = [torch.equal(v, expected[k]) for k, v in model.network.state_dict().items()]
                assert all(same)
        path.unlink()
    assert used < 50 * TIMES


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 300),
    st.floats(allow_subnormal=False),
    st.text(max_size=12),
    st.sampled_from(
        ['none', '[]', '{}', '1,2', '(1,', '~', '..', '/', 'inf', '{"type": "X"}', 'a b']
    ),
    st.lists(st.integers(-1, 3), max_size=3),
    st.dictionaries(st.sampled_from(['type', 'size', 'interval']), st.integers(0, 2), max_size=2),
)


def keys_of(node, path: str = ''):
    for name, child in node.items() if isinstance(node, dict) else enumerate(node):
        yield f'{path}{name}'
        if isinstance(child, (dict, list)):
            yield from keys_of(child, f'{path}{name}.')


@pytest.fixture(scope='module')
def keys(root) -> list[str]:
    return sorted(keys_of(load_config(root / 'configs/i2ilr_heads64.py')._cfg_dict))


@some(60)
@given(data=st.data())
def test_odd_options(root, keys, data):
    def option():
        key = data.draw(st.sampled_from(keys))
        if data.draw(st.integers(0, 3)) == 0:  # misspelt
            at = data.draw(st.integers(0, len(key)))
            key = key[:at] + data.draw(st.text(max_size=2)) + key[at + data.draw(st.booleans()) :]
        value = data.draw(values)
        return key, parse_value(value) if isinstance(value, str) else value

    options = dict(option() for _ in range(data.draw(st.integers(1, 3))))
    with in_time():
        try:
            load_config(root / 'configs/i2ilr_heads64.py', options)
        except SHOWN as error:
            assert str(error) and '\n' not in str(error)


@pytest.fixture(scope='module')
def translator(root, tmp_path_factory) -> Translator:
    options = dict(img_size=32, lr_size=8)
    options |= {'model.generator.base_channels': 4, 'model.generator.max_channels': 8}
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('model') / 'a.safetensors'
    publish(init_model(root / 'configs/i2ilr_heads64.py', cfg_options=options), str(path), {})
    return Translator(path, device='cpu', batch_size=4)


def arrays():
    sides = st.lists(st.integers(0, 40), min_size=0, max_size=5).map(tuple)
    usual = st.sampled_from([(32, 32, 3), (8, 8, 3), (3, 32, 32), (20, 9), (9, 20, 4), (8, 8)])
    types = st.sampled_from(['u1', 'f4', 'f8', 'f2', 'i8', 'u2', '?', 'c8', 'O', 'U1'])
    return st.tuples(st.one_of(sides, usual), types, st.integers(0, 9), st.booleans())


def made(shape, kind, seed, as_tensor):
    rng = np.random.default_rng(seed)
    array = np.asarray(rng.standard_normal(shape) * [0.3, 1, 100, 1e30][seed % 4])
    if seed == 9 and array.size:
        array.flat[0] = np.nan
    with np.errstate(all='ignore'), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        array = np.asarray(array.astype(kind))
    return torch.from_numpy(array) if as_tensor and kind not in ('O', 'U1') else array


places = ('~', '/', '..')  # whole disks, which would be searched for pictures
others = values.filter(lambda value: value not in places)


@some(120)
@given(
    source=st.one_of(arrays(), others),
    target=st.one_of(arrays(), others),
    strength=st.one_of(
        st.just(1.0),
        st.floats(allow_subnormal=False),
        st.integers(),
        st.text(max_size=2),
        st.none(),
    ),
    mask=st.one_of(st.none(), arrays(), others),
    pairs=st.one_of(st.sampled_from(['zip', 'all']), others),
)
def test_odd_pictures_and_dials(translator, source, target, strength, mask, pairs):
    given = [made(*v) if isinstance(v, tuple) else v for v in (source, target, mask)]
    with in_time():
        try:
            results = translator.translate(
                given[0], given[1], pairs=pairs, strength=strength, mask=given[2]
            )
        except SHOWN as error:
            assert str(error) and len(str(error)) < 2000
        else:
            assert all(result.image.size == (32, 32) for result in results)


@some(120)
@given(
    image=st.one_of(arrays(), others),
    target=st.one_of(arrays(), others),
    lr_size=st.one_of(
        st.sampled_from([8, 4, (8, 4)]),
        st.lists(st.integers(-1, 9), max_size=3),
        others,
    ),
    lr_method=st.sampled_from(['box', 'bicubic', 'area']),
)
def test_odd_pictures_to_match(image, target, lr_size, lr_method):
    given = [made(*v) if isinstance(v, tuple) else v for v in (image, target)]
    with in_time():
        try:
            result = match(given[0], given[1], lr_size, lr_method)
        except SHOWN as error:
            assert str(error) and len(str(error)) < 2000
        else:
            assert result.image.size == result.pixels.shape[1::-1] and result.png()


@pytest.fixture(scope='module')
def client(translator):
    return create_app(translator, 'embedded:heads64', max_upload_mb=1).test_client()


def grids(side: int):
    colour = st.one_of(
        st.sampled_from(['#a0b1c2', '#000000', 'ffffff', '#12345', '#gggggg', '']),
        st.text(max_size=8),
    )
    usual = st.sampled_from(['#a0b1c2', '#ffffff'])
    return st.one_of(
        st.lists(st.lists(usual, min_size=side, max_size=side), min_size=side, max_size=side),
        st.lists(st.lists(colour, max_size=9), max_size=9),
        st.recursive(values, lambda part: st.lists(part, max_size=4), max_leaves=9),
    ).map(lambda value: json.dumps(value, default=str))


def masks(side: int):
    row = st.lists(st.sampled_from([0, 1, 0.5]), min_size=side, max_size=side)
    return st.lists(row, min_size=side, max_size=side).map(json.dumps)


@some(100)
@given(
    grid=st.one_of(st.none(), st.text(max_size=20), grids(8)),
    strength=st.one_of(
        st.none(), st.floats(allow_subnormal=False).map(str), st.text(max_size=6), st.just('0.5')
    ),
    mask=st.one_of(st.none(), st.text(max_size=9), masks(8), grids(3)),
    project=st.one_of(st.none(), st.sampled_from(['0', '1', 'x'])),
    seed=st.integers(0, 2**16),
    kind=st.sampled_from(['whole', 'whole', 'damaged', 'text', 'none', 'field']),
    name=st.text(max_size=9),
    page=st.sampled_from(['translate', 'translate', 'target']),
)
def test_odd_forms(client, grid, strength, mask, project, seed, kind, name, page):
    fields = dict(grid=grid, strength=strength, mask=mask, project=project)
    data = {k: v for k, v in fields.items() if v is not None}
    rng, buffer = np.random.default_rng(seed), io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8)).save(buffer, 'png')
    content = buffer.getvalue()
    if kind == 'damaged':
        content = damaged(content, rng)
    elif kind == 'text':
        content = name.encode('utf-8', 'replace')
    file = 'picture' if page == 'target' else 'source'
    if kind == 'field':
        data[file] = name
    elif kind != 'none':
        data[file] = (io.BytesIO(content), name or 'a.png')
    with in_time():
        answer = client.post(f'/api/{page}', data=data)
    assert answer.status_code in (200, 400)
    if answer.status_code == 400:
        assert answer.json['error'] and '\n' not in answer.json['error']
    else:
        assert kind in ('whole', 'damaged')


names = st.text(
    st.characters(blacklist_categories=['Cs'], blacklist_characters='/\0'), min_size=1, max_size=60
).filter(lambda name: name not in ('.', '..') and len(name.encode()) < 200)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob('*')
        if path.is_file()
    }


@some(15)
@given(stems=st.lists(names, min_size=1, max_size=4, unique_by=str.casefold), zipped=st.booleans())
def test_odd_names(translator, tmp_path_factory, stems, zipped):
    """Every picture of any name gives one result, and no file of the user's is touched."""
    folder = tmp_path_factory.mktemp('names')
    here = folder / 'in'
    here.mkdir()
    colour = iter(range(10, 250, 20))
    stems = [stem for stem in stems if not stem.startswith('.')]
    if zipped:  # where it separates folders, as Windows' own zips have it
        stems = [stem for stem in stems if '\\' not in stem]
    for stem in stems:
        Image.new('RGB', (40, 40), (next(colour), 90, 90)).save(here / f'{stem}.png', 'png')
    if not stems:
        return
    sources = here
    if zipped:
        sources = folder / 'in.zip'
        with zipfile.ZipFile(sources, 'w') as archive:
            for path in here.iterdir():
                archive.write(path, path.name)
    before = digests(here)
    with in_time(60):
        there, failed = translate_files(
            translator, [str(sources)], [str(sources)], str(folder / 'out')
        )
    assert (there, failed) == (len(stems), 0)
    assert digests(here) == before
    assert len(list((folder / 'out').rglob('*.png'))) == len(stems)
