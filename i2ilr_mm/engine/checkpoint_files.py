"""Checkpoint files: written whole, found again after a kill."""

import os
import re
from logging import WARNING
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import print_log

from i2ilr.files import replacing

from ..loading import is_whole

PARTIAL = re.compile(r'(.+\.pth|last_checkpoint)\.\d+\.partial')
"""Names that a killed run leaves behind in its work dir."""


@register_backend('whole_files')
class WholeFileBackend(LocalBackend):
    """Local files that appear whole or not at all, and that MMEngine does not delete.

    MMEngine's checkpoint hook deletes an old checkpoint before it writes the new one, and a kill in
    between costs both; PlainCheckpointHook deletes afterwards.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes."""
        with replacing(str(filepath)) as partial:
            super().put(obj, partial)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text."""
        with replacing(str(filepath)) as partial:
            super().put_text(obj, partial, encoding)

    def remove(self, filepath: str | Path) -> None:
        """Leave the file where it is."""


def latest_checkpoint(work_dir: str) -> str | None:
    """The complete ``iter_N.pth`` of the highest N in a work dir, or None.

    ``last_checkpoint`` is behind when a run was killed before it wrote it, and is asked only where
    there is no such file: a config may give checkpoints other names or another folder.
    """
    numbers = {}
    if os.path.isdir(work_dir):
        for name in os.listdir(work_dir):
            if match := re.fullmatch(r'iter_(\d+)\.pth', name):
                numbers[os.path.join(work_dir, name)] = int(match[1])
    candidates = sorted(numbers, key=numbers.__getitem__, reverse=True)
    note = os.path.join(work_dir, 'last_checkpoint')
    if os.path.isfile(note):
        candidates.append(Path(note).read_text(encoding='utf-8').strip())
    for path in candidates:
        if is_whole(path):
            return path
        if os.path.exists(path):
            print_log(f"'{path}' is damaged, and passed over", 'current', WARNING)
    return None


def remove_partials(folder: str) -> None:
    """Delete what writes of a killed run left in a folder, and nothing else."""
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        if PARTIAL.fullmatch(name):
            os.remove(os.path.join(folder, name))
