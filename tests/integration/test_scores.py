"""Scores of one, two and three processes."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, free_port

WORKER = Path(__file__).parent / 'score_worker.py'


@pytest.fixture(scope='module')
def data(tmp_path_factory) -> Path:
    """Seven heads, which two and three ranks cannot share evenly, with their truth."""
    folder = tmp_path_factory.mktemp('seven')
    with zipfile.ZipFile(ROOT / 'i2ilr_mm/assets/heads64.zip') as archive:
        for kind, count in (('female', 4), ('male', 3)):
            names = sorted(n for n in archive.namelist() if n.startswith(f'test/{kind}/'))
            for name in names[:count]:
                archive.extract(name, folder)
        archive.extract('attributes.json', folder)
    return folder


@pytest.fixture(scope='module')
def reports(data, tmp_path_factory) -> dict[int, dict]:
    folder = tmp_path_factory.mktemp('scores')
    path = os.pathsep.join([str(ROOT), str(ROOT / 'tests'), str(ROOT / 'tools')])
    found = {}
    for count in (1, 2, 3):
        torchrun = ['-m', 'torch.distributed.run', '--nproc-per-node', str(count)]
        launcher = [*torchrun, '--master-port', free_port()] if count > 1 else []
        out = folder / f'{count}.json'
        done = subprocess.run(
            [str(part) for part in (sys.executable, *launcher, WORKER, out, data)],
            cwd=ROOT,
            env={**os.environ, 'PYTHONPATH': path, 'HOME': str(folder)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        found[count] = json.loads(out.read_text())
    return found


@pytest.mark.slow
@pytest.mark.parametrize('count', [2, 3])
def test_scores_do_not_depend_on_the_number_of_processes(reports, count):
    """All numbers and all they carry; networks see other batches, and round otherwise."""
    single, several = reports[1], reports[count]
    for expected in ('lr_mae', 'fd_colour', 'kd_lite0', 'lpips_diversity', 'transfer_skin'):
        assert single[expected]['value'] is not None, single[expected]
    assert single.keys() == several.keys()
    assert single['lr_mae']['n'] == 4 * 2 + 3 * 2
    for name, score in single.items():
        for key, value in score.items():
            exact = not isinstance(value, float) or 'lite0' not in name
            tolerance = dict(rel=1e-12) if exact else dict(rel=1e-4, abs=1e-6)
            assert several[name][key] == (
                pytest.approx(value, **tolerance) if isinstance(value, float) else value
            ), (name, key)
