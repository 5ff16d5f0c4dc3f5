# Pictures in, pairs out. None follows the config's top level; transforms take the dataset's sizes.
lr_method = 'box'
fit = 'stretch'

train_pipeline = [
    dict(type='LoadPicture', key='img'),
    dict(type='ResizePicture', key='img', fit=None),
    dict(type='Flip', keys=['img'], flip_ratio=0.5, direction='horizontal'),
    dict(type='DownscaleLR', key='img', lr_method=None),
    dict(type='PackInputs', keys=['img', 'lr']),
]
pair_pipeline = [
    dict(type='LoadPicture', key='img'),
    dict(type='ResizePicture', key='img', fit=None),
    dict(type='LoadPicture', key='target'),
    dict(type='ResizePicture', key='target', fit=None),
    dict(type='DownscaleLR', key='target', lr_method=None),
    dict(type='PackInputs', keys=['img', 'lr']),
]
pool = dict(data_root=None, img_size=None, lr_size=None)

train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    collate_fn=dict(type='default_collate'),  # stacked by the workers
    sampler=dict(type='PairSampler'),
    dataset=dict(type='ImagePool', split='train', pipeline=train_pipeline, **pool),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='SourceSampler'),
    dataset=dict(
        type='PairedPool',
        split='val',
        n_targets=1,
        pairing='any',
        pair_seed=0,
        pair_file=None,
        pipeline=pair_pipeline,
        **pool,
    ),
)

# During training the scores that need no download; tools/test.py has those of configs/protocols.
val_evaluator = [
    dict(type='LRConsistency'),
    dict(type='DistributionScores', network=dict(type='EfficientNetLite0')),
    dict(type='DistributionScores', network=dict(type='EfficientNetLite2')),
    dict(type='SourceKept', network=dict(type='EfficientNetLite0')),
    dict(type='SourceKept', network=dict(type='EfficientNetLite2')),
]
val_cfg = dict(type='MultiValLoop')

# Only the loaders are read; an option for these would change nothing.
del train_pipeline, pair_pipeline, pool
