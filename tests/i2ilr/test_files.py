import json
import os

import pytest

from i2ilr.files import replacing, write_json


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
