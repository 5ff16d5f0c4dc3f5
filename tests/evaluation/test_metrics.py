import json
import math
import shutil

import pytest
import torch
from mmagic.registry import METRICS
from mmengine.registry import init_default_scope
from scoring import PIPELINE, Loader, MeanColour, Module
from scoring import scored as scored_samples

from i2ilr_mm.datasets import PairedPool
from i2ilr_mm.evaluation.frechet import frechet_distance
from i2ilr_mm.evaluation.kid import kid
from i2ilr_mm.evaluation.lr_match import diversity
from i2ilr_mm.evaluation.metrics import (
    DistributionScores,
    LPIPSDiversity,
    LRConsistency,
    base,
)
from i2ilr_mm.evaluation.metrics import distribution as module
from i2ilr_mm.evaluation.neighbours import precision_recall
from i2ilr_mm.heads64.transfer import TransferTruth
from i2ilr_mm.lr import down, from_uint8

COLOUR = dict(type='MeanColour')


def pool(heads, **options) -> PairedPool:
    init_default_scope('mmagic')
    options = {'n_targets': 2, **options}
    return PairedPool(str(heads), 'val', pipeline=PIPELINE, img_size=32, lr_size=8, **options)


@pytest.fixture
def dataset(heads) -> PairedPool:
    return pool(heads)


def results(dataset) -> list[dict]:
    """As if the model returned every source upside down."""
    items = [dataset[i] for i in range(len(dataset))]
    return [
        dict(fake_img=x['inputs']['img'].flip(1), lr=x['inputs']['lr'], sample_idx=i)
        for i, x in enumerate(items)
    ]


def scored(metric, dataset, samples=None) -> dict[str, float]:
    return scored_samples(metric, dataset, results(dataset) if samples is None else samples)


def distribution(**options) -> DistributionScores:
    return DistributionScores(**{'network': COLOUR, 'cache_dir': None, 'k': 2, **options})


def test_lr_consistency(dataset):
    metric = LRConsistency()
    samples = results(dataset)
    for sample in samples[:6]:
        sample['lr'] = down(from_uint8(sample['fake_img'])[None], 8)[0]
    assert scored(metric, dataset, samples[:6]) == dict(
        lr_mae=pytest.approx(0, abs=1e-4), lr_psnr=100.0, lr_within2=1.0
    )
    values = scored(metric, dataset, samples)
    expected = torch.stack(
        [(down(from_uint8(s['fake_img'])[None], 8)[0] - s['lr']).abs().mean() for s in samples]
    )
    assert values['lr_mae'] == pytest.approx(expected.mean().item() * 127.5, rel=1e-4)
    score = metric.report[0]
    assert score.settings == 'shrunk by box'
    assert score.n == 12 and score.low < score.value < score.high
    assert list(metric.errors) == list(range(12))
    assert list(metric.errors.values()) == pytest.approx((expected * 127.5).tolist(), abs=1e-3)


def test_the_operator_is_the_models(dataset):
    metric, given = LRConsistency(), LRConsistency('box')
    module = Module()
    module.lr_method = 'bicubic'
    for each in (metric, given):
        each.prepare(module, Loader(dataset))
        each.process(None, results(dataset))
    assert metric.evaluate() != given.evaluate()
    assert metric.report[0].settings == 'shrunk by bicubic'
    with pytest.raises(ValueError, match="'area'"):
        LRConsistency('area')


def test_several_evaluators_are_told_apart(dataset):
    metric = LRConsistency(prefix='val')
    assert list(scored(metric, dataset)) == ['val/lr_mae', 'val/lr_psnr', 'val/lr_within2']
    assert metric.report[0].name == 'val/lr_mae'


def test_pairs_are_asked_for(dataset):
    for metric in (LRConsistency(), TransferTruth()):
        with pytest.raises(ValueError, match='the data are a list: it takes a PairedPool'):
            metric.prepare(Module(), Loader([1, 2]))


def test_padding_for_even_ranks_counts_once(dataset):
    metric = LRConsistency()
    samples = results(dataset)
    scored(metric, dataset, [*samples, *samples[:3]])
    assert metric.report[0].n == 12


def test_all_distribution_scores_of_every_pair_and_every_real_picture(dataset):
    metric = distribution(kid_subsets=5)
    values = scored(metric, dataset)
    fakes = MeanColour()(torch.stack([s['fake_img'] for s in results(dataset)]))
    reals = MeanColour()(torch.stack([dataset[i]['inputs']['img'] for i in range(0, 12, 2)]))
    expected = {f'{k}_colour': e.value for k, e in precision_recall(fakes, reals, 2).items()}
    expected['fd_colour'] = frechet_distance(fakes, reals)
    expected['kd_colour'] = kid(fakes, reals, 5, 3).value  # half of the six reals
    assert values == pytest.approx(expected)
    for score in metric.report:
        assert (score.n, score.n_real, score.network) == (12, 6, 'mean colour')
        assert (score.resize, len(score.weights)) == ('2 x 2', 16)
        assert score.low <= score.value <= score.high
    settings = {score.name: score.settings for score in metric.report}
    assert settings['kd_colour'] == '5 subsets of 3' and settings['recall_colour'] == 'k = 2'
    assert next(s for s in metric.report if s.name == 'kd_colour').spread > 0


def test_results_of_one_source_are_one_in_the_interval(dataset, monkeypatch):
    kept = []
    monkeypatch.setattr(module, 'score_of', lambda name, estimate, *a, **k: kept.append(estimate))
    with pytest.raises(AttributeError):  # there are no scores now
        scored(distribution(), dataset)
    names = [dataset.get_data_info(i)['name'] for i in range(12)]
    fakes, reals = kept[0].parts
    assert fakes.groups == names and len(set(names)) == 6 and reals.groups == [*range(6)]


def test_features_are_computed_once_for_all_metrics(dataset):
    first, second = distribution(), distribution(kid_subsets=3)
    samples = results(dataset)
    for metric in (first, second):
        metric.prepare(Module(), Loader(dataset))
    before = MeanColour.calls
    for metric in (first, second):
        metric.process(None, samples)
    assert MeanColour.calls == before + 12
    assert first.network.last_batch.samples
    assert first.evaluate()['fd_colour'] == second.evaluate()['fd_colour']
    assert not first.network.last_batch.samples  # nor do pictures stay in memory


def test_fewer_results(dataset):
    metric = distribution(fake_nums=5)
    scored(metric, dataset)
    assert metric.report[0].n == 5
    for given, message in ((99, 'fake_nums=99, and the data has 12 pairs'), (1, 'at least 2')):
        with pytest.raises(ValueError, match=message):
            distribution(fake_nums=given).prepare(Module(), Loader(dataset))


def test_few_pictures_come_with_a_warning(dataset, monkeypatch):
    """Of a tenth of the dimensions; here the tenth is changed, as the features are few."""
    metric = distribution()
    scored(metric, dataset)
    assert all(score.warning is None for score in metric.report)
    monkeypatch.setattr(module, 'FEW', 1)  # 6 pictures, 12 dimensions
    metric = distribution()
    scored(metric, dataset)
    assert all('as few as 6 pictures, in 12 dimensions' in s.warning for s in metric.report)


def test_a_score_that_cannot_be_computed_says_why(dataset):
    """Six reals have no seven neighbours; the other scores are there all the same."""
    metric = distribution(k=7)
    values = scored(metric, dataset)
    assert math.isnan(values['coverage_colour']) and values['fd_colour'] > 0
    coverage = metric.report[-1]
    assert coverage.name == 'coverage_colour' and 'at least 8' in coverage.problem
    assert coverage.low is None and coverage.network == 'mean colour'


def test_trouble_in_a_solver_is_no_end(dataset, monkeypatch):
    def fail(*_):
        raise torch.linalg.LinAlgError('did not converge')

    monkeypatch.setattr(module, 'frechet', fail)
    metric = distribution()
    values = scored(metric, dataset)
    assert math.isnan(values['fd_colour']) and values['coverage_colour'] >= 0
    assert metric.report[0].problem == 'did not converge'


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_results_that_are_not_finite(dataset, value):
    samples = [dict(s, fake_img=s['fake_img'] + value) for s in results(dataset)]
    with pytest.raises(ValueError, match='not finite'):
        scored(distribution(), dataset, samples)


def test_results_of_several_sizes(dataset):
    samples = results(dataset)
    for sample in samples[::2]:
        sample['fake_img'] = sample['fake_img'][:, ::2, ::2]
    assert scored(distribution(), dataset, samples)['fd_colour'] > 0


def test_rows_are_gathered_without_their_batch(dataset):
    metric = distribution()
    metric.prepare(Module(), Loader(dataset))
    metric.process(None, results(dataset))
    assert all(row.untyped_storage().nbytes() == row.nbytes for row in metric.rows.values())


def test_real_pictures_of_another_pool(dataset, heads):
    real = dict(
        type='ImagePool',
        data_root=str(heads),
        split='train',
        img_size=32,
        lr_size=8,
        pipeline=PIPELINE[:2],
    )
    metric = distribution(real=real)
    values = scored(metric, dataset)
    fakes = MeanColour()(torch.stack([s['fake_img'] for s in results(dataset)]))
    train = metric.pool
    reals = MeanColour()(torch.stack([train.real_image(p) for p in train.real_pictures()]))
    assert metric.report[0].n_real == 12 == len(reals)
    assert metric.report[0].real == f'train {train.content_hash}'
    assert values['fd_colour'] == pytest.approx(frechet_distance(fakes, reals))


def test_by_class(heads):
    """Two tasks, each against the reals of its target's class; means of both."""
    dataset = pool(heads, pairing='each_class', n_targets=3)
    metric = distribution(by_class=True)
    values = scored(metric, dataset)
    samples = results(dataset)
    expected = []
    for target in ('female', 'male'):
        infos = [dataset.get_data_info(i) for i in range(18)]
        chosen = [i for i, info in enumerate(infos) if info['target_class'] == target]
        fakes = MeanColour()(torch.stack([samples[i]['fake_img'] for i in chosen]))
        paths = [p for p in dataset.real_pictures() if f'/{target}/' in p]
        reals = MeanColour()(torch.stack([dataset.real_image(p) for p in paths]))
        assert (len(fakes), len(reals)) == (9, 3)
        expected.append(frechet_distance(fakes, reals))
    assert values['fd_colour'] == pytest.approx(sum(expected) / 2)
    assert metric.report[0].settings == 'mean over 2 class pairs'
    assert metric.report[1].settings.endswith('; mean over 2 class pairs')


def test_by_class_needs_classes(heads, tmp_path):
    for i, path in enumerate(sorted(heads.rglob('*.jpg'))[:4]):
        (tmp_path / 'val').mkdir(exist_ok=True)
        (tmp_path / f'val/{i}.jpg').write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match='by_class needs the same class sub-folders'):
        distribution(by_class=True).prepare(Module(), Loader(pool(tmp_path)))


def test_output_of_another_model(dataset):
    """Nested under 'ema', another key, BGR, floats up to 255: as MMagic's own models give it."""
    plain = scored(distribution(), dataset)
    samples = [
        dict(ema=dict(out=dict(img=s['fake_img'].flip(0).float() + 0.3)), sample_idx=i)
        for i, s in enumerate(results(dataset))
    ]
    metric = distribution(fake_key='out.img', channel_order='bgr')
    assert scored(metric, dataset, samples) == plain
    with pytest.raises(ValueError, match=r"no 'fake_img', it has \['ema', 'sample_idx'\]"):
        scored(distribution(), dataset, samples)
    with pytest.raises(ValueError, match="'gbr'"):
        distribution(channel_order='gbr')


def test_a_dataset_without_real_pictures_is_told_what_to_set():
    metric = distribution()
    with pytest.raises(ValueError, match='list does not say which pictures are real; set real='):
        metric.prepare(Module(), Loader([1, 2, 3]))


@pytest.fixture
def colours_as_lpips(monkeypatch):
    monkeypatch.setattr(base, 'build_features', lambda config: MeanColour())


@pytest.mark.usefixtures('colours_as_lpips')
def test_lpips_diversity_is_of_each_sources_results(heads):
    dataset = pool(heads, n_targets=3)
    metric = LPIPSDiversity()
    samples = results(dataset)
    for i, sample in enumerate(samples):
        sample['fake_img'] = sample['fake_img'] // (i + 1)
    metric.prepare(Module(), Loader(dataset))
    for batch in (samples[:4], samples[4:]):  # the second source's results come in two batches
        metric.process(None, batch)
        assert len(metric.pending) < 2
    features = MeanColour()(torch.stack([s['fake_img'] for s in samples]))
    expected = sum(diversity(part) for part in features.split(3)) / 6
    assert metric.evaluate()['lpips_diversity'] == pytest.approx(expected)
    assert metric.report[0].n == 18


@pytest.mark.usefixtures('colours_as_lpips')
def test_lpips_diversity_by_class_is_the_mean_of_class_pairs(heads, tmp_path):
    shutil.copytree(heads, tmp_path, dirs_exist_ok=True)
    next((tmp_path / 'val/male').iterdir()).unlink()  # 3 female, 2 male
    dataset = pool(tmp_path, n_targets=2, pairing='each_class')
    metric = LPIPSDiversity(by_class=True)
    samples = results(dataset)
    for i, sample in enumerate(samples):
        sample['fake_img'] = sample['fake_img'] // (i + 1)
    features = MeanColour()(torch.stack([s['fake_img'] for s in samples]))
    each = [diversity(part) for part in features.split(2)]
    expected = (sum(each[:3]) / 3 + sum(each[3:]) / 2) / 2
    assert scored(metric, dataset, samples)['lpips_diversity'] == pytest.approx(expected)
    assert metric.report[0].settings == 'mean over 2 class pairs'


@pytest.mark.usefixtures('colours_as_lpips')
def test_lpips_diversity_needs_targets_and_whole_sources(heads):
    with pytest.raises(ValueError, match=r'single one \(n_targets is 1\)'):
        LPIPSDiversity().prepare(Module(), Loader(pool(heads, n_targets=1)))
    dataset = pool(heads)
    with pytest.raises(ValueError, match='SourceSampler'):
        scored(LPIPSDiversity(), dataset, results(dataset)[::2])


def test_names_and_stamps_of_lite0(dataset):
    metric = DistributionScores(dict(type='EfficientNetLite0'), cache_dir=None, k=2)
    values = scored(metric, dataset)
    assert list(values)[:2] == ['fd_lite0', 'kd_lite0']
    assert {'FID', 'KID'}.isdisjoint(score.unit for score in metric.report)
    assert json.dumps(values)


@pytest.mark.parametrize('name, key', [('FID (torchvision)', 'fid_torchvision'), ('FID', 'fid')])
def test_keys(name, key):
    assert module._key(name) == key


@pytest.mark.parametrize(
    'name', ['LRConsistency', 'DistributionScores', 'LPIPSDiversity', 'TransferTruth']
)
def test_registered(name):
    assert METRICS.get(name).__name__ == name
