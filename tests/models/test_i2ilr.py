import copy
from functools import cache

import pytest
import torch
from mmagic.registry import MODELS
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch.optim import Adam

from i2ilr_mm.benchmark.reference import recorders, reference_step
from i2ilr_mm.lr import down
from i2ilr_mm.models.convolutions import SNConv2d, power_iteration
from i2ilr_mm.models.ema import decay_at, move_average
from i2ilr_mm.models.networks import swap_pairs

SMALL = dict(img_size=32, lr_size=8, base_channels=4, max_channels=8)
SHALLOW = dict(SMALL, lr_size=16)
"""Fewer blocks, for what is compiled."""
NETWORKS = ('generator', 'discriminator')


@pytest.fixture(autouse=True)
def forget_compiled_code():
    """Every model compiles anew: the limit of variants is for all models of a process together."""
    yield
    torch.compiler.reset()


def build(size=SMALL, **options):
    torch.manual_seed(0)
    networks = dict(
        generator=dict(type='I2ILRGenerator', **size),
        discriminator=dict(type='LRResidualDiscriminator', **size),
    )
    return MODELS.build({**dict(type='I2ILR', **networks), **options})


def recipe(size=SMALL, **options):
    """The default recipe, small: exact LR layer, two discriminators, source loss."""
    sizes = dict(img_size=32, lr_size=size['lr_size'])
    return build(
        **{
            **dict(
                generator=dict(type='I2ILRGenerator', exact_lr='bilinear', **size),
                discriminator=dict(
                    type='LRResidualDiscriminator', norm='none', residual=False, **size
                ),
                projected_discriminator=dict(type='ProjectedDiscriminator', **sizes),
                projected_loss=dict(type='GANLoss', gan_type='hinge', loss_weight=0.25),
                source_loss=dict(type='ContrastiveSourceLoss', queue_size=4, **sizes),
            ),
            **options,
        }
    )


def optimizers(model, lr: float = 1e-3) -> OptimWrapperDict:
    def adam(network, rate):
        return OptimWrapper(Adam(network.parameters(), lr=rate, betas=(0.0, 0.99)))

    return OptimWrapperDict(
        generator=adam(model.generator, lr), discriminator=adam(model.discriminator, 4 * lr)
    )


def exact_batch(lr_size: int = 8) -> dict:
    """:func:`batch` in float64."""
    image = torch.stack(batch()['inputs']['img']).double() / 127.5 - 1
    return dict(inputs=dict(img=list(image), lr=list(down(image, lr_size))))


def batch(size: int = 4) -> dict:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (size, 3, 32, 32), generator=generator, dtype=torch.uint8)
    lr = [down(image[None].float() / 127.5 - 1, 8)[0] for image in images]
    return dict(inputs=dict(img=list(images), lr=lr))


def difference(a: list, b: list) -> float:
    """Relative distance of two lists of tensors, taken as one vector each."""
    gap = sum((x - y).square().sum() for x, y in zip(a, b))
    return (gap / sum(y.square().sum() for y in b)).sqrt().item()


@pytest.mark.parametrize('judge', [True, False])
@pytest.mark.parametrize('mode', ['standard', 'reference'])
def test_losses_and_gradients_are_those_of_the_published_schedule(mode, judge, monkeypatch):
    """In float64, with the spectral norm frozen: the same mathematics, to rounding."""
    monkeypatch.setattr(SNConv2d, 'power_iteration', lambda self: None)
    model = build(
        r1_loss=dict(type='R1Penalty', mode=mode),
        lr_loss=dict(type='LRConsistencyLoss'),
        judge_reconstructions=judge,
    ).double()
    data = exact_batch()
    wrappers, seen = recorders(model)
    log = model.train_step(data, wrappers)
    loss_d, loss_g = reference_step(model, wrappers, torch.stack(data['inputs']['img']))
    assert log['loss_d'].item() == pytest.approx(loss_d.item(), rel=1e-9)
    assert log['loss_g'].item() == pytest.approx(loss_g.item(), rel=1e-9)
    for name in NETWORKS:
        ours, published = seen[name].steps
        assert difference(ours, published) < 1e-9


WITH_RESIDUAL = dict(
    generator=dict(type='I2ILRGenerator', **SMALL),
    discriminator=dict(type='LRResidualDiscriminator', norm='none', **SMALL),
    projected_discriminator=dict(
        type='ProjectedDiscriminator', img_size=32, lr_size=8, residual=True
    ),
)

WITH_STYLE = dict(
    generator=dict(type='I2ILRGenerator', exact_lr='bilinear', style=True, **SMALL),
)


@pytest.mark.parametrize(
    'options',
    [{}, WITH_RESIDUAL, WITH_STYLE, dict(judge_reconstructions=False), dict(channels_last=True)],
    ids=['default', 'residual', 'style', 'fakes alone', 'channels_last'],
)
def test_the_default_recipe_is_what_is_written_out(options, monkeypatch):
    """Two steps in float64, each loss by a network call of its own in the reference."""
    monkeypatch.setattr(SNConv2d, 'power_iteration', lambda self: None)
    model = recipe(**options).double()
    for name, weight in model.generator.named_parameters():
        if '.style.' in name:  # they start at zero
            torch.nn.init.normal_(weight, std=0.1)
    reference = copy.deepcopy(model)
    image = torch.stack(exact_batch()['inputs']['img'])
    (wrappers, seen), (reference_wrappers, expected) = recorders(model), recorders(reference)
    for _ in range(2):  # the source loss counts in the second one
        log = model.train_step(exact_batch(), wrappers)
        loss_d, loss_g = reference_step(reference, reference_wrappers, image)
    assert log['loss_g_source'] > 0
    assert log['loss_d'].item() == pytest.approx(loss_d.item(), rel=1e-9)
    assert log['loss_g'].item() == pytest.approx(loss_g.item(), rel=1e-9)
    assert seen.keys() == {*NETWORKS, 'projected_discriminator'}
    for name, recorder in seen.items():
        for ours, written_out in zip(recorder.steps, expected[name].steps, strict=True):
            assert difference(ours, written_out) < 1e-9, name


def gradients(steps: int = 1, make=build, shallow: bool = False, **options) -> tuple[dict, dict]:
    """What every update of each network was given, in float64, and the last log."""
    if make is build:
        options = dict(lr_loss=dict(type='LRConsistencyLoss'), **options)
    size = SHALLOW if shallow else SMALL
    model = make(size, **options).double()
    wrappers, seen = recorders(model)
    for _ in range(steps):
        log = model.train_step(exact_batch(size['lr_size']), wrappers)
    return {name: recorder.steps for name, recorder in seen.items()}, log


plain_gradients = cache(gradients)
"""What all ways to compute are compared with."""


@pytest.mark.parametrize('make', [build, recipe])
@pytest.mark.parametrize(
    'option',
    [
        dict(accumulation=2),
        dict(channels_last=True),
        dict(compile=dict(backend='aot_eager')),
        dict(compile=dict(backend='aot_eager', fullgraph=True), accumulation=2),
        dict(generator=dict(type='I2ILRGenerator', **SMALL, with_cp=True)),
    ],
    ids=lambda option: '+'.join(option),
)
def test_ways_to_compute_change_no_number(option, make):
    exact = {} if make is build else dict(exact_lr='bilinear')
    if 'generator' in option:
        option = dict(generator={**option['generator'], **exact})
    steps = 1 if make is build else 2
    shallow = 'compile' in option
    plain, log = plain_gradients(steps, make, shallow)
    other, other_log = gradients(steps, make, shallow, **option)
    for name, updates in plain.items():
        for expected, actual in zip(updates, other[name], strict=True):
            assert difference(actual, expected) < 1e-9
    for name, value in log.items():
        assert other_log[name].item() == pytest.approx(value.item(), rel=1e-9)


def test_compiled_lazy_r1_changes_no_number():
    """The real half is compiled, too, and leaves its weights' graph to the fake half."""
    r1 = dict(type='R1Penalty', interval=2)
    (plain, _), (other, _) = (
        gradients(shallow=True, r1_loss=r1, compile=c)
        for c in (False, dict(backend='aot_eager', fullgraph=True))
    )
    for name in NETWORKS:
        for expected, actual in zip(plain[name], other[name], strict=True):
            assert difference(actual, expected) < 1e-9


def test_accumulation_works_on_parts(monkeypatch):
    sizes = []
    model = build(accumulation=2)
    model.generator.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    model.train_step(batch(), optimizers(model))
    assert sizes == [2] * 8  # two parts, two calls each, once for D and once more for G


@pytest.mark.parametrize('channels_last', [False, True])
@pytest.mark.parametrize('interval', [1, 16])
def test_channels_last_reaches_the_discriminator(channels_last, interval):
    seen = []
    model = build(channels_last=channels_last, r1_loss=dict(type='R1Penalty', interval=interval))
    model.discriminator.blocks[1].conv2.register_forward_hook(
        lambda module, inputs, output: seen.append(
            inputs[0].is_contiguous(memory_format=torch.channels_last)
        )
    )
    model.train_step(batch(), optimizers(model))
    assert seen == [channels_last] * (3 if interval == 1 else 4)


def test_compiled_networks_run_compiled_and_r1_does_not():
    calls = []

    def backend(graph, inputs):
        def run(*args):
            calls.append(len(graph.graph.nodes))
            return graph(*args)

        return run

    model = build(compile=dict(backend=backend, fullgraph=True))
    model.train_step(batch(), optimizers(model))
    everything = len(calls)
    assert everything == 4  # two of G, two of D
    inputs = model.data_preprocessor(batch())['inputs']
    model.objective.real(inputs['img'], inputs['lr'])
    assert len(calls) == everything


@pytest.mark.parametrize('with_cp, times', [(False, 2), (True, 4)])
def test_checkpointing_runs_the_blocks_again(with_cp, times):
    model = build(generator=dict(type='I2ILRGenerator', **SMALL, with_cp=with_cp))
    calls = []
    model.generator.encoder[0].norm1.register_forward_hook(lambda *_: calls.append(1))
    model.train_step(batch(), optimizers(model))
    assert len(calls) == times


@pytest.mark.parametrize('accumulation', [1, 2])
def test_lazy_r1_is_the_same_gradient_in_another_update(accumulation, monkeypatch):
    monkeypatch.setattr(SNConv2d, 'power_iteration', lambda self: None)
    eager, _ = gradients()
    r1 = dict(type='R1Penalty', interval=4)
    lazy, _ = gradients(r1_loss=r1, accumulation=accumulation, steps=5)
    (both,), (main, *rest) = eager['discriminator'], lazy['discriminator']
    assert len(rest) == 6  # after the first and the fifth step
    summed = [m + r / 4 for m, r in zip(main, rest[0])]
    assert difference(summed, both) < 1e-9
    assert difference(rest[5], rest[0]) < 1e-9 and difference(rest[4], main) < 1e-9
    assert difference(lazy['generator'][0], eager['generator'][0]) < 1e-9


def test_weights_are_normalised_once_per_value(monkeypatch):
    """Once for G, and for D before and after its update."""
    calls = []
    original = SNConv2d.weight
    monkeypatch.setattr(SNConv2d, 'weight', lambda self: calls.append(self) or original(self))
    model = build()
    model.train_step(batch(), optimizers(model))
    for network, times in ((model.generator, 1), (model.discriminator, 2)):
        for conv in (m for m in network.modules() if isinstance(m, SNConv2d)):
            assert sum(c is conv for c in calls) == times
            assert conv.shared is None


def test_train_step_is_the_published_schedule():
    """Three updates in float32; power iterations once per step, as ours are, for both."""
    model = build()
    reference = copy.deepcopy(model)
    wrappers, reference_wrappers = optimizers(model), optimizers(reference)
    data = batch()
    image = torch.stack(data['inputs']['img']).float() / 127.5 - 1
    for _ in range(3):
        log = model.train_step(data, wrappers)
        power_iteration(reference)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SNConv2d, 'power_iteration', lambda self: None)
            loss_d, loss_g = reference_step(reference, reference_wrappers, image)
        assert log['loss_d'].item() == pytest.approx(loss_d.item(), rel=1e-4)
        assert log['loss_g'].item() == pytest.approx(loss_g.item(), rel=1e-4)
    for name, value in model.generator.state_dict().items():
        if name.endswith('bias'):
            continue  # many have no gradient but rounding, of which Adam makes whole steps
        other = reference.generator.state_dict()[name]
        assert (value - other).norm() <= 1e-3 * other.norm() + 1e-6, name


def test_swap_pairs():
    assert swap_pairs(torch.arange(6)).tolist() == [1, 0, 3, 2, 5, 4]


def test_every_weight_reaches_its_loss():
    data = batch()
    weights = dict(
        gan_loss=dict(type='SoftplusGANLoss', loss_weight=3.0),
        r1_loss=dict(type='R1Penalty', gamma=30.0),
        cycle_loss=dict(type='L1Loss', loss_weight=3.0),
        lr_loss=dict(type='LRConsistencyLoss', loss_weight=3.0),
    )
    base = build(lr_loss=dict(type='LRConsistencyLoss', loss_weight=1.0))
    image, lr = base.data_preprocessor(data)['inputs'].values()
    fakes = base.translate_pairs(image, lr)
    for name, option in weights.items():
        changed = build(**{'lr_loss': dict(type='LRConsistencyLoss'), name: option})
        parts = {}
        for key, model in (('base', base), ('changed', changed)):
            _, log_real = model.objective.real(image, lr)
            _, log_fake = model.objective.fake(lr, *fakes)
            _, log_g = model.objective.generator(image, lr, *fakes)
            parts[key] = {**log_real, **log_fake, **log_g}
        marks = dict(gan_loss=('loss_d_real', 'loss_d_fake', 'loss_d_rec', 'loss_g_gan'))
        short = dict(r1_loss=('loss_r1',), cycle_loss=('loss_g_cycle',), lr_loss=('loss_g_lr',))
        tripled = {**marks, **short}[name]
        for part, value in parts['base'].items():
            if part in ('loss_d', 'loss_g', 'lr_error'):
                continue
            factor = 3 if part in tripled else 1
            assert parts['changed'][part].item() == pytest.approx(factor * value.item(), rel=1e-4)


@pytest.mark.parametrize('warmup, decays', [(True, [1 / 10, 2 / 11, 3 / 12]), (False, [0.2] * 3)])
def test_ema_warms_up_and_copies_buffers(warmup, decays):
    model = build(ema_decay=0.2, ema_warmup=warmup)
    live, average = model.generator, model.generator_ema
    with torch.no_grad():
        for parameter in (*live.parameters(), *average.parameters()):
            parameter.fill_(1.0)
    expected = 1.0
    for step, decay in enumerate(decays):
        with torch.no_grad():
            for parameter in live.parameters():
                parameter.add_(1.0)
        live.from_rgb.weight_u.add_(0.25)
        move_average(average, live, decay_at(step, model.ema_decay, model.ema_warmup))
        decay = min(decay, 0.2)
        expected = decay * expected + (1 - decay) * live.to_rgb.conv.bias[0].item()
        assert all(torch.allclose(p, torch.tensor(expected)) for p in average.parameters())
        assert torch.equal(average.from_rgb.weight_u, live.from_rgb.weight_u)


def dial(**options):
    """The default recipe with LR sizes 4, 8 and 16, and free cells."""
    generator = dict(type='I2ILRGenerator', exact_lr='bilinear', **SMALL)
    draws = dict(type='TargetDraws', free=0.5)
    return recipe(
        **{
            **dict(
                generator=dict(**generator, lr_sizes=[4, 8, 16], partial=True), target_draws=draws
            ),
            **options,
        }
    )


def steps_of(model, count: int) -> list[dict]:
    wrapper = optimizers(model)
    projected = Adam(model.projected_discriminator.parameters(), lr=1e-3)
    wrapper.optim_wrappers['projected_discriminator'] = OptimWrapper(projected)
    return [model.train_step(batch(), wrapper) for _ in range(count)]


def test_a_dial_is_trained_at_every_lr_size_and_goes_on_from_its_state_dict():
    """Each LR size up to the usual one has a source loss, whose queue is in the state dict."""
    model = dial()
    torch.manual_seed(3)
    logs = steps_of(model, 8)
    assert all(value.isfinite().all() for log in logs for value in log.values())
    sizes = {model.target_draws.size(step) for step in range(8)}
    assert sizes == {4, 8, 16}
    drawn = [model.target_draws.size(step) for step in range(8)]
    seen = {size: loss.seen for size, loss in model.source_loss.items()}
    assert seen == {str(size): 4 * drawn.count(size) for size in (4, 8)}
    has_loss = ['loss_g_source' in log for log in logs]
    assert has_loss == [size < 16 for size in drawn]
    assert len({id(loss.network) for loss in model.source_loss.values()}) == 1
    other = dial()
    other.load_state_dict(model.state_dict())
    first, second = (steps_of(m, 2) for m in (model, other))
    for log, expected in zip(first, second):
        assert all(torch.equal(log[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(target_draws=None), "set target_draws=dict.type='TargetDraws'"),
        (dict(target_draws=dict(type='TargetDraws', lr_sizes=[8])), 'target_draws.lr_sizes is set'),
        (dict(target_draws=dict(type='TargetDraws', shares=[1])), 'one share'),
        (dict(target_draws=dict(type='TargetDraws')), 'generator.partial is True'),
    ],
)
def test_a_dial_needs_draws_that_fit_its_generator(options, message):
    with pytest.raises(ValueError, match=message):
        dial(**options)


def test_the_number_of_steps_survives_the_state_dict():
    model = build()
    model.train_step(batch(), optimizers(model))
    other = build()
    other.load_state_dict(model.state_dict())
    assert other.steps == model.steps == 1


def test_discriminator_gets_no_gradient_in_the_generator_step():
    model = build()
    wrappers = optimizers(model)
    model.train_step(batch(), wrappers)
    assert all(p.requires_grad for p in model.discriminator.parameters())
    gradients = [p.grad for p in model.discriminator.parameters() if p.grad is not None]
    assert all(g.count_nonzero() == 0 for g in gradients)


def test_bfloat16_step_is_near_the_float32_step():
    """bf16 has 8 bits of mantissa: losses agree to a few per cent, and are not the same."""
    logs = {}
    for dtype in (None, 'bfloat16'):
        model = build(autocast=dtype)
        logs[dtype] = model.train_step(batch(), optimizers(model))
    for name in ('loss_d', 'loss_g_cycle', 'loss_d_real'):
        assert logs['bfloat16'][name].item() == pytest.approx(logs[None][name].item(), rel=0.05)
    assert logs['bfloat16']['loss_g_cycle'] != logs[None]['loss_g_cycle']
    assert logs['bfloat16']['loss_r1'] == logs[None]['loss_r1']


def test_predictions():
    model = build().eval()
    data = batch(3)
    samples = model.val_step(copy.deepcopy(data))
    assert [s.fake_img.dtype for s in samples] == [torch.uint8] * 3
    inputs = model.data_preprocessor(data)['inputs']
    direct = model.generator_ema(inputs['img'], inputs['lr']).clamp(-1, 1)
    expected = ((direct + 1) * 127.5).round()
    assert torch.equal(torch.stack([s.fake_img for s in samples]).float(), expected)
    assert torch.equal(model.test_step(data)[0].fake_img, samples[0].fake_img)
    with torch.no_grad():
        model.generator.to_rgb.conv.bias.add_(1)
    live = model.predict(inputs['img'], inputs['lr'], 'generator')
    assert not torch.allclose(live, model.predict(inputs['img'], inputs['lr']))


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_predictions_that_are_not_finite_are_refused(value):
    model = build().eval()
    model.generator_ema.to_rgb.conv.bias.data[1] = value
    with pytest.raises(ValueError, match='not finite.*go back to an earlier checkpoint'):
        model.val_step(batch(2))


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(autocast='float16'), "'float16'.*bfloat16"),
        (dict(ema_decay=1.0), 'ema_decay is 1.0'),
        (dict(accumulation=0), 'accumulation is 0'),
        (dict(r1_loss=dict(type='R1Penalty', interval=0)), 'interval is 0'),
        (dict(r1_loss=dict(type='R1Penalty', interval=4.5)), 'interval is 4.5.*whole steps'),
        (dict(judge_reconstructions=1), 'judge_reconstructions is 1.*True and False'),
        (
            dict(generator=dict(type='I2ILRGenerator', **SMALL, init='xavier')),
            "init is 'xavier'; accepted are pytorch, kaiming",
        ),
        (dict(channels_last='no'), "channels_last is 'no'.*True and False"),
        (dict(compile='no'), "compile is 'no'.*True, False"),
        (
            dict(generator=dict(type='I2ILRGenerator', **SMALL, with_cp='no')),
            "with_cp is 'no'.*True and False",
        ),
        (dict(cycle_loss=dict(type='L1Loss', reduction='sum')), "reduction='sum'"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_pictures_of_another_size_are_refused():
    """Before any network sees them: the source loss is the first to look."""
    for model in (build(), recipe()):
        image = torch.zeros(2, 3, 64, 64)
        data = dict(inputs=dict(img=image, lr=down(image, 8)))
        with pytest.raises(ValueError, match='pictures of 64 x 64, .* for 32 x 32.*resize them'):
            model.train_step(data, optimizers(model))


def test_odd_batches_are_refused():
    model = build()
    with pytest.raises(ValueError, match='3 images'):
        model.train_step(batch(3), optimizers(model))
    with pytest.raises(ValueError, match='6 images for 2 part.*multiple of 4'):
        split = build(accumulation=2)
        split.train_step(batch(6), optimizers(split))


def test_parts_that_do_not_fit_each_other_are_refused():
    hinge = dict(type='GANLoss', gan_type='hinge')
    with pytest.raises(ValueError, match='projected_discriminator and projected_loss belong'):
        build(projected_loss=hinge)
    with pytest.raises(ValueError, match='lr_loss has no effect.*exact_lr'):
        recipe(lr_loss=dict(type='LRConsistencyLoss'))
    with pytest.raises(ValueError, match=r'discriminator.residual=True has no effect.*exact_lr'):
        recipe(discriminator=dict(type='LRResidualDiscriminator', **SMALL))
    generator = dict(type='I2ILRGenerator', exact_lr='bilinear', lr_method='bicubic', **SMALL)
    with pytest.raises(ValueError, match="generator.lr_method is 'bicubic'.*'box'"):
        recipe(generator=generator)


def test_the_model_passes_its_lr_operator_on():
    model = recipe(lr_method='bicubic')
    source, lr = torch.randn(2, 3, 32, 32), torch.rand(2, 3, 8, 8) - 0.5
    assert (down(model.generator(source, lr), 8, 'bicubic') - lr).abs().max() < 1e-5
    assert torch.equal(model.source_loss.exact.down_8, model.generator.exact.down_8)


def test_each_picture_is_seen_once_by_the_frozen_network():
    """Real ones and results for P; for the source loss sources and results without their LR."""
    sizes = []
    model = recipe()
    for part in (model.projected_discriminator, model.source_loss):
        part.network.register_forward_hook(lambda m, inputs, output: sizes.append(len(inputs[0])))
    wrappers = OptimWrapperDict(
        **optimizers(model),
        projected_discriminator=OptimWrapper(Adam(model.projected_discriminator.parameters())),
    )
    for _ in range(2):
        sizes.clear()
        model.train_step(batch(), wrappers)
    assert sorted(sizes) == [4, 4, 4, 8]


def test_checkpoints_hold_nothing_frozen():
    state = recipe().state_dict()
    assert not any('network' in name or 'mixing' in name or 'exact' in name for name in state)
    other = recipe()
    other.load_state_dict(state)
    assert other.source_loss.seen == 0
