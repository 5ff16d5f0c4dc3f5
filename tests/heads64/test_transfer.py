import json
import math
import re

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from scoring import PIPELINE, scored

from i2ilr_mm.datasets import PairedPool
from i2ilr_mm.heads64 import transfer
from i2ilr_mm.heads64.probes import ATTRIBUTES, background_colour, load_probes
from i2ilr_mm.heads64.transfer import TransferTruth, read_attributes
from i2ilr_mm.lr import down, from_uint8, to_uint8, up

FOLLOWED = {
    'target': ('background', 'skin', 'hair', 'pose'),
    'source': ('lipstick', 'beard', 'wrinkles'),
}


@pytest.fixture(scope='module')
def dataset() -> PairedPool:
    init_default_scope('mmagic')
    return PairedPool('embedded:heads64', 'test', pipeline=PIPELINE, img_size=64, lr_size=8)


@pytest.fixture(scope='module')
def pictures(dataset) -> torch.Tensor:
    return torch.stack([dataset.real_image(path) for path in dataset.real_pictures()])


def results(dataset, pictures, make) -> list[dict]:
    index = {picture['name']: i for i, picture in enumerate(dataset.pictures)}
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    source = pictures[[index[info['name']] for info in infos]]
    target = pictures[[index[info['target_name']] for info in infos]]
    return [dict(fake_img=x, sample_idx=i) for i, x in enumerate(make(source, target))]


def enlarged(source, target):
    return to_uint8(up(down(from_uint8(target), 8), 64, 'bicubic'))


def test_the_probes_know_heads_that_they_were_not_trained_on(dataset, pictures):
    truth = read_attributes(dataset.resolved_root)
    probes, _ = load_probes()
    labels = probes.labels([truth[f'test/{p["name"]}'] for p in dataset.pictures], pictures)
    with torch.no_grad():
        found = probes.read(pictures)
    for name, attribute in ATTRIBUTES.items():
        known = labels[name] >= 0
        right = (found[name] == labels[name])[known].float().mean()
        most_common = labels[name][known].bincount().max() / known.sum()
        assert right > 0.9, name
        assert right > most_common + 0.05, name
        assert int(labels[name].max()) == len(attribute.classes) - 1


@pytest.mark.parametrize('baseline', ['copy_source', 'ceiling', 'upscale_target'])
def test_baselines_beside_the_result_are_those_of_such_results(baseline, dataset, pictures):
    """A model that copies its source has the score that is listed as copy_source; and so on."""
    make = dict(
        copy_source=lambda source, target: source,
        ceiling=lambda source, target: target,  # so for what follows the target
        upscale_target=enlarged,
    )[baseline]
    metric = TransferTruth()
    values = scored(metric, dataset, results(dataset, pictures, make))
    beside = {(score.name, score.role): score.value for score in metric.report}
    for name in FOLLOWED['target'] if baseline == 'ceiling' else ATTRIBUTES:
        assert values[f'transfer_{name}'] == beside[f'transfer_{name}', baseline]


def test_what_follows_the_target_and_what_the_source(dataset, pictures):
    copied = scored(TransferTruth(), dataset, results(dataset, pictures, lambda s, t: s))
    swapped = scored(TransferTruth(), dataset, results(dataset, pictures, lambda s, t: t))
    for name in FOLLOWED['target']:
        assert copied[f'transfer_{name}'] < 0.2 and swapped[f'transfer_{name}'] > 0.8
    for name in FOLLOWED['source']:
        assert copied[f'transfer_{name}'] > 0.85 and swapped[f'transfer_{name}'] < 0.15


def test_chance_is_what_another_picture_would_have_given(dataset, pictures):
    """Counted out pair by pair, for results half of which show the source and half the target."""

    def mixed(source, target):
        return [s if i % 2 else t for i, (s, t) in enumerate(zip(source, target))]

    made = results(dataset, pictures, mixed)
    metric = TransferTruth()
    values = scored(metric, dataset, made)
    beside = {(score.name, score.role): score.value for score in metric.report}
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    index = {picture['name']: i for i, picture in enumerate(dataset.pictures)}
    truth = read_attributes(dataset.resolved_root)
    probes, _ = load_probes()
    labels = probes.labels([truth[f'test/{p["name"]}'] for p in dataset.pictures], pictures)
    with torch.no_grad():
        found = probes.read(torch.stack([sample['fake_img'] for sample in made]))
    for name, attribute in ATTRIBUTES.items():
        source, target = (
            [int(labels[name][index[info[key]]]) for info in infos]
            for key in ('name', 'target_name')
        )
        of = list(zip(*(source, target) if attribute.follows == 'source' else (target, source)))
        pairs = [i for i, two in enumerate(of) if min(two) >= 0]
        shares = []
        for i in pairs:
            if of[i][0] != of[i][1]:
                alike = [j for j in pairs if of[j][1] == of[i][1]]
                shares.append(np.mean([int(found[name][j]) == of[i][0] for j in alike]))
        assert beside[f'transfer_{name}', 'chance'] == pytest.approx(np.mean(shares), abs=1e-6), (
            name
        )
        assert values[f'transfer_{name}'] > beside[f'transfer_{name}', 'chance'] + 0.05, name


def test_only_pairs_that_differ_count(dataset, pictures):
    metric = TransferTruth()
    scored(metric, dataset, results(dataset, pictures, lambda s, t: s))
    truth = read_attributes(dataset.resolved_root)
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    beards = [[truth[f'test/{i[k]}']['beard'] for k in ('name', 'target_name')] for i in infos]
    score = next(s for s in metric.report if s.name == 'transfer_beard')
    assert score.n == sum(a != b for a, b in beards) < len(dataset)
    assert score.network == 'heads64 probes' and score.low <= score.value <= score.high


def test_labels():
    images = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    images[1, :, :8] = 255
    truth = dict(skin=1.0, style='bald', hair='black', yaw=0.0, lipstick=True, beard=False)
    other = dict(truth, skin=3.0, style='short', yaw=-20.0, age='old')
    probes, _ = load_probes()
    found = probes.labels([dict(truth, age='mid'), other], images)
    assert found['skin'].tolist() == [0, -1] and found['hair'].tolist() == [-1, 0]
    assert found['pose'].tolist() == [-1, 0] and found['wrinkles'].tolist() == [-1, 1]
    assert found['lipstick'].tolist() == [1, 1] and found['beard'].tolist() == [0, 0]
    assert background_colour(images).tolist() == [[0, 0, 0], [1, 1, 1]]
    assert found['background'][0] != found['background'][1]


def test_no_pair_differs(heads, tmp_path):
    dataset, _ = with_attributes(heads, tmp_path)
    metric = TransferTruth()
    images = [dict(fake_img=dataset[i]['inputs']['img'], sample_idx=i) for i in range(len(dataset))]
    values = scored(metric, dataset, images)
    assert math.isnan(values['transfer_beard'])
    assert 'no pair differs' in next(s.problem for s in metric.report if s.name == 'transfer_beard')


def with_attributes(heads, folder) -> tuple[PairedPool, dict]:
    """The small folder with the same made-up truth for every head."""
    import shutil

    shutil.copytree(heads, folder, dirs_exist_ok=True)
    one = dict(
        skin=1.0, style='short', hair='black', yaw=20.0, lipstick=True, beard=True, age='old'
    )
    names = [str(path.relative_to(folder)) for path in folder.rglob('*.jpg')]
    truth = dict.fromkeys(names, one)
    (folder / 'attributes.json').write_text(json.dumps(truth))
    init_default_scope('mmagic')
    return PairedPool(str(folder), 'val', pipeline=PIPELINE, img_size=32, lr_size=8), truth


def test_data_without_the_truth(heads, tmp_path, monkeypatch):
    """The score is left out with a word; a truth that lacks some pictures is a mistake."""
    init_default_scope('mmagic')
    plain = PairedPool(str(heads), 'val', pipeline=PIPELINE, img_size=32, lr_size=8)
    said = []
    monkeypatch.setattr(transfer, 'print_log', lambda line, *_: said.append(line))
    assert scored(TransferTruth(), plain, [dict(sample_idx=0)]) == {}
    assert len(said) == 1 and re.search(r'no attributes\.json.*heads64.*are left out', said[0])
    dataset, truth = with_attributes(heads, tmp_path)
    name = next(name for name in truth if name.startswith('val'))
    del truth[name]
    (tmp_path / 'attributes.json').write_text(json.dumps(truth))
    with pytest.raises(ValueError, match=f"does not know 1 of its 6 pictures, among them '{name}'"):
        scored(TransferTruth(), dataset, [])


def test_probes_take_any_size(pictures):
    probes, _ = load_probes()
    large = torch.nn.functional.interpolate(pictures[:40].float(), (128, 128), mode='bilinear')
    with torch.no_grad():
        small, same = probes.read(pictures[:40]), probes.read(large.round().to(torch.uint8))
    agreed = [(small[k] == same[k]).float().mean() for k in ATTRIBUTES]
    assert np.mean(agreed) > 0.9
