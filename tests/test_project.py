"""What stands around the code agrees with it."""

import re
import sys

import yaml
from conftest import ROOT, call

import i2ilr_mm
from i2ilr_mm.inference.release import embedded_models, release_path

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


def test_the_metafile_and_the_table_of_models_have_every_config():
    folder = ROOT / 'configs'
    files = [*folder.glob('i2ilr_*.py'), *folder.glob('published/*.py')]
    names = {file.relative_to(folder).with_suffix('').as_posix() for file in files}
    imported = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    models = [m for f in imported for m in yaml.safe_load((ROOT / f).read_text())['Models']]
    assert {model['Name'] for model in models} == names and len(models) == len(names)
    assert all(model['Config'] == f'configs/{model["Name"]}.py' for model in models)
    table = (folder / 'README.md').read_text().partition('## Models')[2]
    assert set(re.findall(r'`((?:published/)?i2ilr_\w+)`', table)) == names
    weights = {model['Name']: model['Weights'] for model in models if 'Weights' in model}
    embedded = [f'embedded:{name}' for name in embedded_models()]
    assert sorted(weights.values()) == embedded and all(name in table for name in embedded)
    assert weights['i2ilr_heads64'] == 'embedded:heads64'
    assert all(map(release_path, embedded))


def test_a_source_distribution_has_all_that_tests_read(tmp_path):
    """As setuptools lists it; git knows what is there."""
    tracked = call('git', 'ls-files').stdout.split('\n')
    wanted = [name for name in tracked if name and not name.startswith(('.ci/', '.git'))]
    wanted += [name for name in tracked if name.startswith('.github/')]
    code = 'from setuptools import setup; setup(script_args=["-q", "egg_info", "-e", r"{}"])'
    call(sys.executable, '-c', code.format(tmp_path))
    (sources,) = tmp_path.glob('*/SOURCES.txt')
    assert set(wanted) <= set(sources.read_text().split('\n'))
