"""Score a checkpoint: i2ilr test i2ilr_heads64 work_dirs/x/iter_4000.pth"""

import argparse
import os

from ..options import add_config_arguments, add_launcher_arguments, named_runs


def parse_args(argv: list[str], prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog, description='Score an I2I-LR model on its test pairs.')
    add_config_arguments(parser)
    parser.add_argument(
        'checkpoint',
        help='checkpoint to score (its EMA weights), a published model, the one '
        'that ships (embedded:heads64), or a baseline: untrained, copy-source, upscale-target, '
        'project-source',
    )
    parser.add_argument(
        '--protocol',
        metavar='NAME',
        help='pairs and scores of configs/protocols/NAME.py (intra, stargan2, heads) or of a file '
        "of your own, in place of the config's",
    )
    parser.add_argument(
        '--lr-size',
        type=int,
        metavar='N',
        help='score with LR targets of N x N, for a generator with lr_sizes',
    )
    parser.add_argument(
        '--free',
        type=float,
        default=0.0,
        metavar='SHARE',
        help='leave this share of the cells free, such as 0.5, for a generator with partial=True',
    )
    parser.add_argument(
        '--grey',
        action='store_true',
        help='take the luma of the targets alone; colours are those of the sources',
    )
    add_launcher_arguments(parser)
    parser.add_argument(
        '--out',
        metavar='metrics.json',
        help='file for the scores, default WORK_DIR/metrics.json; the pairs that were scored go '
        'beside it',
    )
    parser.add_argument('--samples', metavar='PNG', help='draw some test pairs into a picture')
    parser.add_argument(
        '--plots',
        metavar='DIR',
        help='draw pairs from the best to the worst LR error, and the Frechet distance against the '
        'number of results',
    )
    parser.add_argument(
        '--beside',
        nargs='+',
        default=[],
        metavar='[NAME=]CHECKPOINT',
        help='further columns in the pictures of --samples and --plots: the results of these '
        'models of the same config',
    )
    args = parser.parse_args(argv)
    if args.beside and not (args.samples or args.plots):
        parser.error('--beside is shown in the pictures of --samples or --plots; give one of them')
    return args


def main(args: argparse.Namespace) -> None:
    from i2ilr_mm.apis.runner import set_work_dir
    from i2ilr_mm.apis.score import ask_for, score
    from i2ilr_mm.config import find_config, load_config

    protocol = args.protocol
    if protocol and not protocol.endswith('.py'):
        protocol = find_config(f'protocols/{protocol}')
    cfg = load_config(args.config, args.cfg_options, protocol)
    ask_for(cfg, args.lr_size, args.free, args.grey)
    cfg.launcher = args.launcher or cfg.get('launcher', 'none')
    set_work_dir(cfg, args.work_dir, os.path.basename(args.config))
    score(cfg, args.checkpoint, args.out, args.samples, args.plots, named_runs(args.beside))
