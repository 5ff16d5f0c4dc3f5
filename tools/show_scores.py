"""Print the scores of several runs side by side: show_scores.py before=a.json after=b.json"""

import argparse
import json
import sys


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Print scores written by tools/test.py.')
    parser.add_argument('runs', nargs='+', metavar='NAME=metrics.json')
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    runs = {}
    for run in args.runs:
        name, _, path = run.rpartition('=')
        try:
            with open(path, encoding='utf-8') as file:
                runs[name or path] = json.load(file)['scores']
        except (OSError, KeyError, ValueError) as error:
            sys.exit(f"error: '{path}' holds no scores of tools/test.py: {error!r}")
    first = next(iter(runs.values()))
    rows = [('score', *runs, 'unit', 'n', 'feature network')]
    for key, score in first.items():
        values = [f'{run[key]["value"]:.3f}' if key in run else '-' for run in runs.values()]
        count = f'{score["n"]}' + (f' / {score["n_real"]} real' if 'n_real' in score else '')
        better = 'lower' if score['better'] == 'lower' else 'higher'
        unit = f'{score["unit"]}, {better} is better'
        rows.append((key, *values, unit, count, score.get('network', '-')))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print('  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


if __name__ == '__main__':
    main(parse_args())
