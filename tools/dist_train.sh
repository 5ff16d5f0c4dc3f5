#!/usr/bin/env bash
# dist_train.sh CONFIG GPUS [arguments of tools/train.py]
# Several machines: set NNODES, NODE_RANK and MASTER_ADDR (and MASTER_PORT) on each.
set -euo pipefail
source "$(dirname "$0")/_dist.sh"
[ $# -ge 2 ] || { echo "usage: $0 CONFIG GPUS [arguments of tools/train.py]" >&2; exit 2; }
launch "$2" train.py "$1" --launcher pytorch "${@:3}"
