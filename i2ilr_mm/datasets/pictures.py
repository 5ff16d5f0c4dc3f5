"""Finding and decoding pictures, in folders and in zips.

A picture is named by one string: a file's path, or ``archive.zip::member`` for one in a zip. So
names can be printed, stored and given to worker processes, which open archives themselves.
"""

import os
import re
import stat
import zipfile
from collections import deque
from collections.abc import Iterator
from importlib.resources import files
from typing import IO

import numpy as np

from i2ilr.files import at_home, shown

from .decode import PictureError, decode, open_picture, size_of, what_it_is
from .rgb import UNDECODABLE
from .zips import UNREADABLE, archive, members

EXTENSIONS = (
    *('.avif', '.bmp', '.gif', '.jfif', '.jpeg', '.jpg'),
    *('.png', '.tif', '.tiff', '.webp'),
)
BESIDE_PICTURES = ('attributes.json',)
"""Files of a root that are no pictures, and are read: the truth of rendered heads."""

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
        ValueError: If it is no text, such as None of a config that has no data_root at its top.
    """
    if not isinstance(root, str):
        raise ValueError(
            f"{what} is {root!r}; give a folder of pictures, a zip of one, or 'embedded:heads64'"
        )
    if root.startswith(EMBEDDED):
        name = root.removeprefix(EMBEDDED)
        path = str(files('i2ilr_mm') / 'assets' / f'{name}.zip')
        if not os.path.isfile(path):
            raise FileNotFoundError(f"no picture set '{name}' is embedded; there is 'heads64'")
        return path
    path = at_home(root)
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
    return sorted(
        name for name, kind in _entries(root) if not kind and name.lower().endswith(EXTENSIONS)
    )


def left_out(root: str) -> dict[str, list[str]]:
    """What is below a resolved root besides pictures and hidden files: kind -> sorted names.

    The kind of a file is its suffix; others are a pipe, a socket, a device, a folder that cannot be
    opened, a link to a folder that is read already, and a name that leads out of a zip.
    """
    others: dict[str, list[str]] = {}
    for name, kind in sorted(_entries(root)):
        known = name.lower().endswith(EXTENSIONS) or os.path.basename(name) in BESIDE_PICTURES
        if kind or not known:
            kind = kind or os.path.splitext(name)[1].lower() or 'no suffix'
            others.setdefault(kind, []).append(name)
    return others


def in_words(others: dict[str, list[str]]) -> str:
    """What :func:`left_out` gave, as '2 x .heic (first 'a.heic'), 1 x pipe ('b.png')'."""
    return ', '.join(
        f"{len(names)} x {kind} ({'first ' * (len(names) > 1)}'{shown(names[0])}')"
        for kind, names in sorted(others.items())
    )


def _entries(root: str) -> Iterator[tuple[str, str]]:
    """Names below a folder or in a zip without hidden ones, and what each is; '' is a file."""
    if os.path.isdir(root):
        yield from _entries_below(root)
        return
    for name in members(root, os.getpid()):
        parts = name.split('/')
        # '' is what an absolute name begins with.
        if '' in parts or '..' in parts:
            yield name, 'name that leads out of the zip'
        elif not any(_is_hidden(part) for part in parts):
            yield name, ''


def _is_hidden(part: str) -> bool:
    return part.startswith(('.', '__MACOSX'))


def _entries_below(root: str) -> Iterator[tuple[str, str]]:
    """Each folder once, at its own place if that is below the root, however links lead."""
    folders, links, visited = [''], deque[str](), set()
    while folders or links:
        inner = folders.pop() if folders else links.popleft()
        real = os.path.realpath(os.path.join(root, inner))
        if real in visited:
            yield inner[:-1], 'link to a folder that is read already'
            continue
        visited.add(real)
        try:
            names = sorted(name for name in os.listdir(real) if not _is_hidden(name))
        except OSError:
            yield inner[:-1], 'folder that cannot be opened'
            continue
        for name in names:
            path = os.path.join(real, name)
            if os.path.isdir(path):
                (links if os.path.islink(path) else folders).append(f'{inner}{name}/')
            else:
                yield inner + name, _kind(path)


def _kind(path: str) -> str:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return ''  # what is missing behind a link is listed, and named when it is read
    kinds = {stat.S_IFREG: '', stat.S_IFIFO: 'pipe', stat.S_IFSOCK: 'socket'}
    return kinds.get(stat.S_IFMT(mode), 'device')


def natural(name: str) -> tuple:
    """Sorts names as people do, frame2 before frame10: by text and numbers in turn."""
    parts = re.split(r'(\d+)', name)
    # Odd parts are the numbers; the name itself decides between 1 and 01.
    return ([int(p) if i % 2 else p.casefold() for i, p in enumerate(parts)], name)


def picture_path(root: str, name: str) -> str:
    """The string that names picture ``name`` of a resolved root."""
    return os.path.join(root, name) if os.path.isdir(root) else f'{root}::{name}'


def open_file(path: str) -> tuple[IO[bytes], int]:
    """A file, or a zip's member, to read from and to close; and its size in bytes.

    Raises:
        OSError: And others of :data:`UNREADABLE`, if it is missing, damaged or no file.
    """
    path = at_home(path)
    if '::' in path:
        root, _, member = path.partition('::')
        info = members(root, os.getpid())[member]
        return archive(root, os.getpid()).open(info), info.file_size
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
