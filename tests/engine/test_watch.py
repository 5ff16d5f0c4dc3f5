import logging
import math
from types import SimpleNamespace

import pytest
import torch
from mmagic.registry import MODELS
from mmengine.logging import MessageHub

from i2ilr_mm.engine.watch import CollapseWatchHook, NonFiniteError, check_losses, check_weights
from i2ilr_mm.models.losses import SoftplusGANLoss


@pytest.fixture
def runner(tmp_path, request):
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = logging.getLogger(request.node.name)
    logger.addHandler(handler)
    return SimpleNamespace(
        work_dir=str(tmp_path),
        iter=19,
        message_hub=MessageHub.get_instance(request.node.name),
        log_processor=SimpleNamespace(window_size=1),
        logger=logger,
        lines=lines,
        train_loop=SimpleNamespace(),
    )


def look(hook, runner, **losses: float) -> list[str]:
    """The warnings of one look at these losses."""
    runner.lines.clear()
    for name, value in losses.items():
        runner.message_hub.update_scalar(f'train/{name}', value)
    hook.after_train_iter(runner)
    return list(runner.lines)


def discriminator(per_term: float) -> dict[str, float]:
    return dict(loss_d_real=4 * per_term, loss_d_fake=2 * per_term, loss_d_rec=2 * per_term)


def test_losses_that_are_finite_pass(runner):
    check_losses(runner, [dict(a=1.0), dict(a=2.0)])


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_the_step_is_named(runner, value):
    steps = [dict(a=1.0, b=2.0), dict(a=value, b=2.0), dict(a=math.nan, b=math.nan)]
    with pytest.raises(NonFiniteError, match=rf'iteration 19: a is {value}\. .*no checkpoint yet'):
        check_losses(runner, steps)


def test_weights(runner):
    state = dict(a=torch.ones(2), b=torch.tensor([1.0, math.nan]), n=torch.tensor(3), x=None)
    with pytest.raises(NonFiniteError, match="1 of 4 weights are not finite, among them 'b'"):
        check_weights(runner, state)
    check_weights(runner, dict(a=torch.ones(2), n=torch.tensor(3)))


def test_saturation_is_told_once_until_it_is_over(runner):
    hook = CollapseWatchHook(interval=10)
    assert look(hook, runner, **discriminator(0.06)) == []
    (line,) = look(hook, runner, **discriminator(0.04))
    assert 'iteration 20: the discriminator saturates' in line and '0.040' in line
    assert look(hook, runner, **discriminator(0.03)) == []
    assert look(hook, runner, **discriminator(0.5)) == []
    assert len(look(hook, runner, **discriminator(0.04))) == 1
    assert len(look(CollapseWatchHook(10, saturated=0.7), runner, **discriminator(0.6))) == 1


def test_saturation_without_judged_reconstructions(runner):
    hook = CollapseWatchHook(interval=10)
    assert look(hook, runner, loss_d_real=2 * 0.06, loss_d_fake=2 * 0.06) == []
    (line,) = look(hook, runner, loss_d_real=2 * 0.04, loss_d_fake=2 * 0.04)
    assert '0.040' in line


def test_saturation_of_the_projected_discriminator(runner):
    hook = CollapseWatchHook(interval=10)
    fine = dict(loss_p_real=4 * 0.3, loss_p_fake=2 * 0.3, loss_p_rec=2 * 0.3)
    assert look(hook, runner, **fine, **discriminator(0.3)) == []
    (line,) = look(hook, runner, **{name: value / 10 for name, value in fine.items()})
    assert 'the projected discriminator saturates: its mean loss per term is 0.030' in line


@pytest.mark.parametrize(
    'loss, weight',
    [(SoftplusGANLoss(0.1), 0.1), (MODELS.build(dict(type='GANLoss', gan_type='hinge')), 1)],
)
def test_saturation_whatever_the_weight_of_the_loss(runner, loss, weight):
    hook = CollapseWatchHook(interval=10)
    runner.model = SimpleNamespace(gan_loss=loss)
    hook.before_train(runner)
    fine, low = ({k: v * weight for k, v in discriminator(d).items()} for d in (0.06, 0.04))
    assert look(hook, runner, **fine) == []
    (line,) = look(hook, runner, **low)
    assert 'its mean loss per term is 0.040' in line


def test_a_loss_that_is_off_is_not_watched(runner):
    hook = CollapseWatchHook(interval=10)
    runner.model = SimpleNamespace(gan_loss=SoftplusGANLoss(0.0))
    hook.before_train(runner)
    assert look(hook, runner, **discriminator(0.0)) == []


def test_a_rising_lr_error(runner):
    hook = CollapseWatchHook(interval=10)
    assert [look(hook, runner, lr_error=e) for e in (40.0, 5.0, 9.9)] == [[], [], []]
    (line,) = look(hook, runner, lr_error=10.5)
    assert 'the LR error rises: 10.5 grey levels, and it has been 5.0' in line
    resumed = CollapseWatchHook(interval=10, rise=3)  # the lowest is with the checkpoint
    assert look(resumed, runner, lr_error=14.0) == []
    assert len(look(resumed, runner, lr_error=16.0)) == 1


def test_an_lr_error_that_nobody_sees_is_not_warned_of(runner):
    hook = CollapseWatchHook(interval=10)
    assert [look(hook, runner, lr_error=e) for e in (0.05, 0.2, 1.0)] == [[], [], []]
    assert len(look(hook, runner, lr_error=1.1)) == 1


def test_falling_coverage(runner):
    hook = CollapseWatchHook()
    for value in (0.1, 0.5, 0.3, math.nan):
        hook.after_val_epoch(runner, dict(coverage_lite0=value, lr_mae=3.0))
    assert runner.lines == []
    hook.after_val_epoch(runner, dict(coverage_lite0=0.2))
    assert 'coverage_lite0 falls: 0.200, and it has been 0.500' in runner.lines[0]


def test_looks_only_when_due_and_only_at_what_is_there(runner):
    assert look(CollapseWatchHook(interval=7), runner, **discriminator(0.01)) == []
    runner.message_hub = MessageHub.get_instance('an empty one')
    assert look(CollapseWatchHook(interval=10), runner) == []
    with pytest.raises(ValueError, match='interval=0'):
        CollapseWatchHook(interval=0)
