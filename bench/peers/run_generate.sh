#!/bin/bash
# Runs our generation and llama.cpp's on the same GGUF and prompt, taking turns, and writes OUT
# (bench/results/<date>-cpu-generate.json).
#
# usage: run_generate.sh BUILD_FOLDER MODEL.gguf [RUNS [OUT]]     PYTHON: an interpreter with llama_cpp
# THREADS (2) and NEW (128 tokens) hold for both sides, COMPUTES ("f32"; "f32 int8") are ours in turn; the load before each run
# is recorded, and processor time beside wall time. On a machine that others use, one thread: with more, llama.cpp's OpenMP threads spin for each other, for minutes.
set -euo pipefail

build=$(realpath "${1:?build folder}")
model=$(realpath "${2:?model.gguf}")
runs=${3:-5}
out=${4:-}
computes=${COMPUTES:-f32}
python=${PYTHON:-python3}
threads=${THREADS:-2}
new=${NEW:-128}
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for ((i = 0; i < runs; i++)); do
    cut -d' ' -f1 /proc/loadavg >>"$work/loads"
    for compute in $computes; do
        "$build/your_ai" bench-kernels -m "$model" --only generate --json --compute "$compute" -p "$(cat "$here/prompt.txt")" -n "$new" \
            --runs 2 -t "$threads" | tr -d '\n' >>"$work/ours-$compute"
        echo >>"$work/ours-$compute"
    done
    "$python" "$here/llama_cpp_generate.py" "$model" "$here/prompt.txt" --new "$new" --runs 2 \
        --threads "$threads" 2>/dev/null \
        | tail -n 1 >>"$work/theirs"
done

mkdir -p "$here/../results"
"$python" "$here/summarise_pair.py" generate "$work" "${out:-$here/../results/$(date +%F)-cpu-generate.json}"
