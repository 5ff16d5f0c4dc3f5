# Everything that is not the experiment: hooks, logging, environment.
default_scope = 'mmagic'
custom_imports = dict(imports=['i2ilr_mm'], allow_failed_imports=False)

default_hooks = dict(
    runtime_info=dict(type='DeferredRuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=100, log_metric_by_epoch=False),
    checkpoint=dict(
        type='PlainCheckpointHook',
        by_epoch=False,
        interval=5000,
        max_keep_ckpts=3,
        save_best='kd_lite2',
        rule='less',
    ),
    cost=dict(type='CostHook'),
    throughput=dict(type='ThroughputHook'),
    samples=dict(type='SampleGridHook', interval=1000, n_pairs=6),
    watch=dict(type='CollapseWatchHook', interval=100),
)
log_processor = dict(
    type='LogProcessor',
    by_epoch=False,
    window_size=100,
    mean_pattern=r'.*(loss|time|lr_error).*',
)

# TensorBoard and W&B: docs/training.md
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])

# Networks are wrapped one by one; the EMA generator, which has no gradients, is not.
model_wrapper_cfg = dict(type='MMSeparateDistributedDataParallel')
env_cfg = dict(
    cudnn_benchmark=True,  # all batches have one size
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
)
randomness = dict(seed=0)
auto_scale_lr = dict(enable=False, base_batch_size=8)

launcher = 'none'
log_level = 'INFO'
load_from = None
resume = False
