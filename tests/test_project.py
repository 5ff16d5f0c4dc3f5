"""What stands around the code agrees with it."""

import re

import yaml
from conftest import ROOT

import i2ilr_mm

PYTHONS = [f'3.{minor}' for minor in range(10, 15)]


def test_the_version_is_one():
    cited = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert cited['version'] == i2ilr_mm.__version__
    assert f'## {i2ilr_mm.__version__}' in (ROOT / 'CHANGELOG.md').read_text()


def test_the_citation_has_what_the_format_requires():
    cited = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert {'cff-version', 'message', 'title', 'authors'} <= cited.keys()
    (paper,) = cited['references']
    bibtex = re.search(r'```bibtex\n(.*?)```', (ROOT / 'README.md').read_text(), re.S)[1]
    assert paper['title'] in bibtex and str(paper['year']) in bibtex
    for author in paper['authors']:
        assert author['given-names'].split()[0].split('-')[0] in bibtex


def test_workflows_call_the_commands_of_the_readme():
    jobs = yaml.safe_load((ROOT / '.github/workflows/tests.yml').read_text())['jobs']
    steps = [step.get('run', '') for job in jobs.values() for step in job['steps']]
    for command in ('bash tools/run_tests.sh', 'bash tools/quickstart.sh'):
        assert command in steps and command in (ROOT / 'README.md').read_text()
    for script in (s.split()[1] for s in steps if s.startswith('bash ')):
        assert (ROOT / script).is_file()
    matrices = [job['strategy']['matrix']['python'] for job in jobs.values() if 'strategy' in job]
    assert {python for matrix in matrices for python in matrix} <= set(PYTHONS)
