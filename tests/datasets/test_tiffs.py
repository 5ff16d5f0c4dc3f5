"""What is read is tested in test_decode.py."""

import os
import struct
import threading

import numpy as np
import picture_formats as formats
import pytest
from PIL import Image

from i2ilr_mm.datasets import decode as module
from i2ilr_mm.datasets.decode import PictureError, decode
from i2ilr_mm.datasets.tiffs import collect_stderr

SMOOTH = formats.smooth(3)
RGB = formats.quantised(SMOOTH, 8)
GREY_ALPHA = formats.quantised(formats.smooth(2), 16)


@pytest.mark.parametrize(
    'samples, options, message',
    [
        (SMOOTH.astype(np.float16), {}, 'a TIFF of 3 x 16-bit floats, and'),
        (SMOOTH[..., 0].astype(np.float16), {}, 'a TIFF of 1 x 16-bit floats, and'),
        (GREY_ALPHA, dict(photometric='minisblack', planarconfig='contig'), '2 x 16-bit unsigned'),
        (RGB, dict(compression='jpeg2000'), '3 x 8-bit unsigned.* compressed by JPEG 2000'),
        (RGB, dict(compression='jpegxl'), 'compressed by JPEG XL'),
        (SMOOTH.astype(np.float32), dict(planarconfig='separate'), '32-bit floats'),
    ],
)
def test_others_are_named_and_nothing_is_printed(samples, options, message, capfd):
    if samples.shape[-1] == 3:
        options = dict(photometric='rgb', **options)
    if options.get('planarconfig') == 'separate':
        samples = np.moveaxis(samples, -1, 0)
    with pytest.raises(PictureError, match=f"'a.tif' is .*{message}.*not read: save it as PNG"):
        decode(formats.tiff(np.ascontiguousarray(samples), **options), 'a.tif')
    assert capfd.readouterr() == ('', '')


def test_planes_of_12_bits_are_not_read_wrongly():
    data = formats.tiff_by_hand(formats.quantised(SMOOTH, 12), 12, 2, '<', {284: 2})
    with pytest.raises(PictureError, match='3 x 12-bit unsigned integers, each channel for itself'):
        decode(data, 'a.tif')


def test_damaged_header():
    with pytest.raises(PictureError, match='is a TIFF whose header is damaged'):
        decode(b'II*\0\xff\xff\xff\0anything', 'a.tif')


def test_deep_ones_that_are_cut_off_are_named(capfd):
    data = bytearray(formats.tiff_by_hand(formats.quantised(SMOOTH, 12), 12, 2))
    strip = data.index(struct.pack('<HHI', 273, 4, 1)) + 8
    struct.pack_into('<I', data, strip, len(data) - 4)
    with pytest.raises(PictureError, match="'a.tif' cannot be decoded: TIFF.*[Rr]ead error"):
        decode(bytes(data), 'a.tif')
    assert capfd.readouterr() == ('', '')


def test_deep_ones_are_shown_by_their_profile():
    samples, icc = formats.quantised(SMOOTH, 16)[..., :1], formats.profile(1.0, 'x', b'GRAY')
    plain = formats.tiff(samples[..., 0], photometric='minisblack', iccprofile=icc)
    deep = bytearray(plain)
    bits = deep.index(struct.pack('<HHI', 258, 3, 1)) + 8
    struct.pack_into('<H', deep, bits, 12)  # rows of 16 bits are long enough for 12
    linear = decode(bytes(deep), 'a.tif').astype(float)
    struct.pack_into('<H', deep, deep.index(struct.pack('<HHI', 34675, 7, len(icc))), 65000)
    stored = decode(bytes(deep), 'a.tif')
    assert np.abs(linear - formats.encoded(stored / 255)).max() < 3 + 255 * 0.05 / 2


@pytest.mark.parametrize('compression', ['lzw', 'zlib'])
def test_what_libtiff_says_is_said_of_the_file(compression, capfd):
    data = formats.tiff(np.tile(RGB, (4, 4, 1)), photometric='rgb', compression=compression)
    with pytest.raises(PictureError, match=r"'a.tif' cannot be decoded: TIFF.*[Rr]ead error"):
        decode(data[: len(data) * 2 // 3], 'a.tif')
    assert capfd.readouterr() == ('', '')


def test_damage_that_is_read_over_is_warned_of_once(monkeypatch, capfd, tmp_path):
    said = []
    monkeypatch.setattr(module, 'print_log', lambda line, *_: said.append(line))
    Image.fromarray(np.tile(RGB, (8, 8, 1))[..., 0] > 100).save(
        tmp_path / 'a.tif', compression='group4'
    )
    data = bytearray((tmp_path / 'a.tif').read_bytes())
    data[len(data) // 2 : len(data) // 2 + 30] = np.random.default_rng(0).bytes(30)
    for _ in range(2):
        decode(bytes(data), 'damaged.tif')
    assert len(said) == 1 and "'damaged.tif' is damaged, and read as far as it goes" in said[0]
    assert capfd.readouterr() == ('', '')


def test_stderr_comes_back(capfd):
    """Also with several threads, each of which puts another file in its place."""

    def collect():
        for i in range(50):
            lines: list[str] = []
            with collect_stderr(lines):
                os.write(2, f'{i}\n'.encode())
            assert lines == [str(i)]

    threads = [threading.Thread(target=collect) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(2, b'back\n')
    assert capfd.readouterr().err == 'back\n'
