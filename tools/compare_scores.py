"""Print the scores of several runs side by side: compare_scores.py before=a.json after=b.json"""

import argparse

from _cli import named_runs, run


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Print scores written by tools/test.py side by side; those of different '
        'protocols, data or settings are refused.'
    )
    parser.add_argument('runs', nargs='+', metavar='[NAME=]metrics.json')
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    from i2ilr_mm.evaluation.report import compare, read_report

    print(compare({name: read_report(path) for name, path in named_runs(args.runs).items()}))


if __name__ == '__main__':
    run(main, parse_args())
