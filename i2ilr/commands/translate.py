"""Translate pictures: i2ilr translate --model MODEL --source X --target Y --out DIR"""

import argparse

from ..options import (
    EXIT_CODES,
    add_device_arguments,
    add_model_arguments,
    add_picture_arguments,
    exit_by,
    parse_with_model,
    translator_of,
)


def parse_args(argv: list[str], prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog,
        description='Translate sources towards LR targets. One picture alone serves for all of the '
        'other side; otherwise they are taken in order, in a folder that of the names.',
        epilog=EXIT_CODES,
    )
    add_model_arguments(parser)
    add_picture_arguments(parser, source='pictures to translate', target='pictures to resemble')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder for the results')
    parser.add_argument('--all-pairs', action='store_true', help='every source with every target')
    parser.add_argument(
        '--blend',
        nargs='*',
        type=float,
        metavar='WEIGHT',
        help="the mean of all targets' LR pictures as the one target; a weight each, or all alike",
    )
    parser.add_argument(
        '--project',
        action='store_true',
        help='move each result so that the file meets its target within one grey level',
    )
    parser.add_argument(
        '--strength',
        type=float,
        default=1.0,
        metavar='0..1',
        help="1 asks for the target's LR picture, 0 for the source's own; default 1",
    )
    parser.add_argument(
        '--mask',
        metavar='PICTURE',
        help='greyscale picture of the LR size: the share of the target in each cell, white all; '
        'black leaves a cell free',
    )
    parser.add_argument(
        '--lr-size',
        type=int,
        metavar='N',
        help='LR targets of N x N, for a model that takes several sizes; the fewer pixels, the '
        'more is left to the source',
    )
    parser.add_argument(
        '--grey',
        action='store_true',
        help='take the luma of the targets alone; colours come from the source; for drawings and '
        'old photographs',
    )
    parser.add_argument('--grid', metavar='PNG', help='also draw the results into one picture')
    parser.add_argument('--overwrite', action='store_true', help='make results again that exist')
    parser.add_argument('--batch-size', type=int, default=16, help='default 16')
    add_device_arguments(parser)
    return parse_with_model(parser, argv)


def main(args: argparse.Namespace) -> None:
    from i2ilr_mm.apis.translate import translate_files

    translator = translator_of(args, device=args.device, batch_size=args.batch_size, amp=args.amp)
    done, failed = translate_files(
        translator,
        args.source,
        args.target,
        args.out,
        all_pairs=args.all_pairs,
        blend=args.blend or args.blend is not None,
        project=args.project,
        strength=args.strength,
        mask=args.mask,
        lr_size=args.lr_size,
        grey=args.grey,
        grid=args.grid,
        overwrite=args.overwrite,
    )
    exit_by(done, failed)
