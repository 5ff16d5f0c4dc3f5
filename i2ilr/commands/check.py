"""Check that a machine trains and translates as it should: i2ilr check"""

import argparse
import sys

CONFIGS = ['i2ilr_heads64', 'i2ilr_celebahq_128', 'i2ilr_celebahq']


def parse_args(argv: list[str], prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog,
        description='Translate and train on the GPU and compare with the CPU; resume; train on two '
        'GPUs; time every option of the training step. Writes OUT/check.md and check.json after '
        'each check. Without a GPU it does what a CPU can.',
    )
    parser.add_argument(
        '--configs',
        nargs='+',
        default=CONFIGS,
        metavar='NAME',
        help=f'configs whose steps are timed (default: {" ".join(CONFIGS)})',
    )
    parser.add_argument('--rounds', type=int, default=5, help='timed steps of each (default: 5)')
    parser.add_argument('--out', default='work_dirs/check', help='folder for the report and logs')
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    from i2ilr_mm.benchmark.check import run_checks
    from i2ilr_mm.benchmark.machine import Machine
    from i2ilr_mm.config import find_config

    if args.rounds < 1:
        raise ValueError(f'--rounds is {args.rounds}; at least 1 is needed')
    for config in args.configs:
        find_config(config)
    outcomes = run_checks(Machine(args.out, args.configs, args.rounds))
    print(f'report: {args.out}/check.md')
    sys.exit(any(outcome.state == 'FAILED' for outcome in outcomes))
