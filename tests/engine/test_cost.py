import copy
from functools import cache, partial
from types import SimpleNamespace

import pytest
import torch
from mmagic.registry import MODELS

from i2ilr_mm.benchmark.reference import discriminate, generate, reference_step
from i2ilr_mm.engine import cost

SMALL = dict(img_size=32, lr_size=8, base_channels=4, max_channels=8)
MODEL = dict(
    type='I2ILR',
    generator=dict(type='I2ILRGenerator', **SMALL),
    discriminator=dict(type='LRResidualDiscriminator', **SMALL),
)


def full_size(img_size: int) -> dict:
    """The published networks."""
    sizes = dict(img_size=img_size, lr_size=8)
    return dict(
        type='I2ILR',
        generator=dict(type='I2ILRGenerator', **sizes),
        discriminator=dict(type='LRResidualDiscriminator', **sizes),
    )


def published(model, image) -> None:
    reference_step(model, cost.idle_optimizers(model), image)


@cache
def plain() -> cost.Cost:
    """A step of MODEL with eight pictures."""
    return cost.step_cost(MODEL, 8)


def test_the_published_step_costs_what_is_known_of_it():
    """1,056 GMAC per pair at 128 px: 12 G and 12 D calls and R1, of 8.70 and 19.83 GMAC each.

    Our step does the same with less than half of it.
    """
    counted = cost.count(full_size(128), 2, published)
    assert 2 * counted.gmac_per_image == pytest.approx(1056, rel=0.01)
    assert cost.step_cost(full_size(128), 2).macs < 0.47 * counted.macs


@pytest.mark.parametrize('network, gmac', [('generator', 8.70), ('discriminator', 19.83)])
def test_one_call_costs_what_is_known_of_it(network, gmac):
    """Of D with plain convolutions; ours need less."""

    def call(model, image):
        with torch.no_grad():
            lr = torch.empty(1, 3, 8, 8)
            module = getattr(model, network)
            (generate if network == 'generator' else discriminate)(module, image, lr)

    assert cost.count(full_size(128), 1, call).gmac_per_image == pytest.approx(gmac, rel=0.01)


def test_macs_of_one_convolution():
    conv = torch.nn.Conv2d(3, 5, 3, padding=1)
    with cost.Counter() as counter:
        conv(torch.randn(2, 3, 8, 8)).sum().backward()
    assert counter.macs == 2 * (2 * 64 * 3 * 5 * 9)  # forward and weight gradient


def test_peak_is_the_most_that_lives_at_once():
    with cost.Counter() as counter:
        for _ in range(3):
            a = torch.zeros(1000)
            b = a + 1
            del a, b
    assert counter.peak == 8000 and counter.live == 0
    with cost.Counter() as counter:
        a = torch.zeros(1000)
        a.view(10, 100).t()
    assert counter.peak == 4000  # views take nothing


def test_counting_agrees_with_a_step_that_is_computed():
    counted = cost.step_cost(MODEL, 4)
    with cost.Counter() as counter:
        model = MODELS.build(copy.deepcopy(MODEL))
        image = torch.rand(4, 3, 32, 32) * 2 - 1
        data = dict(inputs=dict(img=image, lr=torch.zeros(4, 3, 8, 8)))
        model.train_step(data, cost.idle_optimizers(model))
    assert counter.macs == counted.macs
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert counter.peak + 8 * trained == pytest.approx(counted.peak_bytes, rel=0.02)


def test_options_cost_what_they_should():
    lazy = cost.step_cost(dict(MODEL, r1_loss=dict(type='R1Penalty', interval=16)), 8)
    parts = cost.step_cost(dict(MODEL, accumulation=4), 8)
    saving = cost.step_cost(dict(MODEL, generator=dict(MODEL['generator'], with_cp=True)), 8)
    assert lazy.macs < plain().macs < saving.macs and plain().macs < parts.macs
    halves = cost.step_cost(dict(MODEL, accumulation=2), 8)
    assert halves.peak_bytes < 0.65 * plain().peak_bytes
    assert parts.peak_bytes < 0.4 * plain().peak_bytes
    assert saving.peak_bytes < 0.8 * plain().peak_bytes


def test_the_graph_of_r1_is_gone_before_the_generators_begins():
    """The real part costs no memory at the peak, which lies where G and D's fakes meet."""
    with_lazy_r1 = dict(MODEL, r1_loss=dict(type='R1Penalty', interval=16))
    lazy = cost.count(with_lazy_r1, 8, partial(cost._train_step, 1))
    assert plain().peak_bytes == pytest.approx(lazy.peak_bytes, rel=0.02)


def test_the_step_waits_for_no_number():
    """A step on tensors without values would fail at the first one that Python asks for."""
    with pytest.raises(Exception, match='item|data|_local_scalar_dense'):
        cost.count(MODEL, 2, lambda model, image: image.sum().item())
    for option in (
        dict(lr_loss=dict(type='LRConsistencyLoss')),
        dict(r1_loss=dict(type='R1Penalty', interval=16)),
        dict(r1_loss=dict(type='R1Penalty', mode='reference')),
        dict(accumulation=2),
        dict(autocast='bfloat16'),
    ):
        cost.step_cost({**MODEL, **option}, 4)


@pytest.mark.parametrize('known', [True, False])
def test_the_hook_says_what_is_left_and_stops_nobody(known):
    messages = []
    runner = SimpleNamespace(
        cfg=SimpleNamespace(model=MODEL if known else dict(type='Unknown')),
        train_dataloader=SimpleNamespace(batch_size=4),
        max_iters=1500,
        iter=500,
        logger=SimpleNamespace(info=messages.append, warning=messages.append),
    )
    cost.CostHook().before_train(runner)
    (message,) = messages
    if known:
        assert 'in a step of 4' in message and '1,000 steps to go with 4.0 kimg' in message
    else:
        assert 'cannot be counted' in message and 'Unknown' in message


def test_the_default_recipe_is_counted_with_its_frozen_network():
    """The forecast needs no memory for the model, and leaves no trace in later ones."""
    sizes = dict(img_size=32, lr_size=8)
    parts = dict(
        projected_discriminator=dict(type='ProjectedDiscriminator', **sizes),
        projected_loss=dict(type='GANLoss', gan_type='hinge'),
        source_loss=dict(type='ContrastiveSourceLoss', **sizes),
    )
    plain, whole = (cost.step_cost(model, 4) for model in (MODEL, {**MODEL, **parts}))
    # Lite0 makes 7 MMAC of a picture of 32 px. Here it sees 4 + 4 + 4 + 8, and 4 + 8 backwards.
    assert whole.macs > plain.macs + 32 * 7e6
    assert whole.peak_bytes > plain.peak_bytes
    model = MODELS.build({**MODEL, **parts})
    assert model.source_loss.network(torch.zeros(1, 3, 32, 32))[0].abs().sum() > 0
