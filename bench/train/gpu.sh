#!/usr/bin/env bash
# The peers and the kernels on one card, in one go: makes random checkpoints in a memory file system, trains them with PyTorch
# (eager and compiled), and times our kernels against their floors. Training through the program itself joins when the backend does.
#   YOUR_AI=build/your_ai OUT=DIR bench/train/gpu.sh
set -uo pipefail
cd "$(dirname "$0")/../.."
program=${YOUR_AI:-build/your_ai}
out=${OUT:-build-cuda}
models=$(mktemp -d -p /dev/shm)
trap 'rm -rf "$models"' EXIT
mkdir -p "$out"
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
for model in llama-3.1-8b smollm2-135m; do
    start=$(date +%s.%N)
    "$program" init --like $model -o "$models/$model" || exit 1
    echo "init $model: $(awk "BEGIN { print $(date +%s.%N) - $start }") s"
done
peer() { PYTHONUNBUFFERED=1 python3 bench/train/gpu_peer.py "$@" 2>>"$out/peer.err" | tee -a "$out/peer.jsonl"; }
peer "$models/llama-3.1-8b" --batch 1 --length 4096 --steps 8
peer "$models/llama-3.1-8b" --batch 1 --length 4096 --steps 8 --compile
peer "$models/smollm2-135m" --batch 16 --length 2048 --steps 8 --compile
