#!/usr/bin/env bash
# Trains on the embedded rendered heads for a few minutes, scores the result and draws samples.
# What is there already is skipped; delete work_dirs/quickstart to start again.
set -euo pipefail
source "$(dirname "$0")/_env.sh"
make_env
export PYTHONWARNINGS=ignore

CONFIG=configs/i2ilr_heads64.py
WORK=work_dirs/quickstart
ITERS=${ITERS:-1500}
CHECKPOINT=$WORK/iter_$ITERS.pth
mkdir -p "$WORK"

if [ -f "$CHECKPOINT" ]; then
    echo "training: $CHECKPOINT is there, skipped"
else
    echo "training: $ITERS iterations of $CONFIG, log in $WORK/train.log"
    # Only the lines of progress are shown; everything is in the log.
    python tools/train.py "$CONFIG" --work-dir "$WORK" --resume \
        --cfg-options train_cfg.max_iters="$ITERS" train_cfg.val_interval="$ITERS" \
        >"$WORK/train.log" 2>&1 &
    TRAINER=$!
    trap 'kill $TRAINER 2>/dev/null || true' EXIT
    tail --pid="$TRAINER" -n +1 -f "$WORK/train.log" 2>/dev/null |
        sed -un 's/.*Iter(train) \[\( *[0-9]*\/[0-9]*\)\].*\(eta: [0-9:]*\).*\(lr_error: [0-9.]*\).*/  iteration \1  \2  \3 grey levels/p' || true
    trap - EXIT
    if ! wait "$TRAINER"; then
        tail -n 3 "$WORK/train.log" >&2
        echo "error: training failed; the whole log is $WORK/train.log" >&2
        exit 1
    fi
fi

score() { # NAME CHECKPOINT [OPTIONS...]
    local out=$WORK/$1.json
    if [ -f "$out" ] && [ -f "$WORK/samples.png" ] && [ ! "$CHECKPOINT" -nt "$out" ]; then
        echo "scores: $out is there, skipped"
    else
        echo "scoring: $2"
        python tools/test.py "$CONFIG" "$2" --work-dir "$WORK/test" --out "$out" "${@:3}" \
            >"$WORK/test.log" 2>&1 || { tail -n 3 "$WORK/test.log" >&2; exit 1; }
    fi
}
score before untrained
score after "$CHECKPOINT" --samples "$WORK/samples.png"

echo
python tools/show_scores.py "untrained=$WORK/before.json" "trained=$WORK/after.json"
cat <<END

Look at $WORK/samples.png: source | LR target | result | result downscaled.
(The heads are renderings, not photographs.)

What to try next:
  train longer      python tools/train.py $CONFIG --work-dir $WORK --resume --cfg-options train_cfg.max_iters=8000
  your own folder   python tools/train.py $CONFIG --work-dir work_dirs/mine --cfg-options data_root=my/folder
  the full model    configs/i2ilr_celebahq.py, configs/i2ilr_afhq.py; see README.md
(use .venv/bin/python, or: source .venv/bin/activate)
END
