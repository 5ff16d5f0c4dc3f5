import json

import pytest

from i2ilr_mm.files import replacing, write_json


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
