"""Print the scores of several runs side by side: i2ilr compare before=a.json after=b.json"""

import argparse

from ..options import named_runs


def parse_args(argv: list[str], prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog,
        description='Print scores written by `i2ilr test` side by side; those of different '
        'protocols, data or settings are refused.',
    )
    parser.add_argument('runs', nargs='+', metavar='[NAME=]metrics.json')
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    from ..scores import compare, read_report

    print(compare({name: read_report(path) for name, path in named_runs(args.runs).items()}))
