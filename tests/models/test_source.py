import pytest
import torch
import torch.nn.functional as F

from i2ilr_mm.lr import project
from i2ilr_mm.models import ContrastiveSourceLoss
from i2ilr_mm.models.source import LeastSquares


def build(**options) -> ContrastiveSourceLoss:
    return ContrastiveSourceLoss(32, 8, **{'queue_size': 8, **options})


def pictures(n: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 16, 16, generator=generator) * 2 - 1
    return F.interpolate(coarse, 32, mode='bilinear') + 0.1 * torch.randn(n, 3, 32, 32)


def regressors(images: torch.Tensor) -> torch.Tensor:
    """LR pictures by average pooling, the size of their steps, and 1."""
    lr = F.avg_pool2d(images, images.shape[-1] // 8)
    steps = [lr.diff(dim=dim).abs().mean(dim=1).flatten(1) for dim in (3, 2)]
    return torch.cat([lr.flatten(1), *steps, torch.ones(len(lr), 1)], dim=1)


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


@pytest.mark.parametrize('beyond_lr', [False, True])
def test_it_is_infonce_over_batch_and_queue(beyond_lr: bool):
    """Against the formula: standardised, normalised, divided by the temperature."""
    loss = build(temperature=0.3, loss_weight=2.0, beyond_lr=beyond_lr)
    warm(loss)
    queue = loss.queue.clone()
    images, results = pictures(4, 9), pictures(4, 10)
    told = loss.told.weights.clone() if beyond_lr else 0  # of the sources before these
    sources = loss.sources(images)
    actual = loss(results, *sources)

    def keys(x):
        detail = project(x, torch.zeros(1, 3, 8, 8), 'box', 'bilinear')
        levels = loss.network(detail)
        pooled = [level.mean((2, 3)) for level in levels[1:]]
        pooled += [level.var((2, 3), unbiased=False).sqrt() for level in levels[:2]]
        pooled = torch.cat(pooled, 1)
        if beyond_lr:
            pooled = pooled - regressors(x) @ told
        return F.normalize((pooled - loss.mean) / (loss.variance**0.5 + 1e-3), dim=1)

    own = keys(images)
    bank = torch.cat([own, queue])
    told = loss.told.weights if beyond_lr else 0
    logits = keys(results) @ bank.T / 0.3
    expected = 2 * (logits.logsumexp(1) - logits[range(4), range(4)]).mean()
    assert actual.item() == pytest.approx(expected.item(), rel=1e-4)
    assert torch.allclose(loss.queue[:4], own, atol=1e-4)
    assert torch.allclose(loss.queue[4:], queue[:4])


def test_least_squares_follow_what_they_were_shown():
    """Of features that are linear in the regressors, but for noise, only the noise is left."""
    torch.manual_seed(0)
    truth, squares = torch.randn(20, 5), LeastSquares(20, 5)
    for _ in range(400):
        x = torch.randn(4, 20)
        squares.update(x, x @ truth + 0.1 * torch.randn(4, 5))
    x = torch.randn(1000, 20)
    left = x @ truth - squares(x)
    assert left.std() < 0.02 * (x @ truth).std()
    # The same rows at once, by another algorithm: with no ridge to speak of they agree.
    y = torch.randn(1000, 5)
    squares = LeastSquares(20, 5)
    squares.update(x, y)
    expected = torch.linalg.lstsq(x.double(), y.double()).solution
    assert torch.allclose(squares.weights.double(), expected, atol=0.05 * expected.abs().max())


def test_detail_that_the_lr_picture_tells_does_not_count():
    """Of detail that follows the LR picture, no more is left than the best linear map leaves."""

    def told(n: int, seed: int) -> torch.Tensor:
        """Ripples as strong as the mean of the LR picture is high."""
        generator = torch.Generator().manual_seed(seed)
        level = torch.rand(n, 1, 1, 1, generator=generator) - 0.5
        ripples = torch.ones(32, 32)
        ripples[::2] = -1
        return (level + (0.5 + level) * 0.4 * ripples).expand(n, 3, 32, 32).contiguous()

    loss = build()
    for seed in range(100):
        loss.sources(told(4, seed))
    images = told(64, 200)
    levels = loss.network(loss.exact.detail(images))
    pooled = [level.mean((2, 3)) for level in levels[1:]]
    pooled += [level.var((2, 3), unbiased=False).sqrt() for level in levels[:2]]
    features = torch.cat(pooled, 1)
    level = torch.cat([regressors(images)[:, [0]], torch.ones(64, 1)], dim=1)
    best = features - level @ torch.linalg.lstsq(level, features).solution
    left = features - loss.told(regressors(images))
    shares = [x.var(dim=0).sum() / features.var(dim=0).sum() for x in (best, left)]
    assert shares[0] < 0.5 and shares[1] < 1.1 * shares[0]


def test_colours_and_layout_tell_nothing():
    """Results that are their sources moved to other LR pictures have the sources' own features."""
    loss = build(beyond_lr=False)
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
    told = {'told.moments', 'told.cross', 'told.weights', 'told._extra_state'}
    assert state.keys() == {'queue', 'mean', 'variance', '_extra_state', *told}
    other.load_state_dict(state)
    images = pictures(4, 9)
    values = [one(images, *one.sources(images)) for one in (loss, other)]
    assert values[0] > 0 and torch.equal(*values)
    assert torch.equal(loss.told.weights, other.told.weights)


def test_bad_input_is_refused_by_name():
    with pytest.raises(ValueError, match='temperature=0'):
        build(temperature=0)
    with pytest.raises(ValueError, match='queue_size=0'):
        build(queue_size=0)
    with pytest.raises(ValueError, match='img_size=16 is too small'):
        ContrastiveSourceLoss(16, 8)
