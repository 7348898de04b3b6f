#!/bin/bash
# Runs our training step and PyTorch's on the same weights, adapter and tokens, taking turns, and writes
# bench/results/<date>-cpu-step.json.
#
# usage: run_step.sh BUILD_FOLDER [RUNS [STEPS]]     PYTHON: an interpreter with torch, transformers and peft
# Leave the machine alone meanwhile: both sides use two threads, and the load before each run is recorded.
set -euo pipefail

build=$(realpath "${1:?build folder}")
runs=${2:-5}
steps=${3:-3}
python=${PYTHON:-python3}
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" "$here/pytorch_lora_step.py" prepare "$work" --steps "$steps" >&2

# Adds the load average before the run to its JSON line.
measured() {
    local load
    load=$(cut -d' ' -f1 /proc/loadavg)
    "$@" | tail -n 1 | sed "s/}\$/, \"load_average\": $load}/" | tee -a "$work/lines"
}

# What is judged by its speed takes part in every run, the rest in the first two.
for ((i = 0; i < runs; i++)); do
    ways=(f32 int8x2)
    [ "$i" -gt 1 ] || ways+=("f32 checkpoint" "int8x2 checkpoint" int8 f32-on-int8)
    for way in "${ways[@]}"; do
        measured "$build/bench/bench_step" "$work" "$steps" 2 $way
    done
    measured "$python" "$here/pytorch_lora_step.py" run "$work" --steps "$steps" --threads 2
    measured "$python" "$here/pytorch_lora_step.py" run "$work" --steps "$steps" --threads 2 --compile
done

mkdir -p "$here/../results"
"$python" "$here/summarise_step.py" "$work/lines" "$here/../results/$(date +%F)-cpu-step.json"
