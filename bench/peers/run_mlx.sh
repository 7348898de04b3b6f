#!/bin/bash
# Runs our training step and mlx-lm's (MLX on the CPU) on the same weights and tokens, taking turns, and writes
# bench/results/<date>-cpu-mlx.json. Documents are few and short, because MLX's CPU backend takes seconds a step.
#
# usage: run_mlx.sh BUILD_FOLDER MODEL.gguf HF_FOLDER [RUNS [DOCUMENTS [LENGTH]]]
# HF_FOLDER: made by tools/gguf_to_hf.py from the GGUF. PYTHON: an interpreter with mlx and mlx-lm.
set -euo pipefail

build=$(realpath "${1:?build folder}")
model=$(realpath "${2:?model.gguf}")
folder=$(realpath "${3:?Hugging Face folder}")
runs=${4:-3}
documents=${5:-1}
length=${6:-64}
python=${PYTHON:-python3}
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$build/your_ai" tokenize -m "$model" <"$here/prompt.txt" >"$work/ids.txt"
for ((i = 0; i < runs; i++)); do
    cut -d' ' -f1 /proc/loadavg >>"$work/loads"
    "$build/your_ai" bench-kernels -m "$model" --only train --json -p "$(cat "$here/prompt.txt")" --documents "$documents" \
        --length "$length" --runs 2 -t 2 | tr -d '\n' >>"$work/ours"
    echo >>"$work/ours"
    OPENBLAS_NUM_THREADS=2 "$python" "$here/mlx_lora_step.py" "$folder" "$work/ids.txt" --documents "$documents" \
        --length "$length" --steps 2 2>/dev/null | tail -n 1 >>"$work/theirs"
done

mkdir -p "$here/../results"
"$python" "$here/summarise_pair.py" train "$work" "$here/../results/$(date +%F)-cpu-mlx.json"
