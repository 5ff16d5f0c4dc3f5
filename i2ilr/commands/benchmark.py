"""Time the training step and its options: i2ilr benchmark i2ilr_heads64"""

import argparse

from ..options import add_config_arguments

VARIANTS: dict[str, dict[str, object]] = {
    'default': {},
    'published recipe': dict(published=True),
    'published recipe, written plainly': dict(published=True, plain=True),
    'channels_last': dict(channels_last=True),
    'channels_first': dict(channels_last=False),
    'lazy R1': dict(interval=16),
    'bf16': dict(autocast='bfloat16'),
    'compile': dict(compile=True),
    'CUDA graphs': dict(compile=dict(mode='reduce-overhead')),
    'bf16 + lazy R1': dict(autocast='bfloat16', interval=16),
    'bf16 + lazy R1 + channels_last': dict(autocast='bfloat16', interval=16, channels_last=True),
    'bf16 + lazy R1 + compile': dict(autocast='bfloat16', interval=16, compile=True),
    'bf16 + lazy R1 + CUDA graphs': dict(
        autocast='bfloat16', interval=16, compile=dict(mode='reduce-overhead')
    ),
    'accumulation 2': dict(accumulation=2),
    'activation checkpointing': dict(with_cp=True),
}
"""Name to options; the step written plainly always runs, for the ratios."""

DEFAULTS = [name for name in VARIANTS if 'compile' not in name and 'graphs' not in name]


def parse_args(argv: list[str], prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog,
        description='Time the step written plainly against ours and its options, interleaved; '
        'print a table and write it as Markdown and JSON.',
    )
    add_config_arguments(parser)
    parser.add_argument('--batch-size', type=int, help="pictures per step; default: the config's")
    parser.add_argument('--rounds', type=int, default=5, help='timed steps of each (default: 5)')
    parser.add_argument(
        '--variants',
        nargs='+',
        choices=[*VARIANTS, 'all'],
        default=DEFAULTS,
        metavar='NAME',
        help=f'what to time besides the reference: all, or of {", ".join(VARIANTS)} (default: all '
        f'without torch.compile, which takes minutes to compile); in quotes, as "lazy R1", which '
        f'is R1 every 16th step, timed as the mean over 16',
    )
    parser.add_argument('--threads', type=int, help='CPU threads, 1 or more (default: all cores)')
    parser.add_argument('--no-data', action='store_true', help='leave out the input pipeline')
    parser.add_argument(
        '--out', default='work_dirs/benchmark', help='folder for benchmark.json and benchmark.md'
    )
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    from i2ilr_mm.benchmark.benchmark import benchmark
    from i2ilr_mm.config import load_config

    if args.rounds < 1:
        raise ValueError(f'--rounds is {args.rounds}; at least 1 is needed')
    if args.threads is not None and args.threads < 1:
        raise ValueError(f'--threads is {args.threads}; at least 1 is needed')
    cfg = load_config(args.config, args.cfg_options)
    if args.batch_size is not None:
        if args.batch_size < 2 or args.batch_size % 2:
            raise ValueError(f'--batch-size is {args.batch_size}; pairs need an even number')
        cfg.train_dataloader.batch_size = args.batch_size
    names = list(VARIANTS) if 'all' in args.variants else args.variants
    variants = {name: VARIANTS[name] for name in names}
    print(benchmark(cfg, variants, args.rounds, args.threads, not args.no_data, args.out))
