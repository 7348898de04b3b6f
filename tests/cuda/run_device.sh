#!/usr/bin/env bash
# Everything that a card can tell about the CUDA kernels, in one go: builds, checks against f64, runs compute-sanitizer on each
# family, times each kernel against its floor. The short table comes last. OUT: folder for logs (default build-cuda). PROGRAMS: a
# folder with test_cuda_kernels, bench_cuda and test_cuda_rows that were built elsewhere; then nothing is built here.
set -uo pipefail
export LC_ALL=C # the order of files, so the hash below
cd "$(dirname "$0")/../.."
out=${OUT:-build-cuda}
mkdir -p "$out"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
[ -n "${PROGRAMS:-}" ] || echo "sources $(cat src/backend/cuda/* bench/kernels/bench_cuda.c tests/cuda/*.[ch] | sha256sum | head -c 16)"
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
if [ -n "${PROGRAMS:-}" ]; then cp "$PROGRAMS"/{test_cuda_kernels,bench_cuda,test_cuda_rows} "$build"; else time tests/cuda/build.sh "$build" 90a || exit 1; fi
export LD_LIBRARY_PATH=/usr/local/cuda/lib64:${LD_LIBRARY_PATH:-}
timeout 90 "$build/test_cuda_kernels" >"$out/test.log" 2>&1
checked=$?
timeout 120 "$build/bench_cuda" >"$out/bench.log" 2>&1
# One family after the other, the four tools beside each other.
sanitize() {
    local log
    for family in norm rope swiglu moves tall thin loss pack optim attention one; do
        log=$out/$1-$family.log
        timeout 90 compute-sanitizer --tool "$1" "$build/test_cuda_kernels" --one $family >"$log" 2>&1
        echo "$1 $family (exit $?): $(grep -E 'SUMMARY' "$log" | head -1); $(grep 'checks,' "$log")"
        # What cuBLASLt's own kernels (nvjet, cutlass) do is not ours to judge; anything else is printed.
        grep -E '^========= (Error|Warning|Invalid|Uninitialized|Program hit|Barrier)|Race reported' "$log" |
            grep -vE 'nvjet|cutlass|cublas' | sort | uniq -c | head -3
    done >"$build/$1.log"
    # matrices of every code, which the kernels' test leaves to the rows'
    [ -x "$build/test_cuda_rows" ] || return
    log=$out/$1-rows.log
    YA_TEST_CUDA=card timeout 90 compute-sanitizer --tool "$1" "$build/test_cuda_rows" >"$log" 2>&1
    echo "$1 rows (exit $?): $(grep -E 'SUMMARY' "$log" | head -1); $(grep -E 'PASSED|FAILED' "$log" | head -1)" >>"$build/$1.log"
}
for tool in memcheck racecheck initcheck synccheck; do sanitize $tool & done
wait
cat "$build"/{memcheck,racecheck,initcheck,synccheck}.log >"$out/sanitizer.log"
timeout 60 compute-sanitizer --tool memcheck "$build/test_cuda_kernels" --plant 2>&1 | grep -E 'ERROR SUMMARY|Invalid' | sort | uniq -c | head -3 >"$out/plant.log"
cat "$out/bench.log"
echo "--- sanitizer"; cat "$out/sanitizer.log"
echo "--- planted fault"; cat "$out/plant.log"
echo "--- checks (exit $checked)"; grep -v '^ok' "$out/test.log" | head -60
