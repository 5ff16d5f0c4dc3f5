"""Finding and decoding pictures, in folders and in zips.

A picture is named by one string: a file's path, or ``archive.zip::member`` for one in a zip. So
names can be printed, stored and given to worker processes, which open archives themselves.
"""

import lzma
import os
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from contextlib import suppress
from functools import lru_cache
from importlib.resources import files
from typing import IO

import numpy as np

from .decode import PictureError, decode, open_picture, size_of, what_it_is
from .rgb import UNDECODABLE

EXTENSIONS = (
    *('.avif', '.bmp', '.gif', '.jfif', '.jpeg', '.jpg'),
    *('.png', '.tif', '.tiff', '.webp'),
)
MOST_BYTES = 1_000_000_000
"""Larger files are no pictures, or not to be read whole."""

EMBEDDED = 'embedded:'
"""Prefix of the picture sets that ship with the package, as in 'embedded:heads64'."""


def resolve_root(root: str, what: str = '') -> str:
    """Turn a data root into a folder or zip that exists.

    Args:
        root: A folder, a zip file, or 'embedded:heads64'.
        what: What messages call it, such as the option that it was given by.

    Raises:
        FileNotFoundError: If there is no such folder or zip.
    """
    if root.startswith(EMBEDDED):
        name = root.removeprefix(EMBEDDED)
        path = str(files('i2ilr_mm') / 'assets' / f'{name}.zip')
        if not os.path.isfile(path):
            raise FileNotFoundError(f"no picture set '{name}' is embedded; there is 'heads64'")
        return path
    path = os.path.expanduser(root)
    if os.path.isdir(path) or zipfile.is_zipfile(path):
        return path
    kind = 'does not exist'
    if os.path.isfile(path):
        with open(path, 'rb') as file:
            kind = what_it_is(file.read(1024), 'is no zip file')
    subject = f"{what} '{root}'".lstrip()
    raise FileNotFoundError(f'{subject} {kind}; give a folder of pictures, or a zip of one')


def list_pictures(root: str) -> list[str]:
    """All pictures below a resolved root, as sorted paths relative to it, with '/'.

    Hidden files and folders are passed over, and what is no file (a pipe, a device).
    """
    return sorted(name for name in _names(root) if name.lower().endswith(EXTENSIONS))


def left_out(root: str) -> Counter[str]:
    """Count the files below a resolved root whose names are not pictures': suffix -> number."""
    return Counter(
        os.path.splitext(name)[1].lower() or 'no suffix'
        for name in _names(root)
        if not name.lower().endswith(EXTENSIONS)
    )


def _names(root: str) -> list[str]:
    """Files below a folder or in a zip, without hidden ones."""
    names = _files_below(root) if os.path.isdir(root) else list(_members(root, os.getpid()))
    return [
        name
        for name in names
        # '' is what an absolute name begins with; in a zip that would lead out of any folder.
        if not any(part.startswith(('.', '__MACOSX')) or not part for part in name.split('/'))
    ]


def _files_below(root: str) -> list[str]:
    paths, visited = [], set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in visited:  # a link to a folder that was there already, or to one around it
            folders.clear()
            continue
        visited.add(real)
        for name in names:
            path = os.path.join(folder, name)
            # What is missing behind a link is listed, and named when it is read.
            if os.path.isfile(path) or not os.path.exists(path):
                paths.append(os.path.relpath(path, root).replace(os.sep, '/'))
    return paths


def natural(name: str) -> tuple:
    """Sorts names as people do, frame2 before frame10: by text and numbers in turn."""
    parts = re.split(r'(\d+)', name)
    # Odd parts are the numbers; the name itself decides between 1 and 01.
    return ([int(p) if i % 2 else p.casefold() for i, p in enumerate(parts)], name)


def picture_path(root: str, name: str) -> str:
    """The string that names picture ``name`` of a resolved root."""
    return os.path.join(root, name) if os.path.isdir(root) else f'{root}::{name}'


# Of files and zips; encrypted members and unknown compressions are RuntimeErrors.
UNREADABLE = (
    *(OSError, EOFError, LookupError, RuntimeError, ValueError, ArithmeticError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
)


@lru_cache(maxsize=8)
def _archive(path: str, process: int) -> zipfile.ZipFile:
    # A forked worker must not share its parent's file position, hence one handle per process.
    try:
        return zipfile.ZipFile(path)
    except UNREADABLE as error:
        raise PictureError(f"'{path}' is a damaged zip: {error}; fetch or make it again") from error


@lru_cache(maxsize=8)
def _members(path: str, process: int) -> dict[str, zipfile.ZipInfo]:
    """Files of a zip by their names with '/'; the last one if several have the same name."""
    infos = _archive(path, process).infolist()
    return {_member_name(info): info for info in infos if info.filename and not info.is_dir()}


def _member_name(info: zipfile.ZipInfo) -> str:
    """The name as it was meant: some programs write backslashes, or UTF-8 without saying so."""
    name = info.filename
    if not info.flag_bits & 0x800:
        with suppress(UnicodeError):
            name = name.encode('cp437').decode('utf-8')
    return name.replace('\\', '/')


def open_file(path: str) -> tuple[IO[bytes], int]:
    """A file, or a zip's member, to read from and to close; and its size in bytes.

    Raises:
        OSError: And others of :data:`UNREADABLE`, if it is missing, damaged or no file.
    """
    if '::' in path:
        archive, _, member = path.partition('::')
        archive = archive if os.path.exists(archive) else os.path.expanduser(archive)
        info = _members(archive, os.getpid())[member]
        return _archive(archive, os.getpid()).open(info), info.file_size
    if path[:1] == '~' and not os.path.exists(path):
        path = os.path.expanduser(path)
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError('it is no file')  # opening a pipe would wait for ever
    return open(path, 'rb'), status.st_size


def read_bytes(path: str) -> bytes:
    """Read a picture file, or a zip's member named 'archive.zip::member'.

    Raises:
        PictureError: If it is missing, empty or damaged in the archive.
    """
    try:
        file, size = open_file(path)
        with file:
            if size > MOST_BYTES:
                raise PictureError(
                    f"'{path}' has {size / 1e6:,.0f} MB; no picture of more than "
                    f'{MOST_BYTES / 1e6:,.0f} MB is read'
                )
            data = file.read()
    except PictureError:
        raise
    except UNREADABLE as error:
        raise PictureError(f"'{path}' cannot be read: {error}") from error
    if not data:
        raise PictureError(f"'{path}' is empty (0 bytes): delete it or fetch it again")
    return data


def read_picture(path: str, least: int | None = None) -> np.ndarray:
    """Read a picture as RGB, see :func:`~i2ilr_mm.datasets.decode.decode`.

    Args:
        path: A file, or 'archive.zip::member'.
        least: A shorter side of this many pixels will do, see there.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        PictureError: If the file is missing, empty, truncated or no picture.
    """
    return decode(read_bytes(path), path, least)


def picture_size(path: str) -> tuple[int, int]:
    """Width and height from the file's header, without decoding the pixels.

    Raises:
        PictureError: If the file is missing, empty or no picture.
    """
    try:
        # A member's header is read without unpacking the rest of it.
        with open_file(path)[0] as file, open_picture(file) as image:
            return image.size
    except (*UNREADABLE, *UNDECODABLE):
        return size_of(read_bytes(path), path)  # says what is wrong, or reads it all the same
