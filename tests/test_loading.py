import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader

from i2ilr_mm.loading import load_weights_only, strict_loading


class Unsafe:
    def __reduce__(self):
        return (print, ('code from a checkpoint ran',))


def test_checkpoints_never_run_code(tmp_path):
    torch.save(dict(state_dict=Unsafe()), tmp_path / 'hostile.pth')
    with pytest.raises(ValueError, match='hostile.pth.*holds code.*print'):
        load_weights_only(str(tmp_path / 'hostile.pth'))
    with pytest.raises(FileNotFoundError, match='none.pth'):
        load_weights_only(str(tmp_path / 'none.pth'))
    (tmp_path / 'damaged.pth').write_bytes(b'PK not a checkpoint')
    with pytest.raises(ValueError, match='damaged.pth'):
        load_weights_only(str(tmp_path / 'damaged.pth'))


def test_a_changed_number_is_noticed(tmp_path):
    """torch.load alone reads it without a word."""
    path = tmp_path / 'a.pth'
    torch.save(dict(x=torch.ones(1000)), path)
    content = path.read_bytes()
    one = torch.ones(100).numpy().tobytes()
    path.write_bytes(content.replace(one, one[:-1] + b'\x40', 1))
    assert not torch.load(path)['x'].eq(1).all()
    with pytest.raises(ValueError, match=r"a\.pth' is damaged"):
        load_weights_only(str(path))


def test_mmengine_reads_checkpoints_the_same_way_inside(tmp_path):
    torch.save(dict(state_dict=Unsafe()), tmp_path / 'hostile.pth')
    with strict_loading(), pytest.raises(ValueError, match='never loaded'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'hostile.pth'))


@pytest.mark.parametrize('path', ['https://host/a.pth', 'openmmlab://a', 's3://a'])
def test_remote_checkpoints_are_refused_inside(path):
    with strict_loading(), pytest.raises(ValueError, match=r'fetch checkpoints yourself'):
        CheckpointLoader.load_checkpoint(path)


def test_mmengine_keeps_its_ways_outside(monkeypatch):
    """After an error inside, too; importing this package changes nothing."""
    before = dict(CheckpointLoader._schemes)
    assert all(f.__module__.startswith('mmengine') for f in before.values())
    with pytest.raises(RuntimeError), strict_loading():
        assert CheckpointLoader._schemes != before
        raise RuntimeError
    assert list(CheckpointLoader._schemes.items()) == list(before.items())
