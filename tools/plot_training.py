"""Draw scores over training: python tools/plot_training.py work_dirs/x --out curves.png"""

import argparse

from _cli import named_runs, run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Draw scores and LR error over training, from the logs in work dirs.'
    )
    parser.add_argument('runs', nargs='+', metavar='[NAME=]WORK_DIR')
    parser.add_argument('--out', default='curves.png', metavar='PNG', help='default curves.png')
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    from i2ilr_mm.evaluation.plots import plot_curves

    plot_curves(named_runs(args.runs), args.out)
    print(f'curves: {args.out}')


if __name__ == '__main__':
    run(main, parse_args())
