# Adam as published: G 1e-3, D 4e-3, betas (0, 0.99), no schedule.
optim_wrapper = dict(
    constructor='MultiOptimWrapperConstructor',
    generator=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.0, 0.99))),
    discriminator=dict(
        type='OptimWrapper', optimizer=dict(type='Adam', lr=4e-3, betas=(0.0, 0.99))
    ),
)
