import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader

from i2ilr_mm.loading import check_state, load_weights_only, state_of, strict_loading


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


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda s: s.pop('0.bias'), 'entries missing: 1; the model has 4; first 0.bias is missing'),
        (
            lambda s: s.update(x=torch.ones(2)),
            r'entries unknown: 1; .*; first x is \(2,\), expected nothing',
        ),
        (
            lambda s: s.update({'0.bias': torch.ones(9), '1.bias': torch.ones(9)}),
            r'entries of another shape: 2; .* first 0.bias is \(9,\), expected \(3,\)',
        ),
        (
            lambda s: s.update({'2.bias': s.pop('0.bias'), '1.bias': torch.ones(9)}),
            'entries missing: 1, of another shape: 1, unknown: 1; the model has 4',
        ),
        (
            lambda s: [s.update({f'x{name}': s.pop(name)}) for name in list(s)],
            'none of its 4 entries is one of the 4 of the model',
        ),
    ],
)
def test_what_differs_is_counted_by_its_kind(change, message):
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    state = dict(model.state_dict())
    check_state(model, state, 'a.pth')
    change(state)
    with pytest.raises(ValueError, match=f"'a.pth' does not fit the model.*: {message}"):
        check_state(model, state, 'a.pth')


def test_names_come_without_wrappers():
    names = ('a.bias', 'module.a.bias', 'a.module.bias', 'module.a.module.bias')
    for name in names:
        assert state_of(dict(state_dict={name: 1}), 'a.pth') == {'a.bias': 1}
    assert state_of(dict(state_dict={'submodule.x': 1}), 'a.pth') == {'submodule.x': 1}


@pytest.mark.parametrize('checkpoint', [dict(a=1), [1], dict(state_dict=3)])
def test_other_files_are_no_checkpoints_of_ours(checkpoint):
    with pytest.raises(ValueError, match=r"'a.pth' holds no 'state_dict'"):
        state_of(checkpoint, 'a.pth')
