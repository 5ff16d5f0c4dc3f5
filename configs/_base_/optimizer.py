# Adam with betas (0, 0.99), no schedule: G 1e-3 as published, D and P 2e-3.
optim_wrapper = dict(
    constructor='I2ILROptimWrapperConstructor',
    generator=dict(
        type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.0, 0.99), fused=True)
    ),
    discriminator=dict(
        type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-3, betas=(0.0, 0.99), fused=True)
    ),
    projected_discriminator=dict(
        type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-3, betas=(0.0, 0.99), fused=True)
    ),
)
