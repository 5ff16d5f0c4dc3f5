"""Train a model: i2ilr train i2ilr_heads64"""

import argparse
import os

from ..options import add_config_arguments, add_launcher_arguments


def parse_args(argv: list[str], prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog, description='Train an I2I-LR model.')
    add_config_arguments(parser)
    add_launcher_arguments(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='PATH',
        help='go on from the last checkpoint of the work dir, or from PATH',
    )
    parser.add_argument(
        '--amp', action='store_true', help='bfloat16 autocast, where the hardware has it'
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rates by the total batch size over auto_scale_lr.base_batch_size',
    )
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    from i2ilr_mm.apis.runner import set_work_dir
    from i2ilr_mm.apis.train import set_amp, set_resume, train
    from i2ilr_mm.config import load_config

    cfg = load_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher or cfg.get('launcher', 'none')
    set_work_dir(cfg, args.work_dir, os.path.basename(args.config))
    set_resume(cfg, args.resume)
    if args.amp:
        set_amp(cfg)
    if args.auto_scale_lr:
        cfg.auto_scale_lr.enable = True
    train(cfg)
