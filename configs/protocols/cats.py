# One target per source, on the networks that need no download: Lite0, which the projected
# discriminator trains on, and Lite2, which no loss sees.
_base_ = 'intra.py'

protocol = 'cats'

test_dataloader = dict(num_workers=0, dataset=dict(n_targets=1))
test_evaluator = [
    dict(type='LRConsistency'),
    dict(type='DistributionScores', network=dict(type='EfficientNetLite0')),
    dict(type='DistributionScores', network=dict(type='EfficientNetLite2')),
    dict(type='SourceKept', network=dict(type='EfficientNetLite0')),
    dict(type='SourceKept', network=dict(type='EfficientNetLite2')),
]
