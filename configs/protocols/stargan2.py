# StarGAN v2's protocol (Choi et al. 2020, reference-guided synthesis): every test picture is
# translated towards ten references of each other class; per ordered pair of classes, FID of these
# results against the training pictures of the target class on torchvision's Inception, and LPIPS
# (AlexNet) between the ten; means over the pairs. CelebA-HQ: 2 pairs of 10,000 results each, AFHQ:
# 6 of 5,000. Here a reference gives its LR picture, and pair_seed fixes the draw, which StarGAN v2
# leaves to chance.
_base_ = 'intra.py'

protocol = 'stargan2'

test_dataloader = dict(dataset=dict(n_targets=10, pairing='each_class'))
test_evaluator = [
    dict(type='LRConsistency'),
    dict(
        type='DistributionScores',
        network=dict(type='InceptionTorchvision'),
        by_class=True,
        real=dict(
            type='ImagePool',
            data_root=None,
            split='train',
            img_size=None,
            lr_size=None,
            pipeline=[
                dict(type='LoadPicture', key='img'),
                dict(type='ResizePicture', key='img', fit=None),
            ],
        ),
    ),
    dict(type='LPIPSDiversity', net='alex', by_class=True),
    dict(type='SourceKept', network=dict(type='EfficientNetLite0')),
    dict(type='SourceKept', network=dict(type='EfficientNetLite2')),
]
