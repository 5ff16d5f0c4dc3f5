"""The command line of i2ilr_mm, and what only reads scores; no PyTorch is imported."""

import sys

if sys.version_info < (3, 10):  # noqa: UP036  (a checkout is run by whatever Python there is)
    version = sys.version.split()[0]
    sys.exit(f'error: i2ilr_mm needs Python 3.10 or newer, and this is {version}: use a newer one')
