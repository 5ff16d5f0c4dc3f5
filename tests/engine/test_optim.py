import pytest
from mmagic.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS

import i2ilr_mm  # noqa: F401

SMALL = dict(img_size=32, lr_size=8, base_channels=4, max_channels=8)


def wrappers(
    interval: int = 1,
    optimizer: dict | None = None,
    off: tuple[str, ...] = (),
    networks: tuple[str, ...] = ('generator', 'discriminator'),
    **options,
):
    model = MODELS.build(
        dict(
            type='I2ILR',
            generator=dict(type='I2ILRGenerator', **SMALL),
            discriminator=dict(type='LRResidualDiscriminator', **SMALL),
            r1_loss=dict(type='R1Penalty', interval=interval),
        )
    )
    adam = optimizer or dict(type='Adam', lr=0.004, betas=(0.5, 0.99))
    wrapper = dict(type='OptimWrapper', optimizer=adam, **options)
    constructor = OPTIM_WRAPPER_CONSTRUCTORS.build(
        dict(
            type='I2ILROptimWrapperConstructor',
            optim_wrapper_cfg={**dict.fromkeys(networks, wrapper), **dict.fromkeys(off)},
        )
    )
    return constructor(model)


def test_lazy_r1_corrects_the_discriminators_adam():
    built = wrappers(interval=16)
    (group,) = built['discriminator'].optimizer.param_groups
    assert group['lr'] == pytest.approx(0.004 * 16 / 17) and group['r1_interval'] == 16
    assert group['betas'] == pytest.approx((0.5 ** (16 / 17), 0.99 ** (16 / 17)))
    for name, other in (('generator', built), ('discriminator', wrappers())):
        (group,) = other[name].optimizer.param_groups
        assert (group['lr'], group['betas']) == (0.004, (0.5, 0.99))


def test_optimisers_without_betas_keep_their_pace():
    (group,) = wrappers(4, dict(type='SGD', lr=1.0))['discriminator'].optimizer.param_groups
    assert group['lr'] == pytest.approx(0.8)


def test_accumulation_of_mmengine_is_refused():
    with pytest.raises(ValueError, match='accumulative_counts is 2; set model.accumulation'):
        wrappers(accumulative_counts=2)


def test_every_trained_network_has_an_optimiser_and_no_other():
    with pytest.raises(ValueError, match='no entry for model.discriminator, which would not be'):
        wrappers(networks=('generator',))
    names = ('generator', 'discriminator', 'projected_discriminator')
    with pytest.raises(ValueError, match='optim_wrapper.projected_discriminator belongs to no'):
        wrappers(networks=names)


def test_none_switches_an_inherited_entry_off():
    built = wrappers(off=('projected_discriminator',))
    assert set(built.keys()) == {'generator', 'discriminator'}
    with pytest.raises(ValueError, match='no entry for model.discriminator, which would not be'):
        wrappers(off=('discriminator',))
