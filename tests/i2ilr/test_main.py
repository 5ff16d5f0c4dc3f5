import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest
from conftest import call

from i2ilr.main import COMMANDS, main, run


@pytest.mark.parametrize('command', COMMANDS)
def test_help_imports_nothing_heavy(command):
    """By what it imports: a clock would measure the other tests on this machine."""
    result = call(sys.executable, '-X', 'importtime', '-m', 'i2ilr', command, '--help')
    assert f'usage: i2ilr {command}' in result.stdout
    for heavy in ('torch', 'numpy', 'mmengine', 'i2ilr_mm'):
        assert f' {heavy}\n' not in result.stdout


@pytest.mark.parametrize('arguments', [['--help'], ['test', '--help'], ['--version']])
def test_python_m_i2ilr_mm_is_the_same_command(arguments):
    command = [sys.executable, '-X', 'importtime', '-m', 'i2ilr_mm', *arguments]
    result = call(*command)
    assert 'i2ilr' in result.stdout.splitlines()[-1] or 'usage: i2ilr' in result.stdout
    assert ' torch\n' not in result.stdout


def test_python_m_i2ilr_mm_registers_before_it_works(tmp_path):
    result = call(sys.executable, '-m', 'i2ilr_mm', 'train', 'nowhere', check=False, cwd=tmp_path)
    assert result.returncode == 1 and "no config file 'nowhere'" in result.stdout
    assert 'i2ilr_heads64' in result.stdout  # names those there are


def test_commands_that_read_scores_do_without_torch(tmp_path):
    code = (
        'import sys; from i2ilr.main import main\n'
        f'try: main(["compare", "{tmp_path}/a.json"])\n'
        'except SystemExit as error: assert "cannot be read" in str(error)\n'
        'assert not {"torch", "i2ilr_mm", "numpy"} & set(sys.modules)'
    )
    subprocess.run([sys.executable, '-c', code], check=True)


def test_an_unknown_command_names_the_known(capsys):
    with pytest.raises(SystemExit) as caught:
        main(['trian'])
    assert caught.value.code == 2
    assert "'train'" in capsys.readouterr().err


def test_what_the_user_can_mend_is_one_line(monkeypatch):
    monkeypatch.delenv('I2ILR_TRACEBACK', raising=False)
    with pytest.raises(SystemExit, match=r"^error: 'no\.json' cannot be read"):
        run('compare', ['no.json'])
    monkeypatch.setenv('I2ILR_TRACEBACK', '1')
    with pytest.raises(ValueError):
        run('compare', ['no.json'])


def test_threads_spin_briefly_unless_told_otherwise(monkeypatch):
    import os

    for policy, expected in ((None, '3000'), ('PASSIVE', None)):
        monkeypatch.delenv('GOMP_SPINCOUNT', raising=False)
        monkeypatch.delenv('OMP_WAIT_POLICY', raising=False)
        if policy:
            monkeypatch.setenv('OMP_WAIT_POLICY', policy)
        with pytest.raises(SystemExit):
            run('compare', ['no.json'])
        assert os.environ.get('GOMP_SPINCOUNT') == expected
    monkeypatch.delenv('GOMP_SPINCOUNT', raising=False)


@pytest.mark.parametrize('own, kept', [({}, True), ({'MALLOC_TRIM_THRESHOLD_': '1000000'}, False)])
@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='a setting of glibc')
def test_freed_memory_is_kept_unless_the_user_has_settings_of_their_own(own, kept):
    """By the pages that the system hands out for ten blocks of 64 MB, one after the other."""
    code = """if True:
        import ctypes, resource
        from i2ilr.main import keep_freed_memory
        libc, size = ctypes.CDLL(None), 2**26
        libc.malloc.restype = ctypes.c_void_p

        def pages():
            block = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(size)))
            libc.memset(block, 1, ctypes.c_size_t(size))
            libc.free(block)
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

        keep_freed_memory()
        first = pages()
        later = [pages() for _ in range(10)]
        print((later[-1] - first) * resource.getpagesize() / size)
    """
    cleared = float(call(sys.executable, '-c', code, **own).stdout)
    assert cleared < 0.1 if kept else cleared > 9


def test_home_is_found_in_every_argument(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setenv('HOME', str(tmp_path))
    command = SimpleNamespace(parse_args=lambda argv, _: seen.extend(argv), main=lambda _: None)
    monkeypatch.setattr('i2ilr.main.import_module', lambda _: command)
    run('compare', ['~/a.json', '--out=~/b', 'data_root=~/c', 'x~/y', '~', 'a=~', '~x/y'])
    assert seen == [
        *(f'{tmp_path}/a.json', f'--out={tmp_path}/b', f'data_root={tmp_path}/c'),
        *('x~/y', f'{tmp_path}', f'a={tmp_path}', '~x/y'),
    ]
