"""Draw scores over training: i2ilr plot work_dirs/x --out curves.png"""

import argparse

from ..options import named_runs


def parse_args(argv: list[str], prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog, description='Draw scores and LR error over training, from the logs in work dirs.'
    )
    parser.add_argument('runs', nargs='+', metavar='[NAME=]WORK_DIR')
    parser.add_argument('--out', default='curves.png', metavar='PNG', help='default curves.png')
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    from ..curves import plot_curves

    plot_curves(named_runs(args.runs), args.out)
    print(f'curves: {args.out}')
