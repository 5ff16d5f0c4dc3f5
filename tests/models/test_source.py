import pytest
import torch
import torch.nn.functional as F

from i2ilr_mm.lr import project
from i2ilr_mm.models import ContrastiveSourceLoss


def build(**options) -> ContrastiveSourceLoss:
    return ContrastiveSourceLoss(32, 8, **{'queue_size': 8, **options})


def pictures(n: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 16, 16, generator=generator) * 2 - 1
    return F.interpolate(coarse, 32, mode='bilinear') + 0.1 * torch.randn(n, 3, 32, 32)


def warm(loss: ContrastiveSourceLoss) -> None:
    for seed in range(1, 5):
        loss.sources(pictures(4, seed))


def test_it_counts_once_the_queue_is_full():
    loss = build()
    values = []
    for seed in range(5):
        images = pictures(4, seed)
        sources = loss.sources(images)
        values.append(loss(images, *sources).item())
    assert values[:2] == [0, 0] and all(value > 0 for value in values[2:])


def test_it_is_infonce_over_batch_and_queue():
    """Against the formula: standardised, normalised, divided by the temperature."""
    loss = build(temperature=0.3, loss_weight=2.0)
    warm(loss)
    queue = loss.queue.clone()
    images, results = pictures(4, 9), pictures(4, 10)
    sources = loss.sources(images)
    actual = loss(results, *sources)

    def keys(x):
        detail = project(x, torch.zeros(1, 3, 8, 8), 'box', 'bilinear')
        levels = loss.network(detail)
        pooled = [level.mean((2, 3)) for level in levels[1:]]
        pooled += [level.var((2, 3), unbiased=False).sqrt() for level in levels[:2]]
        return F.normalize((torch.cat(pooled, 1) - loss.mean) / (loss.variance**0.5 + 1e-3), dim=1)

    bank = torch.cat([keys(images), queue])
    logits = keys(results) @ bank.T / 0.3
    expected = 2 * (logits.logsumexp(1) - logits[range(4), range(4)]).mean()
    assert actual.item() == pytest.approx(expected.item(), rel=1e-4)
    assert torch.allclose(loss.queue[:4], keys(images), atol=1e-4)
    assert torch.allclose(loss.queue[4:], queue[:4])


def test_colours_and_layout_tell_nothing():
    """Results that are their sources moved to other LR pictures have the sources' own features."""
    loss = build()
    warm(loss)
    images = pictures(4, 9)
    sources = loss.sources(images)
    moved = project(images, torch.randn(4, 3, 8, 8), 'box', 'bilinear')
    assert loss(moved, *sources).item() == pytest.approx(loss(images, *sources).item(), rel=1e-3)
    assert loss(moved, *sources) < 0.5 * loss(moved.roll(1, 0), *sources)


def test_gradients_reach_the_results_alone():
    loss = build()
    warm(loss)
    images = pictures(4, 9).requires_grad_()
    results = pictures(4, 10).requires_grad_()
    loss(results, *loss.sources(images)).backward()
    assert results.grad.abs().max() > 0 and images.grad is None
    assert not list(loss.parameters())


def test_queue_and_moments_are_in_the_checkpoint_and_the_network_is_not():
    loss, other = build(), build()
    warm(loss)
    state = loss.state_dict()
    assert state.keys() == {'queue', 'mean', 'variance', '_extra_state'}
    other.load_state_dict(state)
    images = pictures(4, 9)
    values = [one(images, *one.sources(images)) for one in (loss, other)]
    assert values[0] > 0 and torch.equal(*values)


def test_bad_input_is_refused_by_name():
    with pytest.raises(ValueError, match='temperature=0'):
        build(temperature=0)
    with pytest.raises(ValueError, match='queue_size=0'):
        build(queue_size=0)
    with pytest.raises(ValueError, match='img_size=16 is too small'):
        ContrastiveSourceLoss(16, 8)
