"""Writing files whole: a reader never sees half of one."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def replacing(path: str) -> Iterator[str]:
    """Give a name to write to; the file takes ``path`` once the block ends without an error.

    Missing folders are made. After an error ``path`` is as it was; after a kill, too, and the
    unfinished file stays beside it as ``path.<process id>.partial``.
    """
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    partial = f'{path}.{os.getpid()}.partial'
    try:
        yield partial
        with open(partial, 'rb') as file:
            os.fsync(file.fileno())  # else a power cut could leave the new name on no content
        os.replace(partial, path)
    finally:
        if os.path.exists(partial):
            os.remove(partial)


def write_json(path: str, content: Any) -> None:
    """Write plain data as JSON."""
    with replacing(path) as partial, open(partial, 'w', encoding='utf-8') as file:
        json.dump(content, file, indent=1)
