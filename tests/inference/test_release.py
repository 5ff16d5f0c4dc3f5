import hashlib
import json
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from safetensors import safe_open
from safetensors.torch import save_file

from i2ilr_mm.inference import Translator, init_model
from i2ilr_mm.inference.places import pictures_in
from i2ilr_mm.inference.release import publish, read_release


@pytest.fixture
def config(root):
    return root / 'configs/i2ilr_heads64.py'


@pytest.fixture
def model(config, tiny_options):
    model = init_model(config, cfg_options=tiny_options)
    with torch.no_grad():  # the average differs from the live network
        for p in model.generator.parameters():
            p.add_(0.1)
    return model


def test_non_commercial_terms_are_said_at_first_use(model, tmp_path, monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr('i2ilr_mm.inference.release.print_log', lambda text, *_: lines.append(text))
    for name, licence in (('a', 'CC-BY-NC-4.0'), ('b', 'CC0-1.0'), ('c', None)):
        path = str(tmp_path / f'{name}.safetensors')
        publish(model, path, dict(licence=licence, data='cats,\nand more cats'))
        Translator(path, device='cpu')
        Translator(path, device='cpu')
    (line,) = lines
    assert "'a.safetensors'" in line and 'non-commercial' in line and 'CC-BY-NC-4.0' in line
    assert 'and more cats' in line and '\n' not in line


def test_a_published_generator_is_the_ema_with_its_norms_folded_in(
    model, config, tiny_options, tmp_path
):
    path = tmp_path / 'a.safetensors'
    publish(model, str(path), dict(steps=7))
    state, facts = read_release(str(path))
    assert facts['network'] == dict(
        img_size=32,
        lr_size=8,
        base_channels=tiny_options['model.generator.base_channels'],
        max_channels=tiny_options['model.generator.max_channels'],
        exact_lr='bilinear',
        lr_method='box',
        style=True,
        lr_sizes=None,
        partial=False,
    )
    assert (facts['steps'], facts['lr_method'], facts['fit']) == (7, 'box', 'stretch')
    assert facts['recipe']['model']['source_loss']['type'] == 'ContrastiveSourceLoss'
    assert facts['recipe']['batch_size'] == 4 and facts['config'] == 'i2ilr_heads64.py'
    assert str(config.parent) not in str(facts)  # no folder of whoever wrote it
    assert not any('weight_orig' in name or 'weight_u' in name for name in state)
    weights = sum(p.numel() for p in model.generator_ema.parameters())
    assert sum(value.numel() for value in state.values()) == weights
    loaded = init_model(config, path, cfg_options=tiny_options)
    assert loaded.projected_discriminator is None and loaded.source_loss is None
    source, lr = torch.randn(2, 3, 32, 32), torch.randn(2, 3, 8, 8)
    assert torch.allclose(model.predict(source, lr), loaded.predict(source, lr), atol=1e-6)
    assert not torch.allclose(model.predict(source, lr, 'generator'), loaded.predict(source, lr))
    with pytest.raises(FileExistsError, match=r'a\.safetensors.*exists'):
        publish(model, str(path), {})
    with pytest.raises(ValueError, match=r'must end in \.safetensors'):
        publish(model, str(tmp_path / 'a.pth'), {})


@pytest.mark.parametrize('name', ['heads64', 'cats128'])
def test_the_model_table_names_the_hash_of_the_file(name):
    weights = (ROOT / f'i2ilr_mm/assets/{name}_generator.safetensors').read_bytes()
    table = (ROOT / 'configs/README.md').read_text().splitlines()
    (row,) = (line for line in table if f'`embedded:{name}`' in line)
    assert f'`{hashlib.sha256(weights).hexdigest()[:16]}`' in row


def test_what_does_not_fit_is_refused(model, config, tiny_options, tmp_path):
    publish(model, str(tmp_path / 'a.safetensors'), {})
    for options, message in (
        (dict(tiny_options, img_size=64), 'trained with img_size=32, and this config has 64'),
        ({**tiny_options, 'model.generator.exact_lr': None}, 'exact_lr=bilinear, and .* None'),
        (dict(tiny_options, lr_method='bicubic'), 'lr_method=box, and this config has bicubic'),
        ({**tiny_options, 'model.generator.max_channels': 16}, 'does not fit'),
    ):
        with pytest.raises(ValueError, match=message):
            init_model(config, tmp_path / 'a.safetensors', cfg_options=options)
    (tmp_path / 'b.safetensors').write_bytes(b'no safetensors at all')
    with pytest.raises(ValueError, match='is damaged, or no .safetensors file'):
        init_model(config, tmp_path / 'b.safetensors')
    save_file({'x': torch.zeros(1)}, tmp_path / 'c.safetensors')
    with pytest.raises(ValueError, match='holds no generator of this project'):
        init_model(config, tmp_path / 'c.safetensors')
    with pytest.raises(FileNotFoundError, match='check the path'):
        init_model(config, tmp_path / 'none.safetensors')
    there_is = "there is 'embedded:cats128' and 'embedded:heads64'"
    with pytest.raises(FileNotFoundError, match=there_is):
        init_model(config, 'embedded:cats')


@pytest.mark.parametrize('content', [b'hello', b'PK\3\4' + bytes(3000)])
def test_a_checkpoint_in_the_place_of_a_published_model_is_told_what_to_do(tmp_path, content):
    path = tmp_path / 'iter_4.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'iter_4.pth.*no \.safetensors.*CONFIG.*`i2ilr publish`'):
        Translator(path, device='cpu')


def test_wrappers_in_names_are_understood(model, tmp_path):
    """In files of before the checksum, which others wrote."""
    publish(model, str(tmp_path / 'a.safetensors'), {})
    with safe_open(tmp_path / 'a.safetensors', 'pt') as file:
        metadata = {k: v for k, v in file.metadata().items() if k != 'sha256'}
        state = {f'module.{name}': file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(state, tmp_path / 'b.safetensors', metadata)
    first, second = (Translator(tmp_path / f'{n}.safetensors', device='cpu') for n in 'ab')
    assert first.metadata['weights'] == second.metadata['weights']


def test_a_published_generator_needs_no_config(model, config, tiny_options, tmp_path):
    path = tmp_path / 'a.safetensors'
    publish(model, str(path), dict(licence='CC0-1.0'))
    alone = Translator(path, device='cpu')
    beside = Translator(config, path, device='cpu', cfg_options=tiny_options)
    source, lr = torch.rand(2, 3, 32, 32) * 2 - 1, torch.rand(2, 3, 8, 8) * 2 - 1
    assert torch.equal(alone.run(source, lr), beside.run(source, lr))
    assert alone.facts == beside.facts and alone.facts['licence'] == 'CC0-1.0'
    assert alone.metadata == beside.metadata
    # and hands on all that it knows
    alone.save_pretrained(tmp_path / 'again')
    again = Translator(tmp_path / 'again', device='cpu')
    assert again.facts == alone.facts and torch.equal(again.run(source, lr), alone.run(source, lr))
    with pytest.raises(ValueError, match='cfg_options change a config'):
        Translator(path, device='cpu', cfg_options=tiny_options)
    with pytest.raises(ValueError, match=r"heads64\.py' is a config; give a checkpoint"):
        Translator(config, device='cpu')
    with pytest.raises(FileNotFoundError, match=r"there is no 'cats'; give a \.safetensors"):
        Translator('cats', device='cpu')


def rewritten(path, out, drop=('sha256',), **changes):
    """A copy of a file with other metadata, as one of before the checksum."""
    with safe_open(path, 'pt') as file:
        facts = {k: v for k, v in file.metadata().items() if k not in drop}
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(state, out, metadata={**facts, **changes})
    return out


def test_a_changed_number_or_fact_is_noticed(model, tmp_path):
    path, other = str(tmp_path / 'a.safetensors'), str(tmp_path / 'b.safetensors')
    publish(model, path, dict(licence='CC0-1.0'))
    assert 'sha256' not in read_release(path)[1]
    read_release(rewritten(path, other, drop=()))  # the order of its parts does not matter
    content = Path(path).read_bytes()
    flipped = content[:-1] + bytes([content[-1] ^ 1])
    for damaged in (flipped, content.replace(b'CC0-1.0', b'CC0-1.1')):
        Path(other).write_bytes(damaged)
        with pytest.raises(ValueError, match="b.safetensors' is damaged: its checksum differs"):
            read_release(other)


def dumped(facts):
    return {name: json.dumps(value) for name, value in facts.items()}


def test_files_that_do_not_describe_themselves(model, config, tiny_options, tmp_path):
    path, other = tmp_path / 'a.safetensors', tmp_path / 'b.safetensors'
    publish(model, str(path), {})

    def refused(message, **metadata):
        with pytest.raises(ValueError, match=message):
            Translator(rewritten(path, other, **metadata), device='cpu')

    refused('metadata does not say so', drop=('sha256', 'format'))
    refused('in format 3; this is .* up to 2: update', format_version='3')
    refused('in format later', format_version='"later"')
    refused("metadata of '.*' is damaged", fit='{')
    refused("fit is 'nope'", fit='"nope"')
    refused("lr_method is 'nope'", lr_method='"nope"')
    state, facts = read_release(str(path))
    network = facts['network']
    state['from_rgb.bias'][0] = float('nan')
    save_file(state, other, metadata={'format': 'i2ilr_mm generator', **dumped(facts)})
    with pytest.raises(ValueError, match=r'not finite, in 1 of \d+ entries, first from_rgb.bias'):
        Translator(other, device='cpu')
    for change, message in (
        (dict(style=False), 'does not fit'),
        (dict(img_size=48), 'img_size=48 with lr_size=8'),
        (dict(img_size=2**40), 'at most 8192'),
        (dict(img_size='32'), 'does not work'),
        (dict(max_channels=10**6), 'does not fit'),  # and asks for no memory
        (dict(base_channels=-4), 'does not work'),
        (dict(exact_lr='x'), "exact_lr is 'x'"),
        (dict(warp=True), "unexpected keyword argument 'warp'"),
    ):
        refused(message, network=json.dumps({**network, **change}))
    # one of the first format works beside its config alone
    old = dict(drop=('sha256', 'network', 'format_version', 'fit', 'recipe'))
    old |= dict(img_size='32', lr_size='8', exact_lr='"bilinear"')
    refused('earlier release; give the config', **old)
    beside = init_model(config, rewritten(path, other, **old), cfg_options=tiny_options)
    source, lr = torch.randn(2, 3, 32, 32), torch.randn(2, 3, 8, 8)
    assert torch.allclose(beside.predict(source, lr), model.predict(source, lr), atol=1e-6)


def test_the_shipped_model_certifies_heads_in_no_time(request):
    """One level at worst over 40 pairs, and 0.3 s for one, from file to PNG, once it is loaded."""
    translator = Translator('embedded:heads64', device='cpu')
    assert translator.facts['licence'] == 'CC0-1.0' and translator.facts['pictures'] >= 32000
    files = pictures_in('embedded:heads64')
    heads = [path for path, name in files if name.startswith('test/')][:40]
    results = translator.translate(heads, heads[7:] + heads[:7], project=True)
    assert max(result.lr_worst for result in results) <= 1
    assert all(result.reached for result in results)
    request.addfinalizer(partial(torch.set_num_threads, torch.get_num_threads()))
    torch.set_num_threads(1)
    times = []  # of the CPU: other programs do not count
    for source, target in zip(heads[:5], heads[5:10], strict=True):
        start = time.process_time()
        translator.translate(source, target, project=True)[0].png()
        times.append(time.process_time() - start)
    assert min(times) < 0.3
