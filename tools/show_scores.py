"""Print the scores of several runs side by side: show_scores.py before=a.json after=b.json"""

import argparse
import json
import sys


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Print scores written by tools/test.py.')
    parser.add_argument('runs', nargs='+', metavar='NAME=metrics.json')
    return parser.parse_args()


def read_scores(path: str) -> dict[str, dict]:
    try:
        with open(path, encoding='utf-8') as file:
            content = json.load(file)
    except (OSError, ValueError) as error:
        sys.exit(f"error: '{path}' cannot be read: {error}")
    if 'scores' not in content:
        sys.exit(f"error: '{path}' holds no scores; give a metrics.json of tools/test.py")
    return content['scores']


def counts(score: dict) -> str:
    return f'{score["n"]}' + (f' / {score["n_real"]} real' if 'n_real' in score else '')


def main(args: argparse.Namespace) -> None:
    runs = {
        name or path: read_scores(path) for name, _, path in (r.rpartition('=') for r in args.runs)
    }
    rows = [('score', *runs, 'unit', 'n', 'feature network')]
    differ = []
    for key in dict.fromkeys(key for scores in runs.values() for key in scores):
        found = [scores[key] for scores in runs.values() if key in scores]
        values = [f'{s[key]["value"]:.3f}' if key in s else '-' for s in runs.values()]
        n = list(dict.fromkeys(counts(score) for score in found))
        networks = list(dict.fromkeys(score.get('network', '-') for score in found))
        if len(n) > 1 or len(networks) > 1:
            differ.append(key)
        unit = f'{found[0]["unit"]}, {found[0]["better"]} is better'
        rows.append((key, *values, unit, ', '.join(n), ', '.join(networks)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print('  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    if differ:
        print(f'warning: not comparable, n or the network differ: {", ".join(differ)}')


if __name__ == '__main__':
    main(parse_args())
