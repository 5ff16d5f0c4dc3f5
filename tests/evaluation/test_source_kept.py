import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from scoring import PIPELINE, Loader, Module, scored

from i2ilr_mm.datasets import PairedPool
from i2ilr_mm.evaluation import SourceKept
from i2ilr_mm.evaluation.estimate import interval
from i2ilr_mm.evaluation.source_kept import galleries, source_kept
from i2ilr_mm.lr import down, from_uint8, project, to_uint8

LITE2 = dict(type='EfficientNetLite2')


def features(n: int, d: int = 64, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_results_that_ignore_the_source_score_at_chance():
    sources, own = features(2000), torch.arange(2000)
    found = source_kept(features(2000, seed=1), sources, own)
    low, high = interval(found, (0, 1))
    assert low < 0.01 < high and found.value < 0.02


def test_results_that_copy_the_source_score_one():
    sources = features(300)
    assert source_kept(sources + 0.01, sources, torch.arange(300)).value == 1
    assert source_kept(3 * sources, sources, torch.arange(300).roll(1)).value < 0.05


def test_results_that_are_all_alike_score_at_chance():
    same = features(1, seed=5).expand(500, -1)
    assert source_kept(same, features(500), torch.arange(500)).value < 0.03


def test_a_tie_is_no_hit():
    """Two equal sources cannot be told apart."""
    sources = features(40).repeat(2, 1)
    assert source_kept(sources, sources, torch.arange(80)).value == 0


def test_it_counts_what_a_loop_counts():
    sources, own = features(40), torch.arange(60) % 40
    results = sources[own] + 4 * features(60, seed=3)
    table = galleries(40, 10)
    centre = sources.mean(dim=0)
    hits = []
    for result, mine in zip(results, own.tolist()):
        others = [int(i) for i in table[mine]]
        assert len(set(others)) == 9 and mine not in others
        similar = [
            F.cosine_similarity(result - centre, sources[i] - centre, dim=0)
            for i in (mine, *others)
        ]
        hits.append(max(similar) == similar[0])
    found = source_kept(results, sources, own, size=10)
    assert 0.1 < found.value < 0.9
    assert found.value == pytest.approx(sum(hits) / 60)
    assert (found.parts[0].influence + found.value).tolist() == pytest.approx(
        [float(hit) for hit in hits]
    )


def test_fewer_sources_are_all_compared():
    sources, results, own = features(20), features(30, seed=1), torch.arange(30) % 20
    everyone = source_kept(results, sources, own, size=20).value
    assert source_kept(results, sources, own).value == everyone
    with pytest.raises(ValueError, match='1 source: at least two'):
        source_kept(results, sources[:1], own * 0)
    with pytest.raises(ValueError, match='not finite'):
        source_kept(results * float('nan'), sources, own)


@pytest.fixture(scope='module')
def dataset() -> PairedPool:
    init_default_scope('mmagic')
    return PairedPool('embedded:heads64', 'test', pipeline=PIPELINE, img_size=64, lr_size=8)


def pairs(dataset):
    """Sources, LR targets and indices of every fourth pair."""
    indices = range(0, len(dataset), 4)
    infos = [dataset.get_data_info(i) for i in indices]
    source = torch.stack([dataset.real_image(info['img_path']) for info in infos])
    target = torch.stack([dataset.real_image(info['target_path']) for info in infos])
    return source, down(from_uint8(target), 8), indices


def results(images, indices, lr) -> list[dict]:
    return [dict(fake_img=f, sample_idx=i, lr=t) for f, i, t in zip(images, indices, lr)]


def test_of_pictures(dataset):
    """Copies of the source near 1, another head's at chance, the baselines as they are scored."""
    source, lr, indices = pairs(dataset)
    metric = SourceKept(LITE2, cache_dir=None)
    key = 'source_kept_lite2'
    copied = scored(metric, dataset, results(source, indices, lr))
    assert copied == {key: 1.0}
    listed = {(score.name, score.role): score for score in metric.report}
    assert listed[key, 'chance'].value == 0.01
    assert listed[key, 'copy_source'].value == 1.0
    ignored = scored(metric, dataset, results(source.roll(7, 0), indices, lr))[key]
    assert ignored < 0.06
    moved = to_uint8(project(from_uint8(source), lr))
    kept = scored(metric, dataset, results(moved, indices, lr))[key]
    assert kept == listed[key, 'project_source'].value > 0.1
    assert listed[key, 'upscale_target'].value < 0.06
    assert listed[key, ''].n == len(indices) and listed[key, ''].low <= 1.0 <= listed[key, ''].high
    assert 'nearest of 100' in listed[key, ''].settings


def test_colours_and_layout_of_the_source_tell_nothing(dataset):
    """Sources moved to the LR pictures of other heads keep their detail, and nothing else."""
    source, lr, _ = pairs(dataset)
    metric = SourceKept(LITE2, cache_dir=None)
    metric.prepare(Module(), Loader(dataset))
    moved = to_uint8(project(from_uint8(source), lr, 'box', 'bilinear'))
    assert (source.float() - moved.float()).abs().mean() > 10
    brought = [
        project(from_uint8(images), metric.common, 'box', 'bilinear') for images in (source, moved)
    ]
    for images in brought:
        assert (down(images, 8) - metric.common).abs().max() < 1e-5
    # Equal but for what was clipped on the way.
    assert (brought[0] - brought[1]).abs().mean() < 0.05


def test_too_few_sources_are_refused(dataset, heads):
    few = PairedPool(str(heads), 'val', pipeline=PIPELINE, img_size=64, lr_size=8)
    few.pictures = few.pictures[:1]
    with pytest.raises(ValueError, match='hold 1 picture: at least two'):
        SourceKept(LITE2, cache_dir=None).prepare(Module(), Loader(few))
    with pytest.raises(ValueError, match="lr_method is 'area'"):
        SourceKept(LITE2, lr_method='area')
