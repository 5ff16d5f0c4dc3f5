"""Write a trained generator for others: i2ilr publish CONFIG CKPT OUT"""

import argparse
import os

from ..options import add_config_arguments
from ..scores import read_report


def parse_args(argv: list[str], prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog,
        description='Write the EMA generator of a checkpoint, with spectral norm folded in. The '
        'file describes itself: it needs no config to be used.',
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint of a training')
    parser.add_argument(
        'out',
        help='.safetensors file to write, or a new folder, which gets the file and a model card',
    )
    parser.add_argument('--data', metavar='TEXT', help='what it was trained on, in words')
    parser.add_argument(
        '--licence', metavar='ID', help='licence of the weights, such as CC0-1.0 or CC-BY-NC-4.0'
    )
    parser.add_argument(
        '--scores', metavar='metrics.json', help='what `i2ilr test` wrote about this checkpoint'
    )
    parser.add_argument(
        '--push-to-hub',
        metavar='USER/NAME',
        help='also upload file and model card to the Hugging Face Hub',
    )
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    scores = None
    if args.scores:
        report = read_report(args.scores)
        # Without the folders of whoever scored it.
        data = os.path.basename(str(report.get('data')))
        scores = dict(data=data, protocol=report.get('protocol'), scores=report['scores'])

    from i2ilr_mm.inference.hub import check_hub_id, push_to_hub, save_pretrained
    from i2ilr_mm.inference.model import init_model
    from i2ilr_mm.inference.release import SUFFIX, describe, write_release

    if args.push_to_hub:
        check_hub_id(args.push_to_hub)
    model = init_model(args.config, args.checkpoint, cfg_options=args.cfg_options)
    stated = dict(data=args.data, licence=args.licence, scores=scores)
    facts = {**describe(model), **{k: v for k, v in stated.items() if v is not None}}
    network = model.generator_ema.deploy()
    if args.out.endswith(SUFFIX):
        write_release(network, facts, args.out)
        print(f'wrote {args.out}, {os.path.getsize(args.out) / 1e6:.2f} MB')
    else:
        save_pretrained(network, facts, args.out)
        print(f'wrote {", ".join(os.path.join(args.out, n) for n in sorted(os.listdir(args.out)))}')
    if args.push_to_hub:
        print(f'uploaded: {push_to_hub(network, facts, args.push_to_hub)}')
