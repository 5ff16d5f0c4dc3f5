import numpy as np
import pytest
import torch
from prdc import compute_prdc
from torch_fidelity.metric_prc import prc_features_to_metric

from i2ilr_mm.evaluation import neighbours as module
from i2ilr_mm.evaluation.neighbours import precision_recall


def features(n1: int, n2: int, d: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.RandomState(0)
    x, y = rng.standard_normal((n1, d)) * 0.8 + 0.3, rng.standard_normal((n2, d))
    return torch.from_numpy(x), torch.from_numpy(y)


def values(fake, real, k=5) -> dict[str, float]:
    return {name: estimate.value for name, estimate in precision_recall(fake, real, k).items()}


@pytest.mark.parametrize('n1, n2, k', [(200, 150, 5), (40, 300, 3), (8, 7, 5)])
@pytest.mark.parametrize('offset', [0, 1000])
def test_equals_prdc(n1, n2, k, offset):
    fake, real = (x + offset for x in features(n1, n2))
    theirs = compute_prdc(real.numpy(), fake.numpy(), k)
    assert values(fake, real, k) == pytest.approx(theirs, rel=1e-9)


def test_equals_torch_fidelity():
    fake, real = features(200, 150)
    theirs = prc_features_to_metric(fake.float(), real.float(), prc_neighborhood=5, verbose=False)
    ours = values(fake, real)
    assert (ours['precision'], ours['recall']) == pytest.approx(
        (theirs['precision'], theirs['recall']), abs=1e-6
    )


def test_chunks_change_nothing(monkeypatch):
    fake, real = features(60, 50)
    whole = values(fake, real)
    monkeypatch.setattr(module, 'CHUNK', 7)
    assert values(fake, real) == whole


def test_identical_sets():
    """Every ball holds its centre and k - 1 others, in exact arithmetic and here, too."""
    _, real = features(1, 60)
    for offset in (0, 1e4):
        expected = dict(precision=1, recall=1, density=1, coverage=1)
        assert values(real + offset, real + offset) == pytest.approx(expected, abs=1e-12)


def test_as_few_as_can_be():
    """k + 1 samples have k neighbours each; prdc fails with an index error."""
    fake, real = features(7, 6)
    assert values(fake, real)['precision'] <= 1
    with pytest.raises(ValueError, match='out of bounds'):
        compute_prdc(real.numpy(), fake.numpy(), 5)


def test_collapsed_results_have_no_recall():
    _, real = features(1, 60)
    found = values(real[:1].repeat(40, 1), real)
    assert found['recall'] == 0 and found['precision'] == 1 and found['coverage'] < 0.5


def test_some_copies_among_the_reals_are_no_trouble():
    fake, real = features(60, 60)
    assert all(np.isfinite(list(values(fake, torch.cat([real, real[:10]])).values())))


@pytest.mark.parametrize('of', [1, 10])
def test_reals_that_are_copies_are_refused(of):
    """prdc gives 0 for everything here, and for a set with itself, too."""
    fake, real = features(60, of)
    copies = real.repeat(60 // of, 1)
    with pytest.raises(ValueError, match='60 of 60 real samples equal at least 5 others'):
        precision_recall(fake, copies)
    theirs = compute_prdc(copies.numpy(), copies.numpy(), 5)
    assert theirs['precision'] < 1


@pytest.mark.parametrize('n1, n2, k, message', [(5, 60, 5, 'at least 6'), (60, 60, 0, 'k=0')])
def test_refuses(n1, n2, k, message):
    with pytest.raises(ValueError, match=message):
        precision_recall(*features(n1, n2), k)


def test_influence_of_the_set_that_is_counted_and_of_the_other():
    fake, real = features(30, 40)
    found = precision_recall(fake, real)
    for name, of, n in (('precision', 'fake', 30), ('coverage', 'real', 40)):
        own, other = found[name].parts
        assert (own.side, len(own.influence)) == (of, n) and other.side != of
        assert own.influence.sum() == pytest.approx(0, abs=1e-9)
        assert other.influence.sum() == pytest.approx(0, abs=1e-9)
    # Written out: results that lie in the ball of one real alone hang on it.
    radii = torch.cdist(real, real).kthvalue(6, dim=1).values
    inside = torch.cdist(fake, real) < radii
    alone = inside & (inside.sum(1, keepdim=True) == 1)
    expected = alone.double().sum(0) * 40 / 30
    assert torch.allclose(found['precision'].parts[1].influence, expected - expected.mean())
    balls = inside.double().sum(0) / 5 / 30 * 40
    assert torch.allclose(found['density'].parts[1].influence, balls - balls.mean())
