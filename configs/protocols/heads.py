# For the rendered heads: as intra with two targets per source (800 results of the 400 embedded
# test heads), on Lite0 and Lite2, which need no download, and with transfer truth, as the
# heads' attributes are known.
_base_ = 'intra.py'

protocol = 'heads'

test_dataloader = dict(num_workers=0, dataset=dict(n_targets=2))
test_evaluator = [
    dict(type='LRConsistency'),
    dict(type='DistributionScores', network=dict(type='EfficientNetLite0')),
    dict(type='DistributionScores', network=dict(type='EfficientNetLite2')),
    dict(type='SourceKept', network=dict(type='EfficientNetLite0')),
    dict(type='SourceKept', network=dict(type='EfficientNetLite2')),
    dict(type='TransferTruth'),
]
