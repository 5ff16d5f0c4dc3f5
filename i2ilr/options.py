"""Arguments that several commands share; imports nothing heavy, so that --help is instant."""

import argparse
import ast
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from i2ilr_mm.inference.translator import Translator

PLACES = ('data_root', 'work_dir', 'pair_file', 'load_from', 'weights', 'cache_dir', 'out_dir')
"""Settings that are names of files or folders: 2020 is a folder there, and no number."""


class CfgOptions(argparse.Action):
    """Collects KEY=VALUE options; values are Python literals, lists like 1,2 or plain text."""

    def __call__(self, parser, namespace, values, option_string=None):  # type: ignore[no-untyped-def]
        options = dict(getattr(namespace, self.dest) or {})
        for item in values:
            key, separator, value = item.partition('=')
            if not key or not separator:
                parser.error(f"--cfg-options takes KEY=VALUE, and got '{item}'")
            place = key.rpartition('.')[2] in PLACES and value.lower() != 'none'
            options[key] = value if place else parse_value(value)
        setattr(namespace, self.dest, options)


def parse_value(text: str) -> object:
    """Read a number, True, None, list, tuple or dict; anything else is text.

    As with MMEngine's tools, ``a,b`` and ``[a,b]`` are lists and ``(a,b)`` is a tuple; quotes keep
    a text with commas whole.
    """
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        parts = _split(text)
        if parts is None:
            return {'true': True, 'false': False, 'none': None}.get(text.lower(), text)
        value = [parse_value(part.strip()) for part in parts]
        return tuple(value) if text.startswith('(') else value
    # Without brackets Python reads a tuple.
    return list(value) if isinstance(value, tuple) and not text.strip().startswith('(') else value


def _split(text: str) -> list[str] | None:
    """The parts of a list at its own commas, or None if the text is none."""
    inner = text[1:-1] if (text[:1], text[-1:]) in (('[', ']'), ('(', ')')) else text
    depth, parts = 0, ['']
    for character in inner:
        depth += (character in '([{') - (character in ')]}')
        if character == ',' and depth == 0:
            parts.append('')
        else:
            parts[-1] += character
    return parts if (len(parts) > 1 or inner is not text) and depth == 0 else None


EXIT_CODES = (
    'Exit codes: 0 all results are there; 1 nothing could be done; 2 the command line is wrong; '
    '3 some pictures could not be used, and the rest was worked on.'
)
"""Of commands that work on many pictures, see :func:`exit_by`."""


def exit_by(done: int, failed: int) -> NoReturn:
    """End the process by the numbers of results that are there, and of those that failed."""
    sys.exit(0 if not failed else 3 if done else 1)


def add_picture_arguments(parser: argparse.ArgumentParser, **what: str) -> None:
    """An option for each name, which takes pictures; ``what`` says which."""
    for name, described in what.items():
        parser.add_argument(
            f'--{name}',
            nargs='+',
            required=True,
            metavar='PICTURE',
            help=f"{described}; files, folders, zips or patterns such as 'photos/*.jpg'",
        )


def add_config_arguments(parser: argparse.ArgumentParser, nargs: str | None = None) -> None:
    parser.add_argument(
        'config',
        nargs=nargs,
        help='config file, or the name of one that comes with the project, such as i2ilr_heads64',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=CfgOptions,
        metavar='KEY=VALUE',
        default={},
        help='settings over those of the config; data_root, img_size and lr_size change '
        'everything that depends on them',
    )


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """A model that is used, not trained; :func:`parse_with_model` reads them."""
    add_config_arguments(parser, nargs='?')
    parser.add_argument(
        'checkpoint', nargs='?', help='checkpoint of a training, or a published model'
    )
    parser.add_argument(
        '--model',
        metavar='MODEL',
        help='a published model in the place of config and checkpoint: embedded:cats128 or '
        'embedded:heads64, which ship, a .safetensors file, a folder with one, or a Hugging Face '
        'Hub id',
    )
    parser.add_argument(
        '--size',
        type=int,
        metavar='N',
        help='work on pictures of N x N, up to twice the size that the model was trained at; its '
        'cells stay as large, so LR targets have more of them',
    )


def translator_of(args: argparse.Namespace, **options: Any) -> 'Translator':
    """The Translator that :func:`add_model_arguments` asked for, with further ``options``."""
    from i2ilr_mm.inference.translator import Translator

    return Translator(
        args.model, args.checkpoint, cfg_options=args.cfg_options, size=args.size, **options
    )


def add_device_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--device', default='auto', help='cpu, cuda or cuda:N; default: a GPU if any'
    )
    parser.add_argument(
        '--amp', action='store_true', help='bfloat16 in place of float32: faster on most GPUs'
    )


def parse_with_model(parser: argparse.ArgumentParser, argv: list[str]) -> argparse.Namespace:
    """Read arguments with a model: --model MODEL, or a config and its checkpoint.

    Returns:
        The arguments; ``model`` and ``checkpoint`` are what Translator takes.
    """
    args = parser.parse_intermixed_args(argv)
    if args.model is None and args.checkpoint is None:
        parser.error('a model is needed: --model embedded:heads64, or CONFIG CHECKPOINT')
    if args.model is None:
        args.model = args.config
    elif args.config is not None or args.cfg_options:
        parser.error('--model describes itself: no config, checkpoint or --cfg-options go with it')
    return args


def add_launcher_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--work-dir', help='folder for logs and results')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm'],
        help="how the processes of a multi-GPU run were started; default: the config's launcher",
    )


def named_runs(runs: list[str]) -> dict[str, str]:
    """Read [NAME=]PATH arguments; a path that exists is taken as it is."""
    named: dict[str, str] = {}
    for run in runs:
        name, _, path = ('', '', run) if os.path.exists(run) else run.partition('=')
        if (name or path) in named:
            sys.exit(f"error: '{name or path}' is given twice; give each run a name of its own")
        named[name or path or run] = path or run
    return named
