"""Scores of one, two and three processes."""

import json
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, fork

WORKER = Path(__file__).parent / 'score_worker.py'


def heads_of(folder: Path, female: int, male: int) -> Path:
    """So many of the embedded heads, with their truth."""
    with zipfile.ZipFile(ROOT / 'i2ilr_mm/assets/heads64.zip') as archive:
        for kind, count in (('female', female), ('male', male)):
            names = sorted(n for n in archive.namelist() if n.startswith(f'test/{kind}/'))
            for name in names[:count]:
                archive.extract(name, folder)
        archive.extract('attributes.json', folder)
    return folder


@pytest.fixture(scope='module')
def reports(tmp_path_factory) -> dict[int, tuple[dict, dict]]:
    """By number of processes, scores of seven heads, and of two, where a third rank has none."""
    folder = tmp_path_factory.mktemp('scores')
    many, few = heads_of(folder / 'many', 4, 3), heads_of(folder / 'few', 1, 1)
    found = {}
    for count in (2, 1, 3):
        out = folder / f'{count}.json'
        done = fork([WORKER, out, many, few], ROOT, ranks=count, HOME=str(folder))
        assert done.returncode == 0, done.stdout[-4000:]
        found[count] = json.loads(out.read_text())
        assert len(list((folder / 'cache').iterdir())) == 1  # made by two ranks, read by others
    return found


@pytest.mark.slow
@pytest.mark.parametrize('count', [2, 3])
def test_scores_do_not_depend_on_the_number_of_processes(reports, count):
    """All numbers and all they carry; networks see batches of other sizes, and round otherwise."""
    for single, several in zip(reports[1], reports[count]):
        compare(single, several)
    single = reports[1][0]
    for expected in ('lr_mae', 'fd_colour', 'kd_lite0', 'lpips_diversity', 'transfer_skin'):
        assert single[expected]['value'] is not None, single[expected]
    assert single['lr_mae']['n'] == 4 * 2 + 3 * 2


def compare(single: dict, several: dict) -> None:
    assert single.keys() == several.keys()
    for name, score in single.items():
        assert several[name] == {
            key: pytest.approx(value, rel=1e-4, abs=1e-6) if isinstance(value, float) else value
            for key, value in score.items()
        }, name
