# Adam as published: G 1e-3, D 4e-3, betas (0, 0.99), no schedule.
optim_wrapper = dict(
    constructor='I2ILROptimWrapperConstructor',
    generator=dict(
        type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.0, 0.99), fused=True)
    ),
    discriminator=dict(
        type='OptimWrapper', optimizer=dict(type='Adam', lr=4e-3, betas=(0.0, 0.99), fused=True)
    ),
)
