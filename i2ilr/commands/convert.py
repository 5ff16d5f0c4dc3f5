"""Convert a checkpoint of the published code: i2ilr convert A B"""

import argparse


def parse_args(argv: list[str], prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog,
        description="Turn a checkpoint of the published I2I-LR code ('Gen', 'Dis', 'AverageG') "
        'into one that our configs load; optimiser states are left behind.',
    )
    parser.add_argument('reference', help='checkpoint of the published code')
    parser.add_argument('out', help='file to write; must not exist')
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    from i2ilr_mm.inference.reference_checkpoint import convert_file

    meta = convert_file(args.reference, args.out)
    widths = f'model.generator.base_channels={meta["base_channels"]} ' + ' '.join(
        f'model.{net}.max_channels={meta["max_channels"]}' for net in ('generator', 'discriminator')
    )
    print(
        f'wrote {args.out}; load it with configs/i2ilr_celebahq_128.py --cfg-options '
        f'img_size={meta["img_size"]} lr_size={meta["lr_size"]}'
        + ('' if (meta['base_channels'], meta['max_channels']) == (64, 512) else f' {widths}')
    )
