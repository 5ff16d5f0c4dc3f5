"""One rank of a scoring that must not depend on the number of ranks.

Usage: score_worker.py OUT MANY FEW, in ranks of conftest.fork; OUT gets the reports on the pictures
in MANY and FEW.
"""

import os
import sys

import torch
from conftest import tiny
from mmengine.dist import get_dist_info
from scoring import MeanColour

from i2ilr.files import write_json
from i2ilr_mm.apis.runner import build_runner, leave_group
from i2ilr_mm.config import load_config
from i2ilr_mm.evaluation.metrics import base
from i2ilr_mm.evaluation.report import collect_reports, report_dict

COLOURS = dict(type='DistributionScores', network=dict(type='MeanColour'), cache_dir=None, k=1)
build_features = base.build_features


def stand_in(config: dict):
    """LPIPS needs a file that is not there."""
    return MeanColour() if config['type'] == 'LPIPS' else build_features(config)


def report(data: str, work_dir: str, evaluator: list[dict]) -> dict:
    cfg = load_config('configs/i2ilr_heads64.py', {**tiny(), 'data_root': data})
    cfg.merge_from_dict(dict(work_dir=work_dir, experiment_name=work_dir))
    cfg.test_dataloader.update(batch_size=2)
    cfg.test_dataloader.dataset.update(n_targets=2, pairing='each_class')
    cfg.test_evaluator = evaluator
    runner = build_runner(cfg)
    runner.test()
    found = [metric for e in runner.test_loop.evaluators for metric in e.metrics]
    return report_dict(collect_reports(found))


if __name__ == '__main__':
    out, *roots = sys.argv[1:]
    torch.set_num_threads(1)
    base.build_features = stand_in
    if 'RANK' in os.environ:
        torch.distributed.init_process_group('gloo')
    cache = os.path.join(os.path.dirname(out), 'cache')
    everything = [
        dict(type='LRConsistency'),
        dict(COLOURS, by_class=True),
        dict(COLOURS, network=dict(type='EfficientNetLite0'), k=2, cache_dir=cache),
        dict(type='LPIPSDiversity', by_class=True),
        dict(type='TransferTruth'),
    ]
    name = f'{os.path.splitext(out)[0]}-{get_dist_info()[1]}'
    found = [
        report(roots[0], f'{name}-many', everything),
        report(roots[1], f'{name}-few', everything[:2]),
    ]
    if get_dist_info()[0] == 0:
        write_json(out, found)
    leave_group()
