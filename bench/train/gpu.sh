#!/usr/bin/env bash
# Training on a card beside PyTorch + PEFT: makes random checkpoints in a memory file system, then the same adapter, weights and tokens for
# both sides. What each side prints goes to OUT/steps.jsonl at once, short lines to stdout; OUT/errors.log has the rest.
#   [CARD=0] YOUR_AI=build/your_ai GPU_STEP=build/bench/gpu_step OUT=DIR bench/train/gpu.sh [PART..] [MODEL:BATCHxLENGTH[:BLOCKS]..]
# Parts, in the order in which they are named (without any: gradients steps):
#   gradients  of one step against PyTorch in f32, beside PyTorch in bf16: a tiny model, SmolLM2-135M's shapes, and FILE (a .gguf of it)
#   steps      of each shape, timed one by one, on each of SIDES ("ours profile compiled eager"; profile: time of each primitive)
#   same       bytes: a rerun, recomputed blocks, algorithms by timing (YA_CUDA_TIMED=1), and a run that is stopped and resumed (FILE)
#   curve      100 steps on repeated phrases beside PyTorch's, of SIDES
#   bases      steps of 8B on NF4 and int8 bases, and with recomputed blocks
#   decode     tokens/s of generation in bf16, NF4 and, where Q4_K_M names a file, on that
#   refusal    a card whose memory is taken by somebody else: exit code 3, with the plan
# BLOCKS: that many blocks are computed again in backward (-1, the default: none, and no norms either); the peer then runs with checkpointing.
# STEPS: of each run (8; the compiled peer's first one takes minutes). KEEP: the folder for models, kept for the next call. Two calls may run
# beside each other on two cards, each with its own OUT and KEEP.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
export CUDA_VISIBLE_DEVICES=${CARD:-0}
program=${YOUR_AI:-build/your_ai} step=${GPU_STEP:-build/bench/gpu_step} out=${OUT:-build-cuda} file=${FILE:-}
steps=${STEPS:-8} sides=${SIDES-ours profile compiled eager}
if [ -n "${KEEP:-}" ]; then work=$KEEP; else work=$(mktemp -d -p /dev/shm) && trap 'rm -rf "$work"' EXIT; fi
mkdir -p "$out" "$work"
parts=() shapes=()
for word in "$@"; do case $word in *:*) shapes+=("$word") ;; *) parts+=("$word") ;; esac done
[ ${#parts[@]} -gt 0 ] || parts=(gradients steps)
[ ${#shapes[@]} -gt 0 ] || shapes=(llama-3.1-8b:1x4096 smollm2-135m:16x2048)
nvidia-smi -i "$CUDA_VISIBLE_DEVICES" --query-gpu=name,driver_version,memory.total --format=csv,noheader

ours() { YA_DEVICE=$2 "$step" "${@:3}" 2>>"$out/errors.log" | python3 bench/train/gpu_line.py "$1" "$out/steps.jsonl"; }
peer() { PYTHONUNBUFFERED=1 python3 bench/train/gpu_peer.py "${@:2}" 2>>"$out/errors.log" | python3 bench/train/gpu_line.py "$1" "$out/steps.jsonl"; }
make_model() { # NAME: prints its folder; a path is itself
    [[ $1 == */* ]] && echo "$1" && return
    [ -d "$work/$1" ] || "$program" init --like "$1" -o "$work/$1.new" >&2 && mv "$work/$1.new" "$work/$1" 2>/dev/null
    echo "$work/$1"
}
make_inputs() { # MODEL BATCH LENGTH STEPS: prints the folder
    local folder=$work/inputs-${1##*/}-$2-$3-$4
    [ -d "$folder" ] || { mkdir "$folder" && "$step" make "$(make_model "$1")" "$folder" "$2" "$3" "$4" >&2 || return 1; }
    echo "$folder"
}
bytes() { cmp -s "$2" "$3" && echo "same bytes: $1" || echo "OTHER BYTES: $1"; }

gradients() {
    local models=(tiny smollm2-135m) name model inputs
    if [ -n "$file" ] && [ ! -d "$work/real" ]; then # both sides read the same bf16 folder
        "$program" export -m "$file" --to safetensors:bf16 -o "$work/real" --no-verify >>"$out/errors.log" 2>&1 || echo "export of $file failed"
    fi
    [ -d "$work/real" ] && models+=("$work/real")
    for name in "${models[@]}"; do
        model=$(make_model "$name") inputs=$(make_inputs "$name" 2 256 2)
        for device in cuda cpu; do GPU_STEP_GRADIENTS=$work/ours-$device ours "gradients ${name##*/} $device" $device run "$model" "$inputs" 2 256 2; done
        for dtype in f32 bf16; do
            peer "gradients ${name##*/} peer $dtype" "$model" --batch 2 --length 256 --steps 2 --adapter "$inputs/adapter" --tokens "$inputs/tokens.i32" \
                --dtype $dtype --gradients "$work/peer-$dtype"
        done
        echo "gradients of ${name##*/}, 2 x 256 tokens:"
        python3 bench/train/compare_gradients.py "$inputs/adapter" "$work/peer-f32" "$work/peer-bf16" "$work/ours-cuda" "$work/ours-cpu" |
            tee -a "$out/gradients.txt"
    done
}

steps() {
    local what name shape blocks batch length model inputs side options
    for what in "${shapes[@]}"; do
        IFS=: read -r name shape blocks <<<"$what"
        batch=${shape%x*} length=${shape#*x}
        model=$(make_model "$name") inputs=$(make_inputs "$name" "$batch" "$length" "$steps") || continue
        for side in $sides; do
            case $side in
            ours) ours "$what ours" cuda run "$model" "$inputs" "$batch" "$length" "$steps" "${blocks:--1}" ;;
            profile) ours "$what profile" cuda profile "$model" "$inputs" "$batch" "$length" 4 "${blocks:--1}" ;;
            *)
                options=()
                [ "$side" = eager ] || options+=(--compile)
                [ "${blocks:--1}" -le 0 ] || options+=(--checkpoint)
                peer "$what $side" "$model" --batch "$batch" --length "$length" --steps "$steps" --adapter "$inputs/adapter" \
                    --tokens "$inputs/tokens.i32" "${options[@]}"
                ;;
            esac
        done
    done
}

# The losses and norms of all steps of the last run, and the gradients of its first.
digits() { tail -1 "$out/steps.jsonl" | python3 -c 'import json, sys; d = json.load(sys.stdin); print(d["losses"], d["grad_norms"])'; }
same() {
    local model inputs first
    model=$(make_model smollm2-135m) inputs=$(make_inputs smollm2-135m 16 2048 "$steps")
    once() { GPU_STEP_GRADIENTS=$work/same-$1 ours "same $1" cuda run "$model" "$inputs" 16 2048 "$steps" "$2" && digits >"$work/digits-$1"; }
    once first -1
    once rerun -1
    once recomputed 20
    YA_CUDA_TIMED=1 once timed -1
    for first in rerun recomputed timed; do
        bytes "gradients, $first" "$work/same-first" "$work/same-$first"
        bytes "losses and norms of $steps steps, $first" "$work/digits-first" "$work/digits-$first"
    done
    [ -n "$file" ] || return
    python3 -c 'for i in range(400): print("{\"text\": \"Row %d: the %s of %d is %d.\"}" % (i, ("square", "double")[i % 2], i, i * i if i % 2 == 0 else 2 * i))' >"$work/rows.jsonl"
    run() { "$program" "$@" >>"$out/errors.log" 2>&1 || echo "failed: $1"; }
    rm -rf "$work"/run-*
    run train -m "$file" -d "$work/rows.jsonl" -o "$work/run-whole" --device cuda --max-steps 8 --save-every 4 --seed 1
    cp -r "$work/run-whole" "$work/run-parts" # and back to the checkpoint of step 4
    rm -rf "$work"/run-parts/checkpoints/*8 "$work/run-parts/adapter"
    run resume "$work/run-parts"
    bytes "a run that went on from step 4 of 8" "$work/run-whole/adapter/adapter_model.safetensors" "$work/run-parts/adapter/adapter_model.safetensors"
}

curve() {
    local model inputs side
    model=$(make_model smollm2-135m) inputs=$(make_inputs smollm2-135m 8 256 100)
    python3 -c '
import sys, numpy
r = numpy.random.default_rng(1)
phrases = r.integers(3, 49152, (64, 32), dtype=numpy.int32)
phrases[r.integers(0, 64, 100 * 8 * 256 // 32)].reshape(100, 8, 256).tofile(sys.argv[1])' "$inputs/tokens.i32"
    for side in $sides; do
        case $side in
        ours) GPU_STEP_LR=1e-3 ours "curve ours" cuda run "$model" "$inputs" 8 256 100 -1 ;;
        eager) peer "curve eager" "$model" --batch 8 --length 256 --steps 100 --adapter "$inputs/adapter" --tokens "$inputs/tokens.i32" --lr 1e-3 --f32-adapter ;;
        esac
    done
    python3 -c '
import json, sys
d = {x["what"]: x["losses"] for x in map(json.loads, open(sys.argv[1])) if x["what"].startswith("curve")}
if len(d) == 2:
    a, b = d["curve ours"], d["curve eager"]
    print(f"100 steps: {a[0]:.4f} to {a[-1]:.4f}, peer {b[0]:.4f} to {b[-1]:.4f}, largest difference of a step {max(abs(x - y) / y for x, y in zip(a, b)):.3%}")' "$out/steps.jsonl"
}

bases() {
    local model inputs base blocks
    model=$(make_model llama-3.1-8b) inputs=$(make_inputs llama-3.1-8b 1 4096 "$steps")
    for blocks in -1 31; do
        for base in as-is nf4 int8; do
            GPU_STEP_BASE=$base ours "8b 1x4096 $base, $blocks blocks recomputed" cuda run "$model" "$inputs" 1 4096 "$steps" $blocks
        done
    done
}

decode() {
    local model inputs
    model=$(make_model llama-3.1-8b) inputs=$(make_inputs llama-3.1-8b 1 512 2)
    ours "decode 8b bf16" cuda decode "$model" "$inputs" 1 512 128
    GPU_STEP_BASE=nf4 ours "decode 8b nf4" cuda decode "$model" "$inputs" 1 512 128
    [ -z "${Q4_K_M:-}" ] || ours "decode $Q4_K_M" cuda decode "$Q4_K_M" "$inputs" 1 512 128
    grep "opened in" "$out/errors.log" | tail -3
}

# Leaves 1,200 MiB of the card, of which a context takes about half, then asks for a run: the plan says that it does not fit. With 400
# MiB nothing can start there at all.
refusal() {
    local left
    [ -n "$file" ] || return
    python3 -c 'for i in range(400): print("{\"text\": \"Row %d of the rows of a run that does not fit: %s\"}" % (i, "word " * 200))' >"$work/rows-long.jsonl"
    for left in 1200 400; do refusal_with $left; done
}
refusal_with() { # MiB
    rm -f "$work/held"
    python3 -c '
import torch, sys, time
free, _ = torch.cuda.mem_get_info()
held = torch.empty(free - (int(sys.argv[1]) << 20), dtype=torch.uint8, device="cuda")
print("held", flush=True); time.sleep(60)' "$1" >"$work/held" 2>>"$out/errors.log" &
    local holder=$!
    for _ in $(seq 300); do [ -s "$work/held" ] && break; sleep 0.1; done
    rm -rf "$work/run-refused"
    "$program" train -m "$file" -d "$work/rows-long.jsonl" -o "$work/run-refused" --device cuda --max-steps 2 -b 32 --max-length 2048 2>&1 | tail -16
    echo "exit code of a run on a card with $1 MiB left: ${PIPESTATUS[0]}"
    kill $holder
    wait $holder 2>/dev/null
}

for part in "${parts[@]}"; do
    echo "--- $part, card $CUDA_VISIBLE_DEVICES"
    case $part in
    gradients | steps | same | curve | bases | decode | refusal) $part ;;
    *) echo "no part $part" >&2 ;;
    esac
done
