import io

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import i2ilr_mm
from i2ilr_mm import lr as ops
from i2ilr_mm.inference import match

RNG = np.random.default_rng(0)


def smooth(height: int, width: int, kind: type = np.uint8, channels: int = 3) -> np.ndarray:
    """A picture with gradients, detail and no extremes, (H, W, channels)."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [
        0.5
        + 0.2 * np.sin(4 * rows / height + c)
        + 0.1 * np.cos(5 * columns / width + c)
        + 0.08 * ((rows + columns) % 2)
        for c in range(channels)
    ]
    return (np.stack(waves, axis=-1) * np.iinfo(kind).max).round().astype(kind)


def drifted(picture: np.ndarray) -> np.ndarray:
    """The same with another gamma and hue."""
    full = np.iinfo(picture.dtype).max
    shares = (picture / full) ** [1.3, 0.8, 1.0] * [1.0, 0.95, 0.85]
    return (shares * full).round().astype(picture.dtype)


def cells(picture: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """(rows, columns, C) grey levels of 255, in float64; pixels that borders cut are shared."""
    height, width = picture.shape[:2]
    whole = picture.astype(np.float64) * (255 / np.iinfo(picture.dtype).max)
    whole = whole.repeat(rows, axis=0).repeat(columns, axis=1)
    return whole.reshape(rows, height, columns, width, -1).mean(axis=(1, 3))


def test_it_is_the_function_of_the_package():
    assert i2ilr_mm.match is match and 'match' in i2ilr_mm.__all__
    with pytest.raises(AttributeError, match="no attribute 'matches'"):
        i2ilr_mm.matches  # noqa: B018


@pytest.mark.parametrize('kind', [np.uint8, np.uint16])
@pytest.mark.parametrize('size, grid', [((96, 128), (12, 16)), ((48, 30), (6, 5)), ((64, 64), 8)])
def test_a_drifted_picture_meets_its_original(size, grid, kind):
    original = smooth(*size, kind)
    edited = drifted(original)
    result = match(edited, original, grid)
    rows, columns = ops.grid_of(grid)
    half = 0.5 * 255 / np.iinfo(kind).max
    error = np.abs(cells(result.pixels, rows, columns) - cells(original, rows, columns))
    before = np.abs(cells(edited, rows, columns) - cells(original, rows, columns))
    assert result.pixels.dtype == kind and error.max() <= half + 1e-4 < 5 < before.max()
    assert result.lr_worst == pytest.approx(error.max(), abs=1e-4) and result.reached
    assert result.lr_mae == pytest.approx(error.mean(), abs=1e-4)
    assert result.before['lr_worst'] == pytest.approx(before.max(), abs=1e-3)
    assert result.before['lr_mae'] == pytest.approx(before.mean(), abs=1e-3)
    assert result.error == pytest.approx(error.max(axis=2), abs=1e-4)
    detail = [p - cv2.blur(p, (5, 5)) for p in (result.pixels.astype(float), edited.astype(float))]
    assert np.corrcoef(detail[0].ravel(), detail[1].ravel())[0, 1] > 0.97


@pytest.mark.parametrize('kind', [np.uint8, np.uint16])
@pytest.mark.parametrize('method', ops.DOWN_METHODS)
@pytest.mark.parametrize('channels', [3, 4])
def test_pictures_that_match_are_left_alone(kind, method, channels):
    picture = RNG.integers(0, np.iinfo(kind).max + 1, (48, 64, channels), dtype=kind)
    assert np.array_equal(match(picture, picture, (6, 8), method).pixels, picture)
    moved = match(drifted(smooth(48, 64, kind)), smooth(48, 64, kind), (6, 8), method)
    again = match(moved.pixels, smooth(48, 64, kind), (6, 8), method)
    assert moved.before['lr_worst'] > 5 and again.before['lr_worst'] == moved.lr_worst
    assert np.array_equal(again.pixels, moved.pixels)


def test_pictures_that_match_but_for_the_rounding_of_the_target_are_left_alone():
    picture = smooth(64, 64)
    lr = cells(picture, 8, 8).round().astype(np.uint8)
    assert np.abs(lr - cells(picture, 8, 8)).max() > 0.3
    assert np.array_equal(match(picture, lr).pixels, picture)


sizes = st.tuples(*[st.integers(1, 6)] * 4).map(lambda n: (n[0] * n[2], n[1] * n[3], n[0], n[1]))


@settings(max_examples=80, deadline=None)
@given(sizes, st.sampled_from([np.uint8, np.uint16]), st.booleans(), st.integers(0, 999))
def test_any_picture_meets_any_target(shape, kind, alpha, seed):
    height, width, rows, columns = shape
    rng, full = np.random.default_rng(seed), np.iinfo(kind).max
    picture = rng.integers(0, full + 1, (height, width, 3 + alpha), dtype=kind)
    lr = rng.integers(0, full + 1, (rows, columns, 3), dtype=kind)
    result = match(picture, lr, (rows, columns))
    error = np.abs(cells(result.pixels[..., :3], rows, columns) - cells(lr, rows, columns))
    assert error.max() <= 255 * (0.5 / full + 1e-6)
    assert result.pixels.dtype == kind and result.reached
    assert np.array_equal(result.pixels[..., 3:], picture[..., 3:])


@pytest.mark.parametrize('method', ops.DOWN_METHODS)
@pytest.mark.parametrize('size', [(96, 128), (60, 80), (48, 64), (75, 100), (50, 67)])
def test_targets_of_other_sizes_are_shrunk_whatever_their_sides(size, method):
    """By the area of cells, or as Pillow does it; 67 is 66.7, rounded."""
    target = smooth(*size, np.uint16)
    result = match(drifted(smooth(96, 128, np.uint16)), target, (12, 16), method)
    wanted = cells(target, 12, 16)
    if method == 'bicubic':
        planes = [Image.fromarray(target[..., c].astype(np.float32)) for c in range(3)]
        shrunk = [np.array(p.resize((16, 12), Image.Resampling.BICUBIC)) for p in planes]
        wanted = np.stack(shrunk, axis=-1) / 257
    lr = (result.target.permute(1, 2, 0).double().numpy() + 1) * 127.5
    assert np.abs(lr - wanted).max() < 2e-3 and result.lr_worst < 0.01


def test_every_form_of_a_picture_gives_the_same_result(tmp_path):
    edited, original = drifted(smooth(48, 64)), smooth(48, 64)
    Image.fromarray(edited).save(tmp_path / 'a.png')
    tensor = torch.from_numpy(edited).permute(2, 0, 1)
    forms = [tmp_path / 'a.png', str(tmp_path / 'a.png'), Image.fromarray(edited), tensor]
    forms += [tensor[None], ops.from_uint8(tensor)]
    expected = match(edited, original, (6, 8))
    for form in forms:
        result = match(form, original, (6, 8))
        assert np.array_equal(result.pixels, expected.pixels), type(form)
    lr = expected.target
    for target in (lr, ops.from_uint8(torch.from_numpy(original).permute(2, 0, 1))):
        assert np.array_equal(match(edited, target, (6, 8)).pixels, expected.pixels)
    grey = smooth(48, 64, np.uint16)[..., 0]
    deep = match(Image.fromarray(grey), np.full((6, 8), 30000, np.uint16), [6, np.int64(8)])
    assert np.array_equal(
        deep.pixels, match(grey, np.full((6, 8), 30000, np.uint16), (6, 8)).pixels
    )
    assert deep.pixels.dtype == np.uint16 and deep.pixels.shape == (48, 64, 3)


@pytest.mark.parametrize('kind, channels', [(np.uint8, 3), (np.uint16, 3), (np.uint16, 4)])
def test_the_file_holds_the_picture_and_its_certificate(tmp_path, kind, channels):
    edited = drifted(smooth(48, 64, kind)) if channels == 3 else smooth(48, 64, kind, 4) // 2
    result = match(edited, smooth(48, 64, kind), (6, 8))
    result.save(tmp_path / 'a.png')
    written = cv2.imread(str(tmp_path / 'a.png'), cv2.IMREAD_UNCHANGED)
    assert written.dtype == kind
    assert np.array_equal(written[..., [2, 1, 0, 3][:channels]], result.pixels)
    assert np.array_equal(result.pixels[..., 3:], edited[..., 3:])
    with Image.open(tmp_path / 'a.png') as file:
        file.load()  # checks the chunks
        text = {k.removeprefix('i2ilr_mm:'): v for k, v in file.info.items()}
    error = np.abs(cells(written[..., 2::-1], 6, 8) - cells(smooth(48, 64, kind), 6, 8))
    assert float(text['lr_worst']) == pytest.approx(error.max(), abs=2e-4)
    assert text['lr_size'] == '6x8' and text['reached'] == 'True'
    assert float(text['lr_worst_before']) == pytest.approx(result.before['lr_worst'], abs=1e-4)
    shown = np.array(result.image).astype(float)
    exact = result.pixels * (255 / np.iinfo(kind).max)
    assert result.image.size == (64, 48) and np.abs(shown - exact).max() <= 0.5


def test_targets_are_laid_over_white_unless_the_image_has_alpha_too():
    colours, alpha = smooth(48, 64), np.full((48, 64, 1), 128, np.uint8)
    layered = np.concatenate([colours, alpha], axis=2)
    seen = cells(colours, 6, 8) * (128 / 255) + 255 * (1 - 128 / 255)
    opaque = match(drifted(colours), layered, (6, 8))
    assert np.abs(cells(opaque.pixels, 6, 8) - seen).max() <= 0.51
    stored = match(np.concatenate([drifted(colours), alpha], axis=2), layered, (6, 8))
    assert np.abs(cells(stored.pixels, 6, 8)[..., :3] - cells(colours, 6, 8)).max() <= 0.51


def test_a_target_that_no_picture_has_is_reported():
    lr = torch.zeros(3, 6, 8)
    lr[0, 2, 3], lr[0, 0, 0] = 1.2, -0.5  # floats in [-1, 1], to be seen by their signs
    result = match(smooth(48, 64), lr, (6, 8))
    assert not result.reached
    assert result.lr_worst == pytest.approx(0.2 * 127.5, abs=0.5)
    assert np.unravel_index(result.error.argmax(), (6, 8)) == (2, 3)


def test_bicubic_goes_on_where_pixels_are_clipped():
    """One round would leave what clipping takes away."""
    picture = RNG.choice(np.array([0, 255], np.uint8), (64, 64, 3))
    target = cells(smooth(64, 64), 8, 8).round().astype(np.uint8)
    result = match(picture, target, lr_method='bicubic')
    x = ops.from_uint8(torch.from_numpy(picture)).permute(2, 0, 1)[None]
    once = ops.match(x, result.target[None], 'bicubic', rounds=1)
    left = (ops.down(ops.from_uint8(once), 8, 'bicubic') - result.target).abs().max() * 127.5
    assert result.lr_worst < 1 < left


@pytest.mark.parametrize(
    'size, grid, nearest, crop',
    [
        ((750, 1000), 8, '10x8, 6x8', '1000 x 744'),
        ((768, 1000), (12, 16), '12x20, 12x10', '992 x 768'),
        ((4, 4), 8, '4x4', '8 x 8'),
    ],
)
def test_images_that_the_grid_does_not_divide_are_refused(size, grid, nearest, crop):
    with pytest.raises(ValueError) as caught:
        match(np.zeros(size, np.uint8), np.zeros((8, 8), np.uint8), grid)
    message = str(caught.value)
    assert f'{size[1]} x {size[0]}, and ' in message and crop in message
    assert f'nearest grids that do are {nearest}' in message and '\n' not in message
    listed = message.partition('that do are ')[2].partition(' (')[0].split(', ')
    for option in listed:  # they do
        rows, columns = map(int, option.split('x'))
        assert match(
            np.zeros(size, np.uint8), np.zeros((rows, columns)).astype('u1'), (rows, columns)
        )


@pytest.mark.parametrize(
    'image, target, options, message',
    [
        ('a.png', 'b.png', dict(lr_method='area'), "'area'; accepted are box, bicubic"),
        ('a.png', 'b.png', dict(lr_size=0), r'lr_size is 0; it is a positive integer, or \(rows'),
        ('a.png', 'b.png', dict(lr_size=(8, 2.5)), r'lr_size is \(8, 2\.5\)'),
        ('a.png', 'b.png', dict(lr_size='8'), "lr_size is '8'"),
        ('a.png', 'b.png', dict(lr_size=(8, 8, 8)), r'lr_size is \(8, 8, 8\)'),
        ('nowhere.png', 'b.png', {}, r"'nowhere\.png' cannot be read"),
        (np.zeros((64, 64)), 'b.png', {}, 'an array of float64.*uint8 and uint16 arrays'),
        (np.zeros((64, 64, 2), np.uint16), 'b.png', {}, 'the last axis has 3 or 4'),
        (torch.rand(3, 64, 64), 'b.png', {}, 'may be meant from 0 to 1'),
        (np.zeros((64, 64), np.uint8), np.zeros((5, 9), np.uint8), {}, 'smaller than 8 rows x 8'),
        (
            np.zeros((64, 64), np.uint8),
            np.zeros((64, 72), np.uint8),
            {},
            "72 x 64, and the image 64 x 64, of another aspect.*picture of 8 x 8.*image's aspect",
        ),
        (np.zeros((64, 64), np.uint8), 7, {}, 'a int was given; accepted are paths'),
    ],
)
def test_what_cannot_be_matched_is_refused_by_name(image, target, options, message):
    with pytest.raises(ValueError, match=message):
        match(image, target, **options)


def test_pixels_of_a_damaged_picture(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(smooth(64, 64)).save(buffer, 'png')
    half = Image.open(io.BytesIO(buffer.getvalue()[: buffer.tell() // 2]))
    with pytest.raises(ValueError, match='the picture cannot be decoded'):
        match(half, np.zeros((8, 8), np.uint8))
