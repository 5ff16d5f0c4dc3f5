import importlib.metadata
import re
import sys
import sysconfig

import numpy as np
import pytest
from conftest import call
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from i2ilr_mm import compat


def test_mmagic_imports_with_what_is_installed():
    import mmagic.models  # noqa: F401

    assert np.bool8 is np.bool_


def test_missing_ops_can_be_named_but_not_called():
    module = compat._MissingOps('mmcv._ext')
    with pytest.raises(RuntimeError, match='roi_align.*mmcv==2.1.0'):
        module.roi_align()
    assert not hasattr(module, '__path__')


def test_a_real_mmcv_ext_is_left_alone(monkeypatch):
    real = object()
    monkeypatch.setitem(sys.modules, 'mmcv._ext', real)
    compat.replace_missing_mmcv_ops()
    assert sys.modules['mmcv._ext'] is real


@pytest.mark.parametrize(
    'row, message',
    [
        ((('no-such-dist',), '>=1', 'no-such-dist==1.2'), 'no-such-dist is missing: pip install'),
        ((('torch',), '<1.0', 'torch==0.9'), r'torch \S+ is installed but.*torch<1.0: pip.*==0.9'),
        ((('x', 'torch'), '<1', 'x==0.9'), r'needs x<1: pip uninstall -y torch && pip install x'),
    ],
)
def test_preflight_names_the_pin(row, message):
    with pytest.raises(ImportError, match=message):
        compat.check_environment([row])


def test_preflight_lists_every_problem_and_takes_alternatives():
    rows = [(('nope-a',), '>=1', 'a==1'), (('nope-b', 'numpy'), '>=1', 'b==1')]
    with pytest.raises(ImportError) as caught:
        compat.check_environment(rows)
    assert 'nope-a' in str(caught.value) and 'nope-b' not in str(caught.value)


def test_pins_are_those_of_the_constraints_file(root):
    text = (root / 'requirements/constraints.txt').read_text().lower()
    lines = [Requirement(line) for line in text.splitlines() if not line.startswith('#')]
    for version in ('3.10', '3.12'):
        pins = {
            canonicalize_name(line.name): str(line.specifier)
            for line in lines
            if line.marker is None or line.marker.evaluate(dict(python_version=version))
        }
        for names, _, pin in compat.REQUIREMENTS:
            name, number = pin.removeprefix('--no-deps ').split('==')
            if version == '3.10':
                number = compat.OLD_PINS.get(names[0], number)
            assert pins[canonicalize_name(name)] == f'=={number}'


def test_pins_are_what_is_accepted():
    for _, accepted, pin in compat.REQUIREMENTS:
        assert compat._accepts(accepted, re.split('==', pin)[1]), pin


def test_mmcv_twice_is_reported(monkeypatch):
    installed = compat._installed
    monkeypatch.setattr(
        compat,
        '_installed',
        lambda names: ('mmcv', '2.1.0') if 'mmcv' in names else installed(names),
    )
    with pytest.raises(ImportError, match=r'both installed.*pip uninstall -y mmcv-lite mmcv'):
        compat.check_environment()


def test_versions_come_from_metadata():
    assert compat._installed(('torch',)) == ('torch', importlib.metadata.version('torch'))


def test_modules_of_other_models_are_named_with_what_they_need(monkeypatch):
    there = dict(diffusers='0.28.2', transformers='5.1', lpips='0.1.4')
    monkeypatch.setattr(
        compat,
        '_installed',
        lambda names: (
            (names[0], there[names[0]])
            if names[0] in there
            else ('packaging', '26')
            if names[0] == 'packaging'
            else None
        ),
    )
    missing = compat.missing_for_other_models()
    assert 'lpips' not in missing
    assert 'huggingface-hub' in missing['diffusers']  # diffusers 0.28 does not import without
    assert '5.1 is installed' in missing['transformers']
    assert "pip install 'pandas>=1.5'" in missing['pandas']


def test_models_of_mmagic_that_need_no_other_package_are_there():
    from mmagic.registry import MODELS

    for name in ('CycleGAN', 'Pix2Pix', 'DCGAN', 'SRCNNNet', 'Restormer', 'SAGAN', 'LIIF', 'DIM'):
        assert MODELS.get(name) is not None, name


def test_find_loader_finds_placeholders_like_modules(monkeypatch):
    import pkgutil

    from mmengine.utils.dl_utils.misc import mmcv_full_available

    monkeypatch.delattr(pkgutil, 'find_loader', raising=False)
    compat.restore_find_loader()
    assert pkgutil.find_loader('json') is not None and pkgutil.find_loader('nosuch') is None
    if isinstance(sys.modules.get('mmcv._ext'), compat._MissingOps):
        assert not mmcv_full_available()


def test_distutils_is_there_where_python_and_setuptools_lack_it(monkeypatch):
    """MMEngine looks for a C compiler at the start of every run, also where there is none."""
    from mmengine.utils.dl_utils import collect_env

    for name in [n for n in sys.modules if n.partition('.')[0] == 'distutils']:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(compat.importlib.util, 'find_spec', lambda name: None)
    try:
        compat.restore_distutils()
        compat.restore_distutils()
        monkeypatch.setattr(sysconfig, 'get_config_var', lambda name: 'no-such-compiler')
        assert collect_env()['GCC'] == 'n/a'
    finally:
        for name in ('distutils', 'distutils.errors'):
            sys.modules.pop(name, None)


def test_the_process_ends_with_nothing_kept_from_the_collector():
    """Or nanobind's modules, triton's among them, print a page of leaks."""
    code = (
        'import atexit, gc; atexit.register(lambda: print("left:", gc.get_freeze_count())); '
        'import i2ilr_mm; print("during:", gc.get_freeze_count() > 0, gc.isenabled())'
    )
    result = call(sys.executable, '-c', code)
    assert 'during: True True' in result.stdout and 'left: 0' in result.stdout


def test_what_nothing_here_uses_is_not_imported_until_mmagic_does():
    code = (
        'import i2ilr_mm, sys, torch; from mmagic.utils import tensor2img; '
        'heavy = "torch._dynamo torchvision pandas lpips huggingface_hub matplotlib"; '
        'print("imported:", sys.modules.keys() & set(heavy.split())); '
        'print("grid:", tensor2img(torch.rand(4, 3, 8, 8)).shape)'
    )
    result = call(sys.executable, '-c', code)
    assert 'imported: set()' in result.stdout and 'grid: (22, 22, 3)' in result.stdout
