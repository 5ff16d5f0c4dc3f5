"""Conversion of the published code's checkpoints; its values are checked in models/test_parity."""

import golden
import pytest
import torch

from i2ilr_mm.inference.reference_checkpoint import convert, convert_file


@pytest.fixture(scope='module')
def converted() -> dict:
    return convert(golden.checkpoint())


def test_sizes_are_read_off_the_weights(converted):
    meta = converted['meta']
    assert (meta['img_size'], meta['lr_size']) == (64, 8)
    assert (meta['base_channels'], meta['max_channels']) == (64, 512)


def test_spectral_norm_vectors_come_along(converted):
    checkpoint, state = golden.checkpoint(), converted['state_dict']
    theirs = checkpoint['Gen']['block.1.conv2.conv.weight_u']
    assert torch.equal(state['generator.decoder.1.conv2.weight_u'], theirs)
    assert torch.equal(state['generator_ema.decoder.1.conv2.weight_u'], theirs)
    theirs = checkpoint['Dis']['last_block.2.conv.weight_v']
    assert torch.equal(state['discriminator.conv.weight_v'], theirs)


def test_wrapped_networks_convert_the_same(converted):
    checkpoint = golden.checkpoint()
    wrapped = {
        part: {f'module.{name}': value for name, value in state.items()}
        for part, state in checkpoint.items()
    }
    plain, other = converted['state_dict'], convert(wrapped)['state_dict']
    assert plain.keys() == other.keys()
    assert all(torch.equal(plain[name], other[name]) for name in plain)


def test_a_longer_discriminator_tail_keeps_its_order():
    """At LR 16 one more block follows the conditional one, and the tail's places move."""
    from i2ilr_mm.inference.reference_checkpoint import _discriminator_rules, _rename

    names = [
        'main.0.conv.bias',
        'main.1.conv1.conv.bias',
        'main.2.conv1x1.conv.weight_u',
        'last_block.0.conv1x1.conv.weight_orig',
        'last_block.1.conv2.conv.bias',
        'last_block.3.conv.bias',
        'last_block.5.conv.bias',
    ]
    state = dict.fromkeys(names, torch.zeros(1))
    assert list(_rename(state, _discriminator_rules(state))) == [
        'from_rgb.bias',
        'blocks.0.conv1.bias',
        'blocks.1.shortcut.weight_u',
        'conditional.shortcut.weight_orig',
        'tail.0.conv2.bias',
        'conv.bias',
        'to_logits.bias',
    ]


FIRST = 'main.0.conv.weight_orig'


def without(part: str, name: str | None = None) -> dict:
    checkpoint = golden.checkpoint()
    if name is None:
        del checkpoint[part]
    else:
        del checkpoint[part][name]
    return checkpoint


def changed(part: str, name: object, value: torch.Tensor) -> dict:
    checkpoint = golden.checkpoint()
    checkpoint[part][name] = value
    return checkpoint


@pytest.mark.parametrize(
    'make, message',
    [
        (lambda: without('AverageG'), "'AverageG' is not among.*Gen"),
        (lambda: torch.zeros(3), 'no dict'),
        (lambda: {**golden.checkpoint(), 'Gen': dict(x=1)}, "'Gen' holds entries"),
        (lambda: {**golden.checkpoint(), 'Dis': dict(x=torch.ones(1))}, 'main'),
        (lambda: without('Gen', 'from_rgb.0.conv.bias'), "'Gen' does not fit.*from_rgb.bias"),
        (lambda: without('Gen', 'from_rgb.0.conv.weight_orig'), 'lacks the layer'),
        (lambda: changed('Dis', FIRST, torch.zeros(0, 3, 3, 3)), 'impossible shapes'),
        (lambda: changed('Dis', FIRST, torch.tensor(1.0)), 'impossible shapes'),
        (lambda: changed('Gen', 3, torch.zeros(1)), "'Gen' holds entries that are no named"),
        (lambda: changed('Dis', 'main.3000000.bias', torch.zeros(1)), 'no layers named main.0'),
        (lambda: changed('Dis', 'last_block.3000000.bias', torch.zeros(1)), 'no layers named'),
        (lambda: changed('Gen', 'to_rgb.0.bias', torch.full((64,), torch.nan)), 'not finite'),
        (
            lambda: changed('AverageG', 'to_rgb.0.weight', torch.zeros(7)),
            r"'AverageG' does not fit.*to_rgb.norm.weight is \(7,\), expected \(64,\)",
        ),
    ],
)
def test_wrong_checkpoints_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        convert(make())


def test_an_existing_file_is_not_overwritten(tmp_path):
    (tmp_path / 'out.pth').write_text('mine')
    with pytest.raises(FileExistsError, match='out.pth'):
        convert_file('any.pt', str(tmp_path / 'out.pth'))
    assert (tmp_path / 'out.pth').read_text() == 'mine'
