#!/usr/bin/env bash
# Builds the wheel, installs it into a fresh environment with PYTHON (default python3), and uses it in an
# empty folder: translate, train and score by config name. KEEP=1 leaves the folder. Arguments go to pip.
set -euo pipefail
cd "$(dirname "$0")/.."
ROOT=$PWD
PYTHON=${PYTHON:-python3}
FOLDER=$(mktemp -d)
[ -n "${KEEP:-}" ] || trap 'rm -rf "$FOLDER"' EXIT

"$PYTHON" -m venv "$FOLDER/env"
PIP=("$FOLDER/env/bin/python" -m pip --disable-pip-version-check -q)
"${PIP[@]}" wheel --no-deps -w "$FOLDER" "$ROOT"
"${PIP[@]}" install "$@" "$FOLDER"/i2ilr_mm-*.whl
"${PIP[@]}" check
mkdir "$FOLDER/empty"
cd "$FOLDER/empty"
export PATH="$FOLDER/env/bin:$PATH" OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
unset PYTHONPATH
i2ilr --version
i2ilr translate --model embedded:heads64 --source embedded:heads64 --target embedded:heads64 --out results |
    tail -n 1
i2ilr train i2ilr_heads64 --work-dir run --cfg-options train_cfg.max_iters=20 train_cfg.val_interval=20 \
    val_evaluator='[{"type":"LRConsistency"}]' default_hooks.checkpoint.save_best=lr_mae \
    default_hooks.logger.interval=10 >train.log 2>&1 || { tail -n 5 train.log; exit 1; }
i2ilr test i2ilr_heads64 run/iter_20.pth --work-dir run/test \
    --cfg-options test_evaluator='[{"type":"LRConsistency"}]' >test.log 2>&1 || { tail -n 5 test.log; exit 1; }
grep -A 2 'score ' test.log
echo "$("$FOLDER/env/bin/python" --version): the wheel installs, translates, trains and scores"
