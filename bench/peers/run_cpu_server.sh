#!/bin/bash
# Checks and times what a server's processor has instructions for (AVX-512, VNNI, AMX), in one go of under eight minutes, and
# prints a short table: tests of every table of kernels, products beside the machine's own peaks, training steps beside
# PyTorch's, f32 and bf16, on all threads and on 2.
#
# usage: run_cpu_server.sh BUILD_FOLDER OUT_FOLDER     PYTHON: an interpreter with torch, transformers and peft
#                                                      RUNS: of the rows that are judged, in turns (3)
#                                                      COMPILE=1: PyTorch compiled as well, some minutes more
# BUILD_FOLDER: built here (`ninja bench_step bench_gemm` and the tests), or brought along with the libraries that this
# machine lacks in BUILD_FOLDER/lib (cmake, a compiler and the network are not needed): bench/bench_step, bench/bench_gemm,
# tests/test_cpu_*. Without PyTorch the steps are left out.
set -uo pipefail

build=$(realpath "${1:?build folder}")
out=$(realpath "${2:?output folder}")
python=${PYTHON:-python3}
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d)
cores=$(nproc)
trap 'rm -rf "$work"' EXIT
[ ! -d "$build/lib" ] || export LD_LIBRARY_PATH=$build/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
[ "$cores" -le 64 ] || cores=64
started=$SECONDS
failed=0

# True while so many seconds have not passed: what is least needed comes last and is dropped.
time_for() { [ $((SECONDS - started)) -lt "$1" ]; }

{
    grep -m1 "model name" /proc/cpuinfo
    echo "cores: $(nproc), load: $(cut -d' ' -f1-3 /proc/loadavg), kernel: $(uname -r)"
    grep -m1 "^flags" /proc/cpuinfo | tr ' ' '\n' | grep -E "^(avx2|avx512(f|bw|_vnni|_bf16|_fp16)|amx_.*)$" | tr '\n' ' '
    echo
    "$python" -c "import torch, transformers, peft; print('torch', torch.__version__, 'transformers', transformers.__version__, 'peft', peft.__version__)"
} 2>&1 | tee "$out/machine.txt"

echo "== tests"
for test in test_cpu_bf16 test_cpu_int test_cpu_linear test_cpu_loss test_cpu_attention test_cpu_rows; do
    if "$build/tests/$test" >"$out/$test.txt" 2>&1; then echo "$test: passed"; else echo "$test: FAILED"; failed=1; fi
done

echo "== products, one thread and $cores (GFLOP/s, Gop/s)"
for n in 1536 5632; do
    "$build/bench/bench_gemm" -t "$cores" -r 3 -n $n 2>&1 >"$out/gemm-$n.json" | tee "$out/gemm-$n.txt" |
        grep -E "multiply|  f32  |bf16|int8, "
done

# One run of 4 steps (a line of JSON in steps.jsonl): threads, "ours" and a compute or "torch" and its options.
step() {
    local threads=$1 who=$2
    shift 2
    if [ "$who" = ours ]; then
        "$build/bench/bench_step" "$work" 4 "$threads" "$@" 2>>"$out/errors.txt"
    else
        timeout 400 "$python" "$here/pytorch_lora_step.py" run "$work" --steps 4 --threads "$threads" "$@" 2>>"$out/errors.txt"
    fi | tail -n 1 >>"$out/steps.jsonl"
}

if "$python" "$here/pytorch_lora_step.py" prepare "$work" --steps 4 >"$out/prepare.txt" 2>&1; then
    echo "== steps (SmolLM2-135M, r 16, 4 x 512 tokens): the fastest step of each run; median (least - most) of runs"
    for ((i = 0; i < ${RUNS:-3}; i++)); do
        step "$cores" ours bf16
        step "$cores" torch --bf16
        step "$cores" ours f32
        step "$cores" torch
        [ "$i" -gt 0 ] || for compute in int8 int8x2; do step "$cores" ours $compute; done
        [ "${COMPILE:-0}" = 0 ] || [ "$i" -gt 1 ] || for compute in --bf16 ""; do step "$cores" torch $compute --compile; done
    done
    for compute in bf16 f32; do ! time_for 400 || step 2 ours $compute; done
    ! time_for 380 || step 2 torch --bf16
    "$python" - "$out/steps.jsonl" <<'END'
import json, statistics, sys
rows = {}
for line in open(sys.argv[1]):
    r = json.loads(line)
    rows.setdefault((r["threads"], r["peer"]), []).append(r)
for (threads, peer), runs in rows.items():
    speeds = [r["tokens_per_second"] for r in runs]
    print("%3d threads  %-32s %8.1f (%.0f - %.0f, %d runs) tokens/s  %5.2f GiB  loss %.6f  norm %.6f" % (
        threads, peer, statistics.median(speeds), min(speeds), max(speeds), len(runs),
        max(r["peak_rss_bytes"] for r in runs) / 2**30, runs[0]["losses"][-1], runs[0]["grad_norms"][-1]))
END
else
    echo "no steps: $(tail -n 1 "$out/prepare.txt")"
fi
echo "== $((SECONDS - started)) s, tests $([ $failed = 0 ] && echo passed || echo FAILED)"
exit $failed
