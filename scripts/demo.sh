#!/usr/bin/env bash
# The experiment in one go: LoRA on the conflict set, plain and weighted, three seeds each, then the table of what the weights did.
set -euo pipefail
cd "$(dirname "$0")/.."

model=models/smollm2-135m.gguf
out=runs/demo-$(date +%Y%m%d-%H%M%S)
runs=()
mkdir -p "$out"
echo "Fine-tuning on data/conflict/train.jsonl: 12 invented facts, one primary source against five documents of consensus each."
for seed in 1 2 3; do
    for mode in off monotone; do
        run=$out/$mode-seed$seed
        start=$SECONDS
        if ! build/your_ai train -m $model -d data/conflict/train.jsonl --raw -o "$run" --distrust $mode --seed $seed \
            --rank 8 --alpha 16 --lr 1e-3 --batch 24 --no-packing --max-length 64 --epochs 8 >"$run.log" 2>&1; then
            cat "$run.log" >&2
            exit 1
        fi
        mv "$run.log" "$run/output.txt"
        printf '  %-9s seed %s  %s s\n' "$mode" "$seed" "$((SECONDS - start))"
        runs+=("$run")
    done
done
echo
build/your_ai validate --benchmark conflict -m $model -d data/conflict/claims.jsonl "${runs[@]}" | tee "$out/table.txt"
echo
echo "Run directories: $out (each with config.json, metrics.jsonl, checkpoints/, adapter/)"
