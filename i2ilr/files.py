"""Writing files whole: a reader never sees half of one."""

import glob
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


def at_home(path: str | os.PathLike) -> str:
    """A path as text; ~ and ~/ are the home folder, wherever a user can give a path.

    ~name is a name like others.
    """
    text = os.fspath(path)
    return os.path.expanduser(text) if text[:2] in ('~', '~/', f'~{os.sep}') else text


def shown(text: str) -> str:
    """A file name, or a text with some, on one line that can be written anywhere."""
    text = text.encode('utf-8', 'backslashreplace').decode()
    return re.sub(r'[\0-\x1f\x7f]', lambda match: repr(match[0])[1:-1], text)


def in_one_line(text: str) -> str:
    """A message without the line breaks of names and values in it."""
    return ' '.join(text.split())


@contextmanager
def replacing(path: str) -> Iterator[str]:
    """Give a name to write to; the file takes ``path`` once the block ends without an error.

    Missing folders are made. After an error ``path`` is as it was; after a kill, too, and the
    unfinished file stays beside it as ``path.<process id>.partial`` until the next one is written.
    """
    path = at_home(path)
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    _remove_stale(path)
    partial = f'{path}.{os.getpid()}.partial'
    try:
        yield partial
        with open(partial, 'rb') as file:
            os.fsync(file.fileno())  # else a power cut could leave the new name on no content
        os.replace(partial, path)
    finally:
        if os.path.exists(partial):
            os.remove(partial)


STALE = 60.0
"""Seconds after which the unfinished file of a process that is gone is removed."""


def _remove_stale(path: str) -> None:
    for partial in glob.glob(f'{glob.escape(path)}.*.partial'):
        process = partial.removesuffix('.partial').rpartition('.')[2]
        if process.isdigit() and not os.path.exists(f'/proc/{process}') and os.path.isdir('/proc'):
            with suppress(OSError):
                # It may be another machine's, on a shared disk, that is being written now.
                if time.time() - os.path.getmtime(partial) > STALE:
                    os.remove(partial)


def write_json(path: str, content: Any) -> None:
    """Write plain data as JSON."""
    with replacing(path) as partial, open(partial, 'w', encoding='utf-8') as file:
        json.dump(content, file, indent=1)
