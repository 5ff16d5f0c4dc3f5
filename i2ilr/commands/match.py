"""Match pictures with LR targets: i2ilr match --image X --target Y --out DIR"""

import argparse
import re

from ..options import EXIT_CODES, add_picture_arguments, exit_by


def parse_args(argv: list[str], prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog,
        description='Move pictures of any origin to LR targets, so that shrunk to 8 x 8 they equal '
        'them, and keep the detail. One target serves for all images, or one of the same name for '
        'each.',
        epilog=EXIT_CODES,
    )
    add_picture_arguments(
        parser,
        image='pictures to move, of 8 or 16 bits',
        target='pictures to meet: LR targets themselves, or whole pictures, which are shrunk',
    )
    parser.add_argument(
        '--out', required=True, metavar='PLACE', help='folder for the results, or one .png file'
    )
    parser.add_argument(
        '--lr-size',
        type=grid,
        default=8,
        metavar='N|HxW',
        help='size of the LR pictures, 12x16 for 12 rows and 16 columns; default 8',
    )
    parser.add_argument(
        '--lr-method',
        choices=['box', 'bicubic'],
        default='box',
        help='how pictures are shrunk; default box, the mean of each cell',
    )
    parser.add_argument('--overwrite', action='store_true', help='make results again that exist')
    return parser.parse_args(argv)


def grid(text: str) -> int | tuple[int, int]:
    """A side, or rows and columns."""
    sides = re.fullmatch(r'([1-9]\d{0,5})(?:x([1-9]\d{0,5}))?', text)
    if not sides:
        raise argparse.ArgumentTypeError(f"'{text}' is neither a number, as 8, nor HxW, as 12x16")
    return int(sides[1]) if sides[2] is None else (int(sides[1]), int(sides[2]))


def main(args: argparse.Namespace) -> None:
    from i2ilr_mm.apis.match import match_files

    done, failed = match_files(
        args.image,
        args.target,
        args.out,
        lr_size=args.lr_size,
        lr_method=args.lr_method,
        overwrite=args.overwrite,
    )
    exit_by(done, failed)
