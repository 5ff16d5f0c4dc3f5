import io
import os
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from i2ilr_mm.datasets.pictures import left_out, list_pictures, picture_size, read_picture
from i2ilr_mm.datasets.zips import code_page

PICTURE = np.full((20, 24, 3), (30, 60, 190), np.uint8)


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PICTURE).save(buffer, 'png')
    return buffer.getvalue()


def check(path: str) -> None:
    assert np.array_equal(read_picture(path), PICTURE) and picture_size(path) == (24, 20)


def write_zip(path, names: list[bytes], extra=lambda name: b'') -> None:
    """A zip with these bytes as names, not marked as UTF-8."""
    stand_ins = [b'<%s>' % (b'ABC'[i : i + 1] * (len(name) - 2)) for i, name in enumerate(names)]
    with zipfile.ZipFile(path, 'w') as archive:
        for stand_in, name in zip(stand_ins, names):
            info = zipfile.ZipInfo(stand_in.decode())
            info.extra = extra(name)
            archive.writestr(info, png())
    data = path.read_bytes()
    for stand_in, name in zip(stand_ins, names):
        assert data.count(stand_in) == 2
        data = data.replace(stand_in, name)
    path.write_bytes(data)


CODE_PAGES = [
    ('cp932', ['\u5199\u771f/\u8868\u793a.png', 'train/\u30bd\u30fc\u30b9.png', '\u72ac.png']),
    ('cp932', ['\u80fd\u529b/\u5341.png']),
    ('gbk', ['\u8bad\u7ec3/\u732b.png', '\u7167\u7247\u4e00.png']),
    ('big5', ['\u8a31\u529f\u84cb/\u5716\u7247.png', '\u6e2c\u8a66/\u8c93.png']),
    ('cp437', ['No\u00ebl.png', '\u00e9t\u00e9/\u00c9\u00ef.png', 'M\u00fcller/\u00e4\u00f6.png']),
    (
        'cp949',
        [
            '\uc0ac\uc9c4/\uace0\uc591\uc774.png',
            '\uac15\uc544\uc9c0.png',
            '\uc5ec\ub984/\ud734\uac00.png',
        ],
    ),
    (
        'gbk',
        [
            '\u7167\u7247/\u5c0f\u732b\u5728\u770b\u4e66.png',
            '\u6211\u4eec\u7684\u590f\u5929\u65c5\u884c.png',
        ],
    ),
    (
        'cp866',
        [
            '\u0424\u043e\u0442\u043e/\u043a\u043e\u0442.png',
            '\u0421\u043e\u0431\u0430\u043a\u0430 \u043d\u0430 \u0434\u0430\u0447\u0435.png',
        ],
    ),
    (
        'cp1251',
        [
            '\u0424\u043e\u0442\u043e/\u043a\u043e\u0442.png',
            '\u0421\u043e\u0431\u0430\u043a\u0430 \u043d\u0430 \u0434\u0430\u0447\u0435.png',
        ],
    ),
    ('cp437', ['\xc6r\xf6sk\xf6bing/bl\xe5b\xe6r.png', 'sm\xf6rg\xe5s.png']),
    ('utf-8', ['\u5199\u771f.png', '\u00e9/\u00e9\u00e9.png', 'a.png']),
]


@pytest.mark.parametrize('page, names', CODE_PAGES)
def test_names_in_a_code_page(tmp_path, page, names):
    """Second bytes of a backslash, as cp932 and Big5 have them, make no folders."""
    assert code_page([name.encode(page) for name in names]) == page
    path = tmp_path / 'a.zip'
    for separator in '/\\':
        write_zip(path, [name.replace('/', separator).encode(page) for name in names])
        assert list_pictures(str(path)) == sorted(names)
        check(f'{path}::{names[0]}')
        path = tmp_path / 'b.zip'


def test_halves_of_characters_of_an_unknown_page_make_no_folders(tmp_path):
    path = tmp_path / 'a.zip'
    write_zip(path, ['\u8868/1.png'.encode('cp932'), b'cat\\2.png'])  # too little to tell the page
    (first, second) = list_pictures(str(path))
    assert (first.count('/'), second.count('/')) == (1, 1)


@pytest.mark.parametrize(
    'page, names',
    [
        ('cp949', ['\uc0ac\uc9c4/\uace0\uc591.png', '\uac15.png']),  # too little for Korean
        ('cp866', ['\u0421\u041e\u0411/\u0410.png', '\u0421\u041e\u0411.png']),  # capitals alone
    ],
)
def test_pictures_whose_names_are_shown_in_another_page_are_read(tmp_path, page, names):
    """Each by a name of its own, in the folder that it lies in."""
    write_zip(tmp_path / 'a.zip', [name.encode(page) for name in names])
    shown = list_pictures(str(tmp_path / 'a.zip'))
    assert len(shown) == 2 and sorted(name.count('/') for name in shown) == [0, 1]
    for name in shown:
        check(f'{tmp_path}/a.zip::{name}')


def test_names_in_an_extra_field(tmp_path):
    def extra(name: bytes) -> bytes:
        unicode = name.decode('cp866').encode()
        return struct.pack('<HHBI', 0x7075, 5 + len(unicode), 1, zlib.crc32(name)) + unicode

    name = '\u0444\u043e\u0442\u043e/\u043a\u043e\u0442.png'
    write_zip(tmp_path / 'a.zip', [name.encode('cp866')], extra)
    assert list_pictures(str(tmp_path / 'a.zip')) == [name]
    check(f'{tmp_path}/a.zip::{name}')


def test_what_zips_add(tmp_path):
    """A name twice, what macOS adds, a folder that is called like a picture, a zip in the zip."""
    with zipfile.ZipFile(tmp_path / 'b.zip', 'w') as archive:
        for name, content in (
            ('train\\cat\\a.png', png()),
            ('__MACOSX/train/._a.png', b'other'),
            ('train/twice.png', b'other'),
            ('train/twice.png', png()),
            ('train/x.png/', b''),
            ('train/inner.zip', b'PK'),
        ):
            info = zipfile.ZipInfo('x')
            info.filename = name  # as it stands, whatever this system's separator is
            archive.writestr(info, content)
    assert list_pictures(str(tmp_path / 'b.zip')) == ['train/cat/a.png', 'train/twice.png']
    assert left_out(str(tmp_path / 'b.zip')) == {'.zip': ['train/inner.zip']}
    for name in ('train/cat/a.png', 'train/twice.png'):
        check(f'{tmp_path}/b.zip::{name}')


def test_zip_members_stay_inside(tmp_path):
    outside = ['../a.png', '/etc/a.png', 'x/../../a.png', 'x//a.png']
    with zipfile.ZipFile(tmp_path / 'b.zip', 'w') as archive:
        for name in (*outside, 'good/a.png'):
            archive.writestr(zipfile.ZipInfo(name), png())
    with zipfile.ZipFile(tmp_path / 'b.zip') as archive:
        assert '/etc/a.png' in archive.namelist()
    assert list_pictures(str(tmp_path / 'b.zip')) == ['good/a.png']
    assert left_out(str(tmp_path / 'b.zip')) == {'name that leads out of the zip': outside}


@pytest.mark.skipif(not os.path.isdir('/proc/self/fd'), reason='open files are not listed here')
def test_a_forked_worker_reads_a_zip_by_a_handle_of_its_own(tmp_path):
    """A shared handle has one position, which two processes would pull to and fro."""
    path = str(tmp_path / 'a.zip')
    with zipfile.ZipFile(path, 'w') as archive:
        buffer = io.BytesIO()
        Image.fromarray(PICTURE).save(buffer, 'png')
        archive.writestr('a.png', buffer.getvalue())
        archive.writestr('between.bin', bytes(1 << 20))  # more than any buffer holds
        archive.writestr('b.png', buffer.getvalue())
    read_picture(f'{path}::a.png')
    files = {int(fd) for fd in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{fd}')}
    handles = [fd for fd in files if os.readlink(f'/proc/self/fd/{fd}') == path]
    assert handles
    before = [os.lseek(handle, 0, os.SEEK_CUR) for handle in handles]
    child = os.fork()
    if child == 0:
        try:
            read_picture(f'{path}::b.png')
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert [os.lseek(handle, 0, os.SEEK_CUR) for handle in handles] == before
