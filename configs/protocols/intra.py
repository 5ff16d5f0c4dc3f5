# This method's own protocol: any picture of the test split as the source of any five others,
# whatever their class; results against the test split itself. CelebA-HQ: 10,000 results of 2,000
# pictures, AFHQ: 7,500 of 1,500. Inception with TensorFlow's weights and resize, as published FIDs
# mostly have it.
protocol = 'intra'

test_dataloader = dict(
    batch_size=16,
    num_workers=4,
    sampler=dict(type='SourceSampler'),
    dataset=dict(
        type='PairedPool',
        data_root=None,
        split='test',
        img_size=None,
        lr_size=None,
        n_targets=5,
        pairing='any',
        pair_seed=0,
        pair_file=None,
        pipeline=[
            dict(type='LoadPicture', key='img'),
            dict(type='ResizePicture', key='img', fit=None),
            dict(type='LoadPicture', key='target'),
            dict(type='ResizePicture', key='target', fit=None),
            dict(type='DownscaleLR', key='target', lr_method=None),
            dict(type='PackInputs', keys=['img', 'lr']),
        ],
    ),
)
test_evaluator = [
    dict(type='LRConsistency'),
    dict(type='DistributionScores', network=dict(type='InceptionTF')),
    dict(type='DistributionScores', network=dict(type='EfficientNetLite0')),
    dict(type='DistributionScores', network=dict(type='EfficientNetLite2')),
    dict(type='SourceKept', network=dict(type='EfficientNetLite0')),
    dict(type='SourceKept', network=dict(type='EfficientNetLite2')),
    dict(type='LPIPSDiversity', net='alex'),
]
test_cfg = dict(type='MultiTestLoop')
