#!/bin/bash
# What integer products cost in quality: the same training with every --compute, and one step looked at closely.
#
# usage: compare_compute.sh BUILD_FOLDER MODEL OUT.json [STEPS [LENGTH [BATCH [THREADS]]]]
#
# Real text: the paragraphs of this tree's pages (README.md, docs/), every eighth of them for validation. Trains STEPS steps
# (300) of BATCH (1) sequences of up to LENGTH (128) tokens on the file's own weights by f32 and by bf16, on int8 weights by f32, by
# int8x2 and by int8, and runs bench_compute on the same text. Results do not depend on what else the machine does; nothing is timed.
set -euo pipefail

build=$(realpath "${1:?build folder}")
model=$(realpath "${2:?model}")
out=${3:?result file}
steps=${4:-300} length=${5:-128} batch=${6:-1} threads=${7:-2}
here=$(dirname "$(realpath "$0")")
tree=$(realpath "$here/../..")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Paragraphs of more than 200 bytes that are no tables or code, as rows {"text"}.
cat "$tree/README.md" "$tree"/docs/*.md | awk -v RS= -v train="$work/train.jsonl" -v valid="$work/valid.jsonl" '
    length($0) > 200 && !/^[|`]/ {
        gsub(/\\/, "/"); gsub(/"/, "\\\""); gsub(/\t/, "\\t"); gsub(/\n/, "\\n")
        print "{\"text\": \"" $0 "\"}" > (++n % 8 ? train : valid)
    }'
cat "$tree/README.md" "$tree"/docs/*.md >"$work/text"

train() { # name, options
    "$build/your_ai" train -m "$model" -d "$work/train.jsonl" --valid "$work/valid.jsonl" -o "$work/$1" --distrust off \
        --max-steps "$steps" --max-length "$length" --batch "$batch" --eval-every 0 --save-every 0 --threads "$threads" \
        "${@:2}" >"$work/$1.log" || { cat "$work/$1.log" >&2; exit 1; }
    grep '^compute' "$work/$1.log" >&2
}
train as-is --compute f32 # by itself it would take bf16 where the processor has AMX
train bf16 --compute bf16
train int8-f32 --base-type int8 --compute f32
train int8-int8x2 --compute int8x2
train int8-int8 --compute int8

"$build/bench/bench_compute" "$model" "$work/text" 2 256 "$threads" >"$work/step.json"
commit=$(git -C "$tree" rev-parse --short HEAD 2>/dev/null || echo unknown)
PYTHONPATH="$here/../peers" python3 "$here/summarise_compute.py" "$work" "$out" "$commit"
