#!/bin/bash
# Checks and times what a server's processor has instructions for (AVX-512, VNNI, AMX), in one go of under six minutes, and
# prints a short table: tests of every table of kernels, products beside the machine's own peaks, training steps beside
# PyTorch's, f32 and bf16, on 1, 2 and all threads.
#
# usage: run_cpu_server.sh BUILD_FOLDER OUT_FOLDER     PYTHON: an interpreter with torch, transformers and peft
# BUILD_FOLDER has bench/bench_step, bench/bench_gemm and tests/test_cpu_*. It is built here (`ninja bench_step bench_gemm` and the
# tests), or built elsewhere and brought along, with the libraries that this machine lacks in BUILD_FOLDER/lib; cmake, a compiler and
# the network are not needed then. Without PyTorch the steps are left out.
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

if "$python" "$here/pytorch_lora_step.py" prepare "$work" --steps 4 >"$out/prepare.txt" 2>&1; then
    echo "== steps (SmolLM2-135M, r 16, 4 x 512 tokens): fastest of three"
    # threads, "ours" and a way or "torch" and its options, seconds after which it is dropped
    plan="$cores ours bf16 330;$cores ours f32 330;$cores ours int8 330;$cores ours int8x2 330
$cores torch --bf16 300;$cores torch  300;2 ours bf16 300;2 torch --bf16 280;2 ours f32 280;2 ours int8 280;2 ours int8x2 280
$cores torch --bf16 --compile 240;2 torch  240;1 ours bf16 300;4 ours bf16 310;8 ours bf16 310;1 ours f32 300;4 ours f32 310;8 ours f32 310"
    echo "$plan" | tr ';' '\n' | awk '!seen[$0]++' | while read -r threads who rest; do
        options=${rest% *} limit=${rest##* }
        [ "$options" != "$rest" ] || options= # nothing but the limit
        time_for "$limit" || { echo "left out: $threads threads, $who $options"; continue; }
        [ "$threads" -le "$cores" ] || continue
        if [ "$who" = ours ]; then
            "$build/bench/bench_step" "$work" 4 "$threads" $options 2>>"$out/errors.txt"
        else
            timeout 100 "$python" "$here/pytorch_lora_step.py" run "$work" --steps 4 --threads "$threads" $options 2>>"$out/errors.txt"
        fi | tail -n 1 | tee -a "$out/steps.jsonl" | "$python" -c '
import json, sys
for line in sys.stdin:
    r = json.loads(line)
    print("%3d threads  %-24s %8.1f tokens/s  %6.3f ms of processor time a token  %5.2f GiB" % (r["threads"], r["peer"],
          r["tokens_per_second"], min(r["cpu_seconds"]) / r["tokens_per_step"] * 1e3, r["peak_rss_bytes"] / 2**30))'
    done
else
    echo "no steps: $(tail -n 1 "$out/prepare.txt")"
fi
echo "== $((SECONDS - started)) s, tests $([ $failed = 0 ] && echo passed || echo FAILED)"
exit $failed
