"""Print a row of docs/board.md: i2ilr board work_dirs/x --kd 0.06 --kept 0.8"""

import argparse


def parse_args(argv: list[str], prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog,
        description='Print how long a training took until one of its validations had KD-lite0 of '
        'at most KD and kept at least KEPT of the sources, as a row of docs/board.md.',
    )
    parser.add_argument('work_dir', help='work dir of a training')
    parser.add_argument('--kd', type=float, required=True, help='KD-lite0, above 0')
    parser.add_argument('--kept', type=float, required=True, help='share of sources, in [0, 1]')
    parser.add_argument('--commit', required=True, help='commit of the code that trained')
    parser.add_argument('--machine', required=True, help='processor and number of threads')
    parser.add_argument('--recipe', default='', help="name of the recipe; default: the config's")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    from ..board import board_row

    print(board_row(**vars(args)))
