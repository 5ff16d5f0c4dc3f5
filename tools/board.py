"""The same as `i2ilr board`, from a checkout that is not installed, too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from i2ilr.main import run

if __name__ == '__main__':
    run('board')
