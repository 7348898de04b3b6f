#!/bin/bash
# Runs our training step and PyTorch's on the same weights, adapter and tokens, taking turns, and writes
# bench/results/<date>-cpu-step.json.
#
# usage: run_step.sh BUILD_FOLDER [RUNS [STEPS]]     PYTHON: an interpreter with torch, transformers and peft
#                                                    THREADS: of both sides, 2 unless it says otherwise
# bf16 (ours and autocast) takes part where the processor has instructions for it. Leave the machine alone meanwhile: the
# load before each run is recorded.
set -euo pipefail

build=$(realpath "${1:?build folder}")
runs=${2:-5}
steps=${3:-3}
threads=${THREADS:-2}
bf16=$(grep -m1 -c -E "avx512_bf16|amx_bf16" /proc/cpuinfo || true)
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
    variants=(f32 int8x2)
    peers=("" "--compile")
    [ "$bf16" = 0 ] || variants+=(bf16) peers+=("--bf16" "--bf16 --compile")
    [ "$i" -gt 1 ] || variants+=("f32 checkpoint" "int8x2 checkpoint" int8 f32-on-int8)
    for variant in "${variants[@]}"; do
        measured "$build/bench/bench_step" "$work" "$steps" "$threads" $variant
    done
    for peer in "${peers[@]}"; do
        measured "$python" "$here/pytorch_lora_step.py" run "$work" --steps "$steps" --threads "$threads" $peer
    done
done

mkdir -p "$here/../results"
"$python" "$here/summarise_step.py" "$work/lines" "$here/../results/$(date +%F)-cpu-step.json"
