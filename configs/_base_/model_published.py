# The published networks, losses and average to the letter. None follows the config's top level.
sizes = dict(img_size=None, lr_size=None)
model = dict(
    type='I2ILR',
    data_preprocessor=dict(type='I2ILRPreprocessor', non_blocking=True),
    generator=dict(type='I2ILRGenerator', **sizes),
    discriminator=dict(type='LRResidualDiscriminator', **sizes),
    gan_loss=dict(type='SoftplusGANLoss', loss_weight=1.0),
    r1_loss=dict(type='R1Penalty', gamma=10.0, mode='reference', interval=1),
    cycle_loss=dict(type='L1Loss', loss_weight=1.0),
    lr_loss=None,
    lr_method=None,
    ema_decay=0.999,
    ema_warmup=False,
    autocast=None,
    accumulation=1,
    compile=False,
    channels_last=False,
)
del sizes
