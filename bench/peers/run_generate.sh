#!/bin/bash
# Runs our generation and llama.cpp's on the same GGUF and prompt, taking turns, and writes
# bench/results/<date>-cpu-generate.json.
#
# usage: run_generate.sh BUILD_FOLDER MODEL.gguf [RUNS]     PYTHON: an interpreter with llama_cpp
# Both sides use two threads; the load before each run is recorded, and processor time beside wall time.
set -euo pipefail

build=$(realpath "${1:?build folder}")
model=$(realpath "${2:?model.gguf}")
runs=${3:-5}
python=${PYTHON:-python3}
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for ((i = 0; i < runs; i++)); do
    cut -d' ' -f1 /proc/loadavg >>"$work/loads"
    "$build/your_ai" bench -m "$model" --only generate --json -p "$(cat "$here/prompt.txt")" -n 128 --runs 2 -t 2 \
        | tr -d '\n' >>"$work/ours"
    echo >>"$work/ours"
    "$python" "$here/llama_cpp_generate.py" "$model" "$here/prompt.txt" --new 128 --runs 2 --threads 2 2>/dev/null \
        | tail -n 1 >>"$work/theirs"
done

mkdir -p "$here/../results"
"$python" "$here/summarise_pair.py" generate "$work" "$here/../results/$(date +%F)-cpu-generate.json"
