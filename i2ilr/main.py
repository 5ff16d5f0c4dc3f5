"""From the command line to a command; what a user can mend is one line, never a traceback."""

import argparse
import codecs
import io
import locale
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from .files import at_home, in_one_line

COMMANDS = {
    'train': 'train a model',
    'test': 'score a model on its test pairs',
    'translate': 'translate pictures towards LR targets',
    'match': 'move any pictures to LR targets',
    'demo': 'serve a web page to translate pictures',
    'export': 'write a model for ONNX runtimes or torch.export',
    'publish': 'write a trained generator for others',
    'compare': 'print the scores of several runs side by side',
    'plot': 'draw scores over training',
    'board': 'print how long a training took to reach given scores',
    'benchmark': 'time the training step and its options',
    'check': 'check that this machine trains and translates as it should',
    'convert': 'convert a checkpoint of the published code',
    'probes': 'train the probes that read attributes off rendered heads',
}

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt, as in glibc's malloc.h; bytes."""

READ_ONLY = ('compare', 'plot', 'board')
"""Commands that read files of scores, and do without PyTorch."""


def main(argv: list[str] | None = None) -> None:
    """The command ``i2ilr``; the first argument names what to do."""
    if argv is None:
        use_utf8()
        argv = sys.argv[1:]
    parser = argparse.ArgumentParser(
        'i2ilr',
        description='Image-to-image translation with low-resolution conditioning.',
        epilog='commands:\n'
        + '\n'.join(f'  {name:<11}{what}' for name, what in COMMANDS.items())
        + '\n\n`i2ilr COMMAND --help` has the options of each.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=_version())
    parser.add_argument('command', choices=COMMANDS, metavar='COMMAND', help='one of those below')
    name = parser.parse_args(argv[:1]).command
    run(name, argv[1:], f'i2ilr {name}')


def run(name: str, argv: list[str] | None = None, prog: str | None = None) -> None:
    """Run one command; exit code 1 and one line on stderr for what the user can mend.

    Args:
        name: One of :data:`COMMANDS`.
        argv: Its arguments; None takes those of the process.
        prog: What --help calls it; None takes the name of the script.
    """
    if argv is None:
        use_utf8()
        argv = sys.argv[1:]
    # Threads that wait for each other spin for some microseconds, and then sleep. By default they
    # spin for milliseconds, so that beside other busy programs a step takes many times as long
    # (docs/speed.md). It has to be set before PyTorch is loaded.
    if 'OMP_WAIT_POLICY' not in os.environ:
        os.environ.setdefault('GOMP_SPINCOUNT', '3000')
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names that the terminal's code page lacks
            stream.reconfigure(errors='backslashreplace')
    command = import_module(f'i2ilr.commands.{name}')
    argv = [_at_home(argument) for argument in argv]
    args = command.parse_args(argv, prog or sys.argv[0])
    with one_line_errors():
        if name not in READ_ONLY:
            keep_freed_memory()
            import_module('i2ilr_mm').register()
        command.main(args)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the process with one line for what the user can mend.

    Raises:
        SystemExit: In the place of the error; I2ILR_TRACEBACK=1 lets it pass as it is.
    """
    try:
        yield
    except (ImportError, OSError, ValueError) as error:
        if os.environ.get('I2ILR_TRACEBACK'):
            raise
        sys.exit(
            f'error: {in_one_line(str(error))}\n(set I2ILR_TRACEBACK=1 to see where it came from)'
        )
    except KeyboardInterrupt:
        sys.exit('interrupted')


def keep_freed_memory() -> None:
    """Let the process keep freed memory for its next tensors, where its C library is glibc.

    By default glibc gives every block of more than 32 MB back to the system as soon as it is freed.
    The next one comes in pages that the system clears one by one, which takes up to a third of the
    time of the scores' networks (docs/speed.md). The user's own settings of an allocator stay.
    """
    own = ('MALLOC_', 'GLIBC_TUNABLES', 'LD_PRELOAD')
    if sys.platform != 'linux' or any(name.startswith(own) for name in os.environ):
        return
    import ctypes  # which --help and commands that read scores do without

    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)  # musl has none
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 2**30)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def use_utf8() -> None:
    """Start the process again in Python's UTF-8 mode, where the locale has another code page.

    There MMEngine writes its log in that code page, and PyTorch its files by names in it: names of
    other characters end in tracebacks, or in the end of the process.
    """
    utf8 = codecs.lookup(locale.getpreferredencoding(False)).name == 'utf-8'
    if not utf8 and not sys.flags.utf8_mode and os.name == 'posix':
        os.execv(sys.executable, [sys.executable, '-X', 'utf8', *sys.orig_argv[1:]])


def _at_home(argument: str) -> str:
    """Expand ~ as shells do, and after '=' as well, as in --out=~/x and data_root=~/x."""
    name, equals, value = argument.partition('=')
    return at_home(name) + equals + at_home(value)


def _version() -> str:
    try:
        return f'i2ilr_mm {version("i2ilr_mm")}'
    except PackageNotFoundError:
        return 'i2ilr_mm, not installed: run from its checkout'
