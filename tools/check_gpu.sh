#!/usr/bin/env bash
# Whether this machine's GPUs train and translate as the CPU does, and how fast: one report,
# work_dirs/check/check.md, in about ten minutes. Arguments go to `i2ilr check`.
set -euo pipefail
source "$(dirname "$0")/_env.sh"
make_env
i2ilr check "$@"
