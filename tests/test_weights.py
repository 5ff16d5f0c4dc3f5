import hashlib

import pytest

from i2ilr_mm.weights import WeightFile, sha256

CONTENT = b'weights'
HASH = hashlib.sha256(CONTENT).hexdigest()


def test_finds_the_right_file(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    file = WeightFile('weights of x', 'https://example.org/a/x.pth', HASH[:8])
    (tmp_path / 'mine.pth').write_bytes(CONTENT)
    assert file.find(str(tmp_path / 'mine.pth')) == str(tmp_path / 'mine.pth')
    assert file.find('~/mine.pth') == str(tmp_path / 'mine.pth')
    (tmp_path / '.cache/i2ilr_mm').mkdir(parents=True)
    (tmp_path / '.cache/i2ilr_mm/x.pth').write_bytes(CONTENT)
    assert sha256(file.find()) == HASH


def test_what_torch_has_fetched_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    file = WeightFile('weights of x', 'https://example.org/a/x.pth', HASH[:8])
    fetched = tmp_path / 'torch/hub/checkpoints/x.pth'
    fetched.parent.mkdir(parents=True)
    fetched.write_bytes(CONTENT)
    assert file.find() == str(fetched)
    fetched.write_bytes(b'other')
    with pytest.raises(ValueError, match='is another file'):
        file.find()


def test_one_message_says_what_to_put_where(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    file = WeightFile('weights of x', 'https://example.org/a/x.pth', '0cc3c7bd')
    with pytest.raises(FileNotFoundError) as caught:
        file.find()
    for part in ('weights of x', file.url, '0cc3c7bd', f'{tmp_path}/.cache/i2ilr_mm/x.pth'):
        assert part in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r"'mine.bin' is not there"):
        file.find('mine.bin')


def test_another_file_is_refused(tmp_path):
    (tmp_path / 'x.pth').write_bytes(b'other')
    with pytest.raises(ValueError, match=f"x.pth' is another file.*{HASH}"):
        WeightFile('x', 'https://example.org/x.pth', HASH).find(str(tmp_path / 'x.pth'))
