import os
from pathlib import Path

import pytest
import torch
from mmengine.fileio import get_file_backend

from i2ilr_mm.engine import checkpoint_files
from i2ilr_mm.engine.checkpoint_files import latest_checkpoint, remove_partials


def save(path) -> str:
    torch.save(dict(x=torch.ones(100)), path)
    return str(path)


def test_the_highest_whole_checkpoint_is_chosen(tmp_path):
    folder = str(tmp_path)
    assert latest_checkpoint(str(tmp_path / 'none')) is None and latest_checkpoint(folder) is None
    whole = save(tmp_path / 'iter_10.pth')
    older = save(tmp_path / 'iter_9.pth')  # written later, and sorted later as text
    half = Path(whole).read_bytes()[:-100]
    for name in ('iter_11.pth', 'iter_12.pth.7.partial', 'iter_13.pth.tmp'):
        (tmp_path / name).write_bytes(half)
    for name in ('best_lr_mae_iter_14.pth', 'xiter_15.pth', 'iter_16.pth.tmp', 'iter_17.pt'):
        save(tmp_path / name)
    for note in (older, '', str(tmp_path / 'iter_500.pth')):
        (tmp_path / 'last_checkpoint').write_text(note)
        assert latest_checkpoint(folder) == whole
    os.remove(tmp_path / 'last_checkpoint')
    assert latest_checkpoint(folder) == whole


@pytest.mark.parametrize('at', [0.05, 0.3, 0.5, 0.9])
def test_damage_anywhere_is_noticed_and_told(tmp_path, monkeypatch, at):
    said = []
    monkeypatch.setattr(checkpoint_files, 'print_log', lambda line, *_: said.append(line))
    whole = save(tmp_path / 'iter_10.pth')
    torch.save(dict(x=torch.ones(10_000)), tmp_path / 'iter_11.pth')
    content = bytearray((tmp_path / 'iter_11.pth').read_bytes())
    middle = int(len(content) * at)
    content[middle : middle + 8] = bytes(b ^ 0xFF for b in content[middle : middle + 8])
    (tmp_path / 'iter_11.pth').write_bytes(content)
    assert latest_checkpoint(str(tmp_path)) == whole
    assert said == [f"'{tmp_path}/iter_11.pth' is damaged, and passed over"]


def test_checkpoints_under_other_names_are_found_by_the_note(tmp_path):
    path = save(tmp_path / 'step10.pth')
    (tmp_path / 'last_checkpoint').write_text(path)
    assert latest_checkpoint(str(tmp_path)) == path
    os.remove(path)
    assert latest_checkpoint(str(tmp_path)) is None


def test_only_our_own_leftovers_are_deleted(tmp_path):
    ours = ['iter_9.pth.123.partial', 'best_x_iter_9.pth.4.partial', 'last_checkpoint.5.partial']
    others = ['iter_9.pth', 'a.partial', 'iter_9.pth.partial', 'x.json.12.partial', 'iter_9.pth.12']
    for name in (*ours, *others):
        (tmp_path / name).write_text('')
    remove_partials(str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)
    remove_partials(str(tmp_path / 'none'))


def test_writes_are_whole_or_nothing(tmp_path, monkeypatch):
    backend = get_file_backend(str(tmp_path), backend_args=dict(backend='whole_files'))
    path, text = tmp_path / 'a.pth', tmp_path / 'last_checkpoint'
    backend.put(b'one', path)
    backend.put_text('one', text)

    def fail(source, target):
        assert Path(source).read_bytes() == b'two'
        raise OSError

    monkeypatch.setattr(os, 'replace', fail)
    for write, name, content in ((backend.put, path, b'two'), (backend.put_text, text, 'two')):
        with pytest.raises(OSError):
            write(content, name)
    assert path.read_bytes() == b'one' and text.read_text() == 'one'
