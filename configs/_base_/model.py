# The default recipe: an exact LR layer, D without spectral norm, a projected discriminator beside
# it, and a contrastive loss that holds on to the source. None follows the config's top level.
sizes = dict(img_size=None, lr_size=None)
model = dict(
    type='I2ILR',
    data_preprocessor=dict(type='I2ILRPreprocessor', non_blocking=True),
    generator=dict(type='I2ILRGenerator', exact_lr='bilinear', **sizes),
    discriminator=dict(type='LRResidualDiscriminator', norm='none', residual=False, **sizes),
    projected_discriminator=dict(type='ProjectedDiscriminator', **sizes),
    gan_loss=dict(type='SoftplusGANLoss', loss_weight=1.0),
    projected_loss=dict(type='GANLoss', gan_type='hinge', loss_weight=0.25),
    r1_loss=dict(type='R1Penalty', gamma=1.0, mode='standard', interval=1),
    cycle_loss=dict(type='L1Loss', loss_weight=2.0),
    source_loss=dict(type='ContrastiveSourceLoss', loss_weight=0.5, **sizes),
    lr_method=None,
    ema_decay=0.999,
    ema_warmup=True,
    autocast=None,
    accumulation=1,
    compile=False,
    channels_last=True,
)
del sizes
