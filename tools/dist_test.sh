#!/usr/bin/env bash
# dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]
# Several machines: set NNODES, NODE_RANK and MASTER_ADDR (and MASTER_PORT) on each.
set -euo pipefail
source "$(dirname "$0")/_dist.sh"
[ $# -ge 3 ] || { echo "usage: $0 CONFIG CHECKPOINT GPUS [arguments of tools/test.py]" >&2; exit 2; }
launch "$3" test.py "$1" "$2" --launcher pytorch "${@:4}"
