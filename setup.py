"""What pyproject.toml cannot say: configs, tools and OpenMMLab's packages go into the wheel."""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
FOR_MIM = ('configs', 'tools', 'model-index.yml')
"""What OpenMMLab's packages have in their folder .mim, where `mim` and our commands look."""

NOT_FOR_MIM = ('__pycache__', '_env.sh', 'quickstart.sh', 'run_tests.sh')
"""These make an environment beside a checkout."""

OPENMMLAB = """
mmengine==0.10.7 --hash=sha256:262ac976a925562f78cd5fd14dd1bc9b680ed0aa81f0d85b723ef782f99c54ee
mmcv-lite==2.1.0 --hash=sha256:1d9913c35f793de4a3a022b93cecb712e1e7262eb4704eb8cd15e623dd375000
mmagic==1.2.0 --hash=sha256:efa91041097c40e452dd2037b596a5633a6a512447c28a71c970c24aca04039c
"""
LEFT_OUT = ('mmagic/.mim/', 'mmagic/models/editors/stylegan2/ada/')
"""Not needed here; the second is under a licence of NVIDIA that lets nobody pass it on."""


class BuildWithExtras(build_py):
    def run(self) -> None:
        super().run()
        package = (HERE if self.editable_mode else Path(self.build_lib)) / 'i2ilr_mm'
        add_openmmlab(package / '_openmmlab')
        add_mim(package / '.mim', link=self.editable_mode)


def add_mim(folder: Path, link: bool) -> None:
    """Configs and tools, copied, or linked where the package is used from its checkout."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in FOR_MIM:
        source = HERE / name
        if link and os.name != 'nt':
            (folder / name).symlink_to(os.path.relpath(source, folder))
        elif source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns(*NOT_FOR_MIM))
        else:
            shutil.copy(source, folder / name)


def add_openmmlab(folder: Path) -> None:
    """Fetch the wheels that OPENMMLAB names, from the index that pip uses, and unpack them."""
    stamp = folder / 'unpacked.txt'
    if stamp.exists() and stamp.read_text() == OPENMMLAB:
        return
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as wheels:
        wanted = Path(wheels) / 'wanted.txt'
        wanted.write_text(OPENMMLAB)
        download = [sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps']
        subprocess.run(
            [*download, '--require-hashes', '--only-binary=:all:', '-d', wheels, '-r', wanted],
            check=True,
        )
        for wheel in sorted(Path(wheels).glob('*.whl')):
            with zipfile.ZipFile(wheel) as archive:
                kept = [n for n in archive.namelist() if not n.startswith(LEFT_OUT)]
                archive.extractall(folder, kept)
    stamp.write_text(OPENMMLAB)


setup(cmdclass=dict(build_py=BuildWithExtras))
