import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from i2ilr.files import at_home, replacing, shown, write_json


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / 'deep/a.json'
    write_json(str(path), dict(x=1))
    with pytest.raises(TypeError):
        write_json(str(path), dict(x=object()))
    with pytest.raises(RuntimeError), replacing(str(path)) as partial:
        open(partial, 'w').close()
        raise RuntimeError
    assert json.loads(path.read_text()) == dict(x=1)
    assert list(path.parent.iterdir()) == [path]


def test_the_content_reaches_the_disk_before_the_name(tmp_path, monkeypatch):
    calls = []
    for name in ('fsync', 'replace'):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, n=name, f=real: (calls.append(n), f(*a)))
    write_json(str(tmp_path / 'a.json'), {})
    assert calls == ['fsync', 'replace']


def test_what_killed_processes_left_is_removed(tmp_path):
    gone = subprocess.Popen([sys.executable, '-c', ''])
    gone.wait()
    old = tmp_path / f'a.json.{gone.pid}.partial'
    new = tmp_path / f'a.json.{gone.pid}0.partial'
    alive = tmp_path / f'a.json.{os.getpid()}.partial'
    other = tmp_path / f'b.json.{gone.pid}.partial'
    for path in (old, new, alive, other):
        path.write_text('half')
        os.utime(path, (1e9, 1e9) if path is not new else None)
    write_json(str(tmp_path / 'a.json'), {})
    # its own name of this process is the one that it wrote and moved away
    assert {p.name for p in tmp_path.iterdir()} == {'a.json', new.name, other.name}


def test_home_and_names_like_it(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    assert at_home('~') == str(tmp_path) and at_home(Path('~/a')) == str(tmp_path / 'a')
    for name in ('~root', '~a.png', 'a/~/b', '', 'a~'):
        assert at_home(name) == name
    write_json('~/deep/a.json', {})
    assert (tmp_path / 'deep/a.json').is_file()


def test_names_are_shown_on_one_line():
    assert shown('a\nb\x1b[1m\udcff') == r'a\nb\x1b[1m\udcff'
    assert shown('写真 é.png') == '写真 é.png'
