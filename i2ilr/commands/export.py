"""Export a model: i2ilr export --model MODEL OUT --format onnx"""

import argparse
import os

from ..options import add_model_arguments, parse_with_model, translator_of


def parse_args(argv: list[str], prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog,
        description='Write the EMA generator, ready for use, for ONNX runtimes or torch.export; '
        'inputs are source (B, 3, H, H) and lr (B, 3, s, s) in [-1, 1], B free. lr has four '
        'channels for a model that takes free cells. The file is compared with PyTorch, and both '
        'are timed.',
    )
    add_model_arguments(parser)
    parser.add_argument('out', help='file to write, .onnx or .pt2; must not exist')
    parser.add_argument('--format', choices=['onnx', 'torch-export'], default='onnx')
    parser.add_argument(
        '--project', action='store_true', help='move results to their LR targets inside it'
    )
    parser.add_argument(
        '--lr-size',
        type=int,
        metavar='N',
        help='LR targets of N x N, for a model that takes several sizes: a file for each',
    )
    return parse_with_model(parser, argv)


def main(args: argparse.Namespace) -> None:
    from i2ilr_mm.inference.export import compare, export

    model = translator_of(args, device='cpu')
    export(model, args.out, args.format, args.project, args.lr_size)
    comparison = compare(model, args.out, args.project, args.lr_size)
    print(
        f'wrote {args.out}\n'
        f'largest difference from PyTorch: {comparison["largest difference"]:.1e}, '
        f'{comparison["grey levels"]:.4f} grey levels\n'
        f'one picture: {comparison["exported"] * 1000:.1f} ms exported, '
        f'{comparison["pytorch"] * 1000:.1f} ms in PyTorch'
    )
    if not comparison['largest difference'] <= 1e-4:
        os.rename(args.out, f'{args.out}.wrong')
        raise ValueError(
            f"'{args.out}' differs from PyTorch by more than 1e-4; it is now '{args.out}.wrong'"
        )
