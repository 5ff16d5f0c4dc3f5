# Sourced by dist_train.sh and dist_test.sh.

# launch GPUS SCRIPT [arguments]: one process of the script a GPU, on each of NNODES machines.
launch() {
    local port=${MASTER_PORT:-29500}
    if [ "${NODE_RANK:-0}" = 0 ] && (echo >"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
        echo "error: port $port is taken, perhaps by another run: set MASTER_PORT to a free one" >&2
        exit 1
    fi
    python -m torch.distributed.run \
        --nnodes="${NNODES:-1}" --node-rank="${NODE_RANK:-0}" \
        --master-addr="${MASTER_ADDR:-127.0.0.1}" --master-port="$port" \
        --nproc-per-node="$1" "$(dirname "${BASH_SOURCE[0]}")/$2" "${@:3}"
}
