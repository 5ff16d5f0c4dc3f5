import io
import os
import socket
import zipfile

import numpy as np
import pytest
from PIL import Image, ImageCms

from i2ilr_mm.datasets import pictures
from i2ilr_mm.datasets.pictures import (
    PictureError,
    left_out,
    list_pictures,
    picture_path,
    picture_size,
    read_picture,
    resolve_root,
)


@pytest.fixture
def colours() -> np.ndarray:
    """Quadrants in four colours, easy to tell apart after any conversion."""
    picture = np.zeros((20, 24, 3), np.uint8)
    picture[:10, :12], picture[:10, 12:] = (200, 30, 40), (20, 180, 60)
    picture[10:, :12], picture[10:, 12:] = (30, 60, 190), (240, 230, 220)
    return picture


def check(path, expected, tolerance=0):
    picture = read_picture(str(path))
    assert picture.dtype == np.uint8 and picture.shape == expected.shape
    assert np.abs(picture.astype(int) - expected).max() <= tolerance


def test_plain_formats(tmp_path, colours):
    for extension in ('png', 'bmp', 'tiff'):
        Image.fromarray(colours).save(tmp_path / f'a.{extension}')
        check(tmp_path / f'a.{extension}', colours)


def test_greyscale(tmp_path, colours):
    grey = Image.fromarray(colours).convert('L')
    grey.save(tmp_path / 'a.png')
    check(tmp_path / 'a.png', np.repeat(np.array(grey)[..., None], 3, 2))


def test_alpha_lies_over_white(tmp_path, colours):
    alpha = np.full(colours.shape[:2], 255, np.uint8)
    alpha[:10], alpha[10:, :12] = 0, 128
    Image.fromarray(np.dstack([colours, alpha])).save(tmp_path / 'a.png')
    share = alpha[..., None] / 255
    check(tmp_path / 'a.png', colours * share + 255 * (1 - share), tolerance=1)


def test_palette_with_transparency(tmp_path, colours):
    Image.fromarray(colours).quantize(4).save(tmp_path / 'a.png', transparency=0)
    picture = read_picture(str(tmp_path / 'a.png'))
    assert (picture == 255).all(axis=2).any()


def test_16_bit_is_scaled_not_clipped(tmp_path):
    values = np.linspace(0, 65535, 20 * 24).reshape(20, 24).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / 'a.png')
    check(tmp_path / 'a.png', np.repeat((values / 257)[..., None], 3, 2), tolerance=1)


@pytest.mark.parametrize('dtype', [np.float32, np.int32])
def test_other_depths_are_refused(tmp_path, dtype):
    Image.fromarray(np.full((8, 8), 200, dtype)).save(tmp_path / 'a.tiff')
    with pytest.raises(PictureError, match='a.tiff.*unsigned integers of 8 to 16 bits'):
        read_picture(str(tmp_path / 'a.tiff'))


def test_cmyk(tmp_path, colours):
    Image.fromarray(colours).convert('CMYK').save(tmp_path / 'a.jpg', quality=100, subsampling=0)
    check(tmp_path / 'a.jpg', colours, tolerance=60)  # chroma blurs at the quadrants' edges
    inner = read_picture(str(tmp_path / 'a.jpg'))[3, 3].astype(int)
    assert np.abs(inner - colours[3, 3]).max() <= 6


def test_exif_rotation_is_applied(tmp_path, colours):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned: show rotated by 90 degrees clockwise
    Image.fromarray(colours).save(tmp_path / 'a.png', exif=exif)
    check(tmp_path / 'a.png', np.rot90(colours, -1))


def swapped_primaries() -> bytes:
    """A colour profile in which red and green have changed places, made of Pillow's sRGB."""
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
    profile = bytearray(plain.replace('sRGB'.encode('utf-16-be'), 'test'.encode('utf-16-be')))
    red, green = (profile.index(tag, 128) for tag in (b'rXYZ', b'gXYZ'))
    profile[red : red + 4], profile[green : green + 4] = b'gXYZ', b'rXYZ'
    return bytes(profile)


def test_colour_profiles_are_applied(tmp_path, colours):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
    Image.fromarray(colours).save(tmp_path / 'a.png', icc_profile=srgb)
    check(tmp_path / 'a.png', colours)
    swapped = colours[..., [1, 0, 2]]
    Image.fromarray(colours).save(tmp_path / 'b.png', icc_profile=swapped_primaries())
    check(tmp_path / 'b.png', swapped, tolerance=2)
    for damaged in (b'no profile', srgb[:200]):
        Image.fromarray(colours).save(tmp_path / 'c.png', icc_profile=damaged)
        check(tmp_path / 'c.png', colours)
    options = dict(icc_profile=swapped_primaries(), transparency=(200, 30, 40))
    Image.fromarray(colours).save(tmp_path / 'd.png', **options)
    swapped[:10, :12] = 255
    check(tmp_path / 'd.png', swapped, tolerance=2)


def test_the_first_frame_of_an_animation(tmp_path, colours):
    frames = [Image.fromarray(colours), Image.new('RGB', (24, 20), 'black')]
    frames[0].save(tmp_path / 'a.webp', save_all=True, append_images=frames[1:], lossless=True)
    check(tmp_path / 'a.webp', colours)
    frames[0].save(tmp_path / 'a.gif', save_all=True, append_images=frames[1:])
    check(tmp_path / 'a.gif', colours)
    assert list_pictures(str(tmp_path)) == ['a.gif', 'a.webp']


@pytest.mark.parametrize('kind', ['webp', 'png', 'gif', 'jpg', 'tiff'])
def test_damaged_pixels_are_named(tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / f'a.{kind}'
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    for cut in (len(whole) // 2, len(whole) // 4):
        path.write_bytes(whole[:cut])
        with pytest.raises(PictureError, match='a.' + kind):
            read_picture(str(path))


def test_pixel_bombs_are_named(tmp_path, monkeypatch, colours):
    Image.fromarray(colours).save(tmp_path / 'a.png')
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    with pytest.raises(PictureError, match=r'a\.png.*decompression bomb'):
        read_picture(str(tmp_path / 'a.png'))


def test_other_formats_than_listed_are_not_tried(tmp_path):
    """EPS would be given to another program."""
    Image.new('RGB', (8, 8)).save(tmp_path / 'a.jpg', 'eps')
    with pytest.raises(PictureError, match='a PostScript file, and not read'):
        read_picture(str(tmp_path / 'a.jpg'))


@pytest.mark.parametrize('keep, message', [(0, r'empty \(0 bytes\)'), (400, 'decoded|truncated')])
def test_damaged_files_are_named(tmp_path, keep, message):
    buffer = io.BytesIO()
    noise = np.random.RandomState(0).randint(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(buffer, 'png')
    (tmp_path / 'bad one.png').write_bytes(buffer.getvalue()[:keep])
    with pytest.raises(PictureError, match=f'bad one.png.*({message})'):
        read_picture(str(tmp_path / 'bad one.png'))


def test_other_files_are_named(tmp_path):
    (tmp_path / 'page.jpg').write_text('<html>')
    for reader in (read_picture, picture_size):
        with pytest.raises(PictureError, match='page.jpg.*a web page, and not read'):
            reader(str(tmp_path / 'page.jpg'))
        with pytest.raises(PictureError, match='gone.jpg'):
            reader(str(tmp_path / 'gone.jpg'))


def test_zip_gives_the_same_as_the_folder(tmp_path, colours):
    folder = tmp_path / 'set'
    (folder / 'train/cat').mkdir(parents=True)
    (folder / '.thumbs').mkdir()
    for name in ('train/cat/b.png', 'train/cat/a.PNG', '.thumbs/x.png', 'train/.hidden.png'):
        Image.fromarray(colours).save(folder / name, format='png')
    (folder / 'train/notes.txt').write_text('no picture')
    archive = tmp_path / 'set.zip'
    with zipfile.ZipFile(archive, 'w') as file:
        for path in folder.rglob('*'):
            file.write(path, path.relative_to(folder))
    names = ['train/cat/a.PNG', 'train/cat/b.png']
    for root in (str(folder), str(archive)):
        root = resolve_root(root)
        assert list_pictures(root) == names
        check(picture_path(root, names[0]), colours)
        assert picture_size(picture_path(root, names[1])) == (24, 20)
        with pytest.raises(PictureError, match=r'gone'):
            picture_size(picture_path(root, 'gone.png'))
    with pytest.raises(PictureError, match='set.zip::gone.png'):
        read_picture(f'{archive}::gone.png')


def test_roots_are_checked(tmp_path):
    with pytest.raises(FileNotFoundError, match="data_root 'nowhere' does not exist"):
        resolve_root('nowhere', 'data_root')
    (tmp_path / 'a.zip').write_text('no zip')
    with pytest.raises(FileNotFoundError, match='is no zip file'):
        resolve_root(str(tmp_path / 'a.zip'))
    with pytest.raises(FileNotFoundError, match="'tails'.*heads64"):
        resolve_root('embedded:tails')


def test_folders_are_read_at_their_own_place(tmp_path, colours):
    """Not through a link in another split, which would lead to held-out pictures."""
    (tmp_path / 'test').mkdir()
    Image.fromarray(colours).save(tmp_path / 'test/a.png')
    (tmp_path / 'a').symlink_to(tmp_path / 'test')
    (tmp_path / 'b').mkdir()
    (tmp_path / 'b/c').symlink_to(tmp_path / 'test')
    assert list_pictures(str(tmp_path)) == ['test/a.png']


def test_folders_that_cannot_be_opened_are_named(tmp_path, colours, monkeypatch):
    (tmp_path / 'shut').mkdir()
    Image.fromarray(colours).save(tmp_path / 'a.png')

    def listdir(path, real=os.listdir):
        if path.endswith('shut'):
            raise PermissionError(13, 'Permission denied', path)
        return real(path)

    monkeypatch.setattr(os, 'listdir', listdir)  # root may open any folder
    assert list_pictures(str(tmp_path)) == ['a.png']
    assert left_out(str(tmp_path)) == {'folder that cannot be opened': ['shut']}


def test_names_of_two_lines_make_messages_of_one(tmp_path):
    for name in (b'two\nlines.png', b'no text \xff.png'):
        path = os.fsdecode(os.fsencode(tmp_path) + b'/' + name)
        with open(path, 'wb'):
            pass
        with pytest.raises(PictureError, match='empty') as caught:
            read_picture(path)
        assert str(caught.value).isprintable()


def test_pipes_and_links_to_themselves(tmp_path, colours):
    folder = tmp_path / 'set'
    (folder / 'deep').mkdir(parents=True)
    Image.fromarray(colours).save(folder / 'deep/a.png')
    (folder / 'deep/again').symlink_to(folder)
    (folder / 'gone.png').symlink_to(tmp_path / 'nowhere.png')
    os.mkfifo(folder / 'pipe.png')
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f'{folder}/s.png')
    assert list_pictures(str(folder)) == ['deep/a.png', 'gone.png']
    assert left_out(str(folder)) == {
        'pipe': ['pipe.png'],
        'socket': ['s.png'],
        'link to a folder that is read already': ['deep/again'],
    }
    with pytest.raises(PictureError, match=r'pipe\.png.*it is no file'):
        read_picture(str(folder / 'pipe.png'))
    with pytest.raises(PictureError, match=r'gone\.png.*No such file'):
        picture_size(str(folder / 'gone.png'))


def test_files_that_are_too_large_are_not_unpacked(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('a.png', bytes(3_000_000))
    (tmp_path / 'b.png').write_bytes(bytes(3_000_000))
    monkeypatch.setattr(pictures, 'MOST_BYTES', 2_000_000)
    for path in (f'{tmp_path}/a.zip::a.png', f'{tmp_path}/b.png'):
        with pytest.raises(PictureError, match='has 3 MB; no picture of more than 2 MB'):
            read_picture(path)


def test_what_else_a_root_is(tmp_path):
    (tmp_path / 'a.zip').write_bytes(b'Rar!\x1a\x07\x01\0')
    with pytest.raises(FileNotFoundError, match=r"data_root '.*a.zip' is a RAR archive.*unpack it"):
        resolve_root(str(tmp_path / 'a.zip'), 'data_root')
