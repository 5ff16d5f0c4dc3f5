"""MMagic's own tools on today's software: python -m i2ilr_mm.mmagic train CONFIG [arguments]

With numpy 2 they end before they read a config, as MMagic 1.2.0 reads ``numpy.bool8``. Here they
start after this package has mended that. The first argument names the tool: train or test.
"""

import runpy
import sys
from pathlib import Path

import mmagic

from i2ilr.main import one_line_errors

TOOLS = Path(mmagic.__file__).parent / '.mim' / 'tools'


def main(arguments: list[str]) -> None:
    """Run a tool of the installed MMagic.

    Raises:
        SystemExit: If there is no such tool, or with one line for what the user can mend.
    """
    tools = sorted(path.stem for path in TOOLS.glob('*.py'))
    if arguments[:1] in ([], ['-h'], ['--help']) or arguments[0] not in tools:
        sys.exit(
            f'usage: python -m i2ilr_mm.mmagic TOOL [its arguments]; TOOL is one of {tools}'
            if tools
            else 'error: the tools come with MMagic itself, which is not installed: '
            'pip install --no-deps mmagic==1.2.0'
        )
    tool = str(TOOLS / f'{arguments[0]}.py')
    sys.argv = [tool, *arguments[1:]]
    with one_line_errors():
        runpy.run_path(tool, run_name='__main__')


if __name__ == '__main__':
    main(sys.argv[1:])
