"""Zips: their members, under the names that were meant."""

import lzma
import re
import struct
import zipfile
import zlib
from functools import lru_cache

from .decode import PictureError

# Of files and zips; encrypted members and unknown compressions are RuntimeErrors.
UNREADABLE = (
    *(OSError, EOFError, LookupError, RuntimeError, ValueError, ArithmeticError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
)


@lru_cache(maxsize=8)
def archive(path: str, process: int) -> zipfile.ZipFile:
    """An open zip.

    Args:
        path: The file.
        process: Whose handle it is: a forked worker must not share its parent's file position.

    Raises:
        PictureError: If it is damaged.
    """
    try:
        return zipfile.ZipFile(path)
    except UNREADABLE as error:
        raise PictureError(f"'{path}' is a damaged zip: {error}; fetch or make it again") from error


@lru_cache(maxsize=8)
def members(path: str, process: int) -> dict[str, zipfile.ZipInfo]:
    """Files of a zip by their names with '/'; the last one if several have the same name."""
    infos = [i for i in archive(path, process).infolist() if i.filename and not i.is_dir()]
    page = code_page([_bytes_of(info) for info in infos if not _marked_name(info)])
    # Where others separate folders, it is rather the half of a character of an unknown page.
    halves = page == 'cp437' and any('/' in info.filename for info in infos)
    separator = r'(?<![^\0-\x7f])\\' if halves else r'\\'
    return {
        re.sub(separator, '/', _marked_name(info) or _bytes_of(info).decode(page)): info
        for info in infos
    }


def _marked_name(info: zipfile.ZipInfo) -> str:
    """The name, if the zip says how it is stored; else ''.

    As UTF-8 it is marked by bit 11, or stands in the extra field 0x7075 with a checksum of the
    other one (APPNOTE.TXT, 4.6.9).
    """
    if info.flag_bits & 0x800:
        return info.filename
    extra, at = info.extra, 0
    while at + 9 <= len(extra):
        kind, length, _, checksum = struct.unpack_from('<HHBI', extra, at)
        if kind == 0x7075 and checksum == zlib.crc32(_bytes_of(info)):
            return extra[at + 9 : at + 4 + length].decode('utf-8', 'replace')
        at += 4 + length
    return ''


def _bytes_of(info: zipfile.ZipInfo) -> bytes:
    """The name as stored: zipfile reads what is not marked as UTF-8 by code page 437."""
    return info.orig_filename.encode('cp437')


# Two bytes of a code page that make a character of everyday use: kana and the first level of kanji;
# the first level of hanzi, simplified and traditional.
_USUAL = {
    'cp932': rb'\x82[\x9f-\xf1]|\x83[\x40-\x96]|\x81[\x40-\x5b]|[\x88-\x97][\x40-\xfc]',
    'gbk': rb'[\xb0-\xd7][\xa1-\xfe]',
    'big5': rb'[\xa4-\xc6][\x40-\x7e\xa1-\xfe]',
}
_HANGUL = rb'[\xb0-\xc8][\xa1-\xfe]'
"""A Korean character of code page 949. In GBK these are the first half of the usual hanzi."""

_CYRILLIC = {'cp866': rb'[\x80-\xaf\xe0-\xf1]', 'cp1251': rb'[\xa8\xb8\xc0-\xff]'}


def code_page(names: list[bytes]) -> str:
    """The code page of names that do not say theirs: UTF-8, an East Asian or a Russian one.

    If none fits, it is 437, as the zip standard has it. In East Asian pages the second byte of a
    character can be that of a backslash, so that a wrong page would make folders that nobody made.
    """
    if _fits(names, 'utf-8'):
        return 'utf-8'
    text = b'\n'.join(names)
    shares = {page: _usual_share(text, page) for page in _USUAL if _fits(names, page)}
    best = max(shares, key=shares.__getitem__, default='')
    if not best or shares[best] <= 0.5:
        return _russian_page(text)
    return 'cp949' if best == 'gbk' and _is_korean(text) else best


def _is_korean(text: bytes) -> bool:
    """Whether all of eight characters or more are hangul: of Chinese ones every second is none."""
    beyond = re.findall(rb'[\x80-\xff].', text, re.DOTALL)
    return len(beyond) >= 8 and all(re.fullmatch(_HANGUL, pair) for pair in beyond)


def _russian_page(text: bytes) -> str:
    """The page in which most bytes beyond ASCII are letters of longer words; else 437.

    Of words in code page 437 it is rather a single letter that has an accent.
    """
    beyond = len(re.findall(rb'[\x80-\xff]', text))
    runs = {page: re.findall(rb'(?:%s){3,}' % letter, text) for page, letter in _CYRILLIC.items()}
    letters = {page: sum(map(len, words)) for page, words in runs.items()}
    best = max(letters, key=letters.__getitem__)
    return best if letters[best] > 0.5 * beyond else 'cp437'


def _fits(names: list[bytes], page: str) -> bool:
    try:
        return all(name.decode(page) is not None for name in names)
    except UnicodeDecodeError:
        return False


def _usual_share(text: bytes, page: str) -> float:
    """Of the characters beyond ASCII, how many are usual and stand beside another one.

    A single one is rather an accented letter of code page 437 and what follows it.
    """
    beyond = len(re.findall(r'[^\0-\x7f]', text.decode(page)))
    runs = re.findall(rb'(?:%s){2,}' % _USUAL[page], text)
    return sum(len(run) // 2 for run in runs) / beyond
