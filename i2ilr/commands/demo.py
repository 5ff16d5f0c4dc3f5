"""A web page to translate pictures: i2ilr demo --model MODEL, then open the address."""

import argparse

from ..options import (
    add_device_arguments,
    add_model_arguments,
    parse_with_model,
    translator_of,
)


def parse_args(argv: list[str], prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog,
        description='Serve a web page: drop a source, drop or paint an LR target, see the result. '
        'Works offline; only this machine can reach it unless --host says otherwise.',
    )
    add_model_arguments(parser)
    parser.add_argument('--host', default='127.0.0.1', help='address to serve, default 127.0.0.1')
    parser.add_argument('--port', type=int, default=7860, help='default 7860; 0 takes a free one')
    parser.add_argument(
        '--examples',
        metavar='PICTURES',
        help='folder or zip; the page offers some of its pictures; default: embedded:heads64 for '
        'models of heads, and no examples for others',
    )
    parser.add_argument(
        '--max-upload-mb', type=float, default=20.0, metavar='MB', help='default 20'
    )
    add_device_arguments(parser)
    return parse_with_model(parser, argv)


def main(args: argparse.Namespace) -> None:
    from i2ilr_mm.inference.demo import create_app, serve

    model = translator_of(args, device=args.device, amp=args.amp)
    app = create_app(model, args.examples, args.max_upload_mb, args.host)
    serve(app, args.host, args.port)
