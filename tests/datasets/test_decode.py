"""One decoder against formulas and a second decoder, over formats, depths, layouts and metadata."""

import threading
import warnings
from collections import Counter

import numpy as np
import picture_formats as formats
import pytest

from i2ilr_mm.datasets import decode as module
from i2ilr_mm.datasets import rgb
from i2ilr_mm.datasets.decode import PictureError, decode, size_of

CASES = formats.every_case()


def test_there_are_many():
    names = Counter(case.name for case in CASES)
    assert len(names) == len(CASES) >= 300


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.name)
def test_pictures_are_what_they_are(case):
    picture = decode(case.data, case.name)
    assert picture.dtype == np.uint8 and picture.shape == case.expected.shape
    assert np.abs(picture - case.expected).max() <= case.tolerance + 1e-6
    assert sorted(size_of(case.data, case.name)) == [formats.W, formats.H]


def test_warnings_are_as_before_when_two_threads_have_read():
    """The second begins before the first ends, and ends after it."""
    before, began, meet = list(warnings.filters), threading.Event(), threading.Barrier(2)
    data = CASES[0].data
    first = threading.Thread(
        target=module.read_with, args=(data, 'a', lambda image: began.set() or meet.wait(60))
    )
    second = threading.Thread(
        target=module.read_with, args=(data, 'b', lambda image: (meet.wait(60), first.join()))
    )
    first.start()
    assert began.wait(60)
    second.start()
    for thread in (first, second):
        thread.join(60)
    assert warnings.filters == before


def test_one_transparent_colour_of_16_bits_is_refused():
    """Pillow keeps 8 bits of each channel, and cannot tell the colour from its neighbours."""
    value = formats.quantised(formats.smooth(3), 16)
    key = formats.chunk(b'tRNS', np.full(3, 40000, '>u2').tobytes())
    with pytest.raises(PictureError, match=r"'a\.png' .* transparent.*alpha channel"):
        decode(formats.png(value, 16, 2, key), 'a.png')


def test_an_empty_alpha_channel_is_told(monkeypatch):
    said = []
    monkeypatch.setattr(rgb, 'print_log', lambda line, *_: said.append(line))
    for case in CASES:
        if case.name.startswith('bmp32-v4'):
            decode(case.data, case.name)
    assert said == ["'bmp32-v4-alpha-empty': its alpha channel is empty, and left out"]


@pytest.mark.parametrize(
    'data, message',
    [
        (b'\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'a HEIC picture.*JPEG or PNG'),
        (b'version https://git-lfs.github.com/spec/v1\noid', 'a pointer of Git LFS.*git lfs pull'),
        (b'/annex/objects/SHA256E-s1--0.jpg', 'a pointer of git-annex.*git annex get'),
        (b'\n<!DOCTYPE html><html>', 'a web page.*again'),
        (b'<?xml version="1.0"?>\n<svg xmlns="x">', 'an SVG drawing'),
        (b'8BPS\0\1', 'a Photoshop file'),
        (b'\xff\x0a\0\0', 'a JPEG XL picture'),
        (b'Rar!\x1a\x07\0', 'a RAR archive'),
        (b'PK\x03\x04', 'a zip archive'),
        (b'%PDF-1.7', 'a PDF file'),
        (b'\0\0\0\x18ftypmp42', 'a film'),
        (b'anything else', r'is no picture \(.*PNG.* are read\)'),
    ],
)
def test_what_is_no_picture_is_named(data, message):
    for reader in (decode, size_of):
        with pytest.raises(PictureError, match=f"'x.jpg' is {message.removeprefix('is ')}"):
            reader(data, 'x.jpg')


def test_large_jpegs_are_decoded_small(monkeypatch):
    """At an eighth of its sides, where four times the wanted side is left."""
    rows, columns = np.mgrid[0:480, 0:640]
    picture = np.stack([rows / 2, columns / 3, (rows + columns) / 5], axis=-1).astype(np.uint8)
    _, jpeg = formats.cv2.imencode('.jpg', picture[..., ::-1].copy())
    assert decode(jpeg.tobytes(), 'a', least=8).shape == (480, 640, 3)  # it is not large
    monkeypatch.setattr(module, 'LARGE', 200_000)
    small = decode(jpeg.tobytes(), 'a', least=8)
    assert small.shape == (60, 80, 3)
    means = picture.reshape(60, 8, 80, 8, 3).mean(axis=(1, 3))
    assert np.abs(small - means).max() < 6
    assert decode(jpeg.tobytes(), 'a', least=100).shape == (480, 640, 3)  # 4 x 100 is too near
    assert decode(jpeg.tobytes(), 'a').shape == (480, 640, 3)
