"""Write a trained generator for others: python tools/publish_model.py CONFIG CKPT OUT"""

import argparse
import os

from ..options import add_config_arguments


def parse_args(argv: list[str], prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog,
        description='Write the EMA generator of a checkpoint, with spectral norm folded in, as a '
        '.safetensors file for tools/test.py and init_model.',
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint of a training')
    parser.add_argument('out', help='.safetensors file to write; must not exist')
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    from i2ilr_mm.inference.model import init_model
    from i2ilr_mm.inference.release import publish

    model = init_model(args.config, args.checkpoint, cfg_options=args.cfg_options)
    publish(model, args.out, dict(config=os.path.basename(args.config), steps=model.ema_updates))
    print(f'wrote {args.out}, {os.path.getsize(args.out) / 1e6:.2f} MB')
