#!/usr/bin/env bash
# Trains on the embedded rendered heads for about five minutes, scores the result and draws samples.
# What is there already is skipped; delete work_dirs/quickstart to start again.
set -euo pipefail
source "$(dirname "$0")/_env.sh"
make_env
export PYTHONWARNINGS=ignore

CONFIG=configs/i2ilr_heads64.py
WORK=work_dirs/quickstart
ITERS=${ITERS:-1500}
# At this size a second thread gains little, and waits for its turn on a busy machine (docs/speed.md).
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
mkdir -p "$WORK"

last_checkpoint() { cat "$WORK/last_checkpoint" 2>/dev/null || true; }
iterations_done() { last_checkpoint | sed -n 's/.*iter_\([0-9]*\)\.pth$/\1/p'; }

if [ "$(iterations_done || true)" ] && [ "$(iterations_done)" -ge "$ITERS" ]; then
    echo "training: $(last_checkpoint) is there, skipped"
else
    echo "training: $ITERS iterations of $CONFIG, log in $WORK/train.log"
    python tools/train.py "$CONFIG" --work-dir "$WORK" --resume \
        --cfg-options train_cfg.max_iters="$ITERS" train_cfg.val_interval="$ITERS" \
        val_evaluator='[{"type":"LRConsistency"}]' default_hooks.checkpoint.save_best=lr_mae \
        >"$WORK/train.log" 2>&1 &
    TRAINER=$!
    trap 'kill $TRAINER 2>/dev/null || true' EXIT
    # Only the lines of progress are shown; everything is in the log.
    tail --pid="$TRAINER" -n +1 -f "$WORK/train.log" 2>/dev/null |
        sed -un 's/.*Iter(train) \[\( *[0-9]*\/[0-9]*\)\].*\(eta: [0-9:]*\).*\(lr_error: [0-9.]*\).*/  iteration \1  \2  \3 grey levels/p' || true
    trap - EXIT
    if ! wait "$TRAINER"; then
        tail -n 3 "$WORK/train.log" >&2
        echo "error: training failed; the whole log is $WORK/train.log" >&2
        exit 1
    fi
fi
CHECKPOINT=$(last_checkpoint)

score() { # CHECKPOINT OUT [OPTIONS...]
    echo "scoring: $1"
    python tools/test.py "$CONFIG" "$1" --work-dir "$WORK/test" --out "$2" "${@:3}" \
        >"$WORK/test.log" 2>&1 && return
    tail -n 3 "$WORK/test.log" >&2
    exit 1
}
BEFORE=$WORK/before.json AFTER=$WORK/after.json
if [ -f "$BEFORE" ]; then echo "scores: $BEFORE is there, skipped"; else score untrained "$BEFORE"; fi
if [ -f "$WORK/samples.png" ] && [ "$AFTER" -nt "$CHECKPOINT" ]; then
    echo "scores: $AFTER is there, skipped"
else
    score "$CHECKPOINT" "$AFTER" --samples "$WORK/samples.png" --beside embedded:heads64
fi

echo
python tools/compare_scores.py untrained="$BEFORE" "trained=$AFTER"
cat <<END

Look at $WORK/samples.png: source | LR target | result | result downscaled | its error,
and last what the model that ships with the project, embedded:heads64, makes of the same pairs.
(The heads are renderings, not photographs.)

What to try next:
  its scores        python tools/test.py $CONFIG embedded:heads64
  train longer      ITERS=16000 bash tools/quickstart.sh
  your own folder   python tools/train.py $CONFIG --work-dir work_dirs/mine --cfg-options data_root=my/folder
  the full model    configs/i2ilr_celebahq.py, configs/i2ilr_afhq.py; see README.md
(use .venv/bin/python, or: source .venv/bin/activate)
END
