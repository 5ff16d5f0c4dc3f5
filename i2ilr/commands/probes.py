"""Train the probes of TransferTruth on real heads: i2ilr probes --out probes"""

import argparse


def parse_args(argv: list[str], prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog,
        description='Train the probes that read attributes off rendered heads, on the training '
        'heads alone, and say how often they are right on the test heads. '
        'i2ilr_mm/assets/heads64_probes.safetensors was made so.',
    )
    parser.add_argument('--data-root', default='embedded:heads64', help='default: embedded:heads64')
    parser.add_argument('--epochs', type=int, default=40, help='passes over the heads, default 40')
    parser.add_argument(
        '--lr-size',
        type=int,
        metavar='N',
        help='train on heads shrunk to N x N instead, to see what an LR target shows',
    )
    parser.add_argument('--out', required=True, metavar='FILE.safetensors')
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    from i2ilr_mm.heads64.train_probes import train_probes

    print(train_probes(args.data_root, args.epochs, args.out, lr_size=args.lr_size))
