import re
import struct

import numpy as np
import picture_formats as formats
import pytest
import tifffile
from PIL import Image

from i2ilr_mm.datasets.decode import PictureError, decode
from i2ilr_mm.datasets.deep import decode_deep, pixels_of

REFUSED = r'tiff16.*(-separate|-associated|-cmyk)|icc-grey16'
"""16 bits in planes, times alpha, as CMYK or with a profile."""

CASES = formats.every_case()
DEEP = [
    case
    for case in CASES
    if re.match(r'png-(grey|type\d-)16|tiff(10|12|14|16)', case.name)
    and not re.match(REFUSED, case.name)
]


def seen(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3), 0 to 255, over white."""
    shares = pixels / np.iinfo(pixels.dtype).max
    alpha = shares[..., 3:] if shares.shape[2] == 4 else 1
    return 255 * (shares[..., :3] * alpha + 1 - alpha)


def test_there_are_many():
    assert len(DEEP) > 50


@pytest.mark.parametrize('case', DEEP, ids=lambda case: case.name)
def test_16_bits_are_kept(case):
    pixels = decode_deep(case.data, case.name)
    assert pixels.dtype == np.uint16
    # Colours are rounded to 16 bits, and so is alpha.
    most = 0.6 if pixels.shape[2] == 3 else 1.1
    assert np.abs(seen(pixels) - case.expected).max() <= most * 255 / 65535


SHALLOW = [
    case
    for case in CASES
    if case.name not in {deep.name for deep in DEEP} and not re.match(REFUSED, case.name)
][::5]


@pytest.mark.parametrize('case', SHALLOW, ids=lambda case: case.name)
def test_8_bits_are_what_they_are_elsewhere(case):
    pixels = decode_deep(case.data, case.name)
    assert pixels.dtype == np.uint8
    assert np.abs(seen(pixels) - decode(case.data, case.name)).max() <= 1


REFUSED_CASES = [case for case in CASES if re.match(REFUSED, case.name)][::6]


@pytest.mark.parametrize('case', REFUSED_CASES, ids=lambda case: case.name)
def test_unusual_16_bits_are_refused_not_cut(case):
    with pytest.raises(PictureError, match=rf"'{case.name}' has 16 bits (in an|and a profile)"):
        decode_deep(case.data, case.name)


def test_colours_under_alpha_are_those_stored():
    for bits, kind in ((8, np.uint8), (16, np.uint16)):
        value = formats.quantised(formats.smooth(4), bits)
        assert np.array_equal(decode_deep(formats.png(value, bits, 6), 'a.png'), value)
        assert decode_deep(formats.png(value, bits, 6), 'a.png').dtype == kind


def test_one_transparent_colour_of_16_bits_becomes_alpha():
    value = formats.quantised(formats.smooth(3), 16)
    key = formats.chunk(b'tRNS', struct.pack('>HHH', *(int(v) for v in value[5, 6])))
    pixels = decode_deep(formats.png(value, 16, 2, key), 'a.png')
    assert np.array_equal(pixels[..., :3], value)
    clear = (value == value[5, 6]).all(axis=2)
    assert np.array_equal(pixels[..., 3], np.where(clear, 0, 65535))


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_pictures_are_turned_upright(tmp_path, bits, orientation):
    value = formats.quantised(formats.smooth(3), bits)
    path = tmp_path / 'a.tif'
    tags = [(274, 'H', 1, orientation, True)]
    tifffile.imwrite(path, value, photometric='rgb', metadata=None, extratags=tags)
    row, column = value, value.swapaxes(0, 1)
    turned = [row, row[:, ::-1], row[::-1, ::-1], row[::-1]]
    turned += [column, column[:, ::-1], column[::-1, ::-1], column[::-1]]
    assert np.array_equal(decode_deep(path.read_bytes(), 'a.tif'), turned[orientation - 1])


def test_damage_is_refused():
    data = formats.png(formats.quantised(formats.smooth(3), 16), 16, 2)
    with pytest.raises(PictureError, match=r"'a\.png' cannot be decoded"):
        decode_deep(data[: len(data) // 2], 'a.png')
    with pytest.raises(PictureError, match=r"'a\.png' is a PDF"):
        decode_deep(b'%PDF-1.7', 'a.png')


def test_pillows_pictures():
    value = formats.quantised(formats.smooth(1), 16)[..., 0]
    assert np.array_equal(pixels_of(Image.fromarray(value)), np.dstack([value] * 3))
    four = formats.quantised(formats.smooth(4), 8)
    assert np.array_equal(pixels_of(Image.fromarray(four)), four)
    with pytest.raises(ValueError, match="pixels .'F'. are no unsigned integers"):
        pixels_of(Image.fromarray(value.astype(np.float32)))
