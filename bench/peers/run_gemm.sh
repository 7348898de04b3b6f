#!/bin/bash
# Measures our products with a frozen matrix beside OpenBLAS and oneDNN, taking turns in one process, and writes
# bench/results/<date>-cpu-gemm.json and, from it, <date>-cpu-gemm.md.
#
# usage: run_gemm.sh BUILD_FOLDER [ROUNDS]     THREADS (2), PYTHON (python3)
# Needs libopenblas0-pthread and libdnnl-dev. Takes about four minutes with 3 rounds. Leave the machine alone meanwhile; the
# load before and after is recorded. OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE do not reach the run: which kernel OpenBLAS takes
# by itself is recorded, and one that is known to be wrong for a processor with AVX2 ends the run.
set -euo pipefail

build=$(realpath "${1:?build folder}")
rounds=${2:-3}
python=${PYTHON:-python3}
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

ninja -C "$build" bench_gemm >&2
cc -O2 -Wall -Wextra -fPIC -shared "$here/gemm_peers.c" -o "$work/gemm_peers.so" -ldnnl -fopenmp
cut -d' ' -f1 /proc/loadavg >"$work/loads"
env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE -u OPENBLAS_NUM_THREADS -u OMP_NUM_THREADS \
    "$build/bench/bench_gemm" -t "${THREADS:-2}" -r "$rounds" "$work/gemm_peers.so" >"$work/result"
cut -d' ' -f1 /proc/loadavg >>"$work/loads"

mkdir -p "$here/../results"
"$python" "$here/summarise_gemm.py" "$work" "$here/../results/$(date +%F)-cpu-gemm"
