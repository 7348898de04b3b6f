#!/usr/bin/env bash
# Training on one card beside PyTorch + PEFT, in one go: makes random checkpoints in a memory file system, then the same adapter, weights and
# tokens for both sides: gradients of one step against f32, steps timed one by one, time of each primitive. What each side prints goes to
# OUT/steps.jsonl.
#   YOUR_AI=build/your_ai GPU_STEP=build/bench/gpu_step OUT=DIR bench/train/gpu.sh [MODEL:BATCHxLENGTH[:BLOCKS]..]
# BLOCKS: that many blocks are computed again in backward (-1, the default: none, and no norms either); the peer then runs with checkpointing.
# STEPS: of each run (8; the compiled peer's first one takes minutes). PEERS: which of "eager compiled" (both).
set -uo pipefail
cd "$(dirname "$0")/../.."
program=${YOUR_AI:-build/your_ai} step=${GPU_STEP:-build/bench/gpu_step} out=${OUT:-build-cuda}
work=$(mktemp -d -p /dev/shm)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
[ $# -gt 0 ] || set -- llama-3.1-8b:1x4096 smollm2-135m:16x2048
steps=${STEPS:-8} peers=${PEERS-eager compiled}
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
ours() { YA_DEVICE=$1 "$step" "${@:2}" 2>>"$out/errors.log" | tee -a "$out/steps.jsonl"; }
peer() { PYTHONUNBUFFERED=1 python3 bench/train/gpu_peer.py "$@" 2>>"$out/errors.log" | tee -a "$out/steps.jsonl"; }
make_inputs() { # MODEL BATCH LENGTH STEPS: prints the folder
    local folder=$work/$1-$2-$3
    [ -d "$work/$1" ] || "$program" init --like "$1" -o "$work/$1" >&2 || exit 1
    mkdir "$folder"
    "$step" make "$work/$1" "$folder" "$2" "$3" "$4" >&2 || exit 1
    echo "$folder"
}

echo "--- gradients against f32 (SmolLM2-135M's shapes, 2 x 256 tokens)"
model=$work/smollm2-135m inputs=$(make_inputs smollm2-135m 2 256 2)
for device in cuda cpu; do GPU_STEP_GRADIENTS=$work/ours-$device ours $device run "$model" "$inputs" 2 256 2; done
for dtype in f32 bf16; do
    peer "$model" --batch 2 --length 256 --steps 2 --adapter "$inputs/adapter" --tokens "$inputs/tokens.i32" --dtype $dtype --gradients "$work/peer-$dtype"
done
python3 bench/train/compare_gradients.py "$inputs/adapter" "$work/peer-f32" "$work/peer-bf16" "$work/ours-cuda" "$work/ours-cpu" | tee "$out/gradients.txt"

for what in "$@"; do
    IFS=: read -r name shape blocks <<<"$what"
    batch=${shape%x*} length=${shape#*x}
    echo "--- $name, $batch x $length${blocks:+, $blocks blocks computed again}"
    model=$work/$name inputs=$(make_inputs "$name" "$batch" "$length" "$steps")
    ours cuda run "$model" "$inputs" "$batch" "$length" "$steps" "${blocks:--1}"
    ours cuda profile "$model" "$inputs" "$batch" "$length" 3 "${blocks:--1}"
    for mode in $peers; do
        options=()
        [ "$mode" = eager ] || options+=(--compile)
        [ "${blocks:--1}" -le 0 ] || options+=(--checkpoint)
        peer "$model" --batch "$batch" --length "$length" --steps "$steps" --adapter "$inputs/adapter" --tokens "$inputs/tokens.i32" "${options[@]}"
    done
done
