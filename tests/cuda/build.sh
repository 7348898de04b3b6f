#!/usr/bin/env bash
# Builds the CUDA kernels' test and bench without CMake, on a machine that has nvcc and gcc but not the libraries of the rest:
#   tests/cuda/build.sh OUT [ARCH..]      ARCH: 90a (default), 80, 100
# The real build is CMake's (cmake/cuda.cmake); this one follows it step by step.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$1; shift
archs=("${@:-90a}")
mkdir -p "$out"
nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
include=$(dirname "$(dirname "$(readlink -f "$nvcc")")")/include
codes=()
for arch in "${archs[@]}"; do codes+=(-gencode "arch=compute_$arch,code=sm_$arch"); done
# As many compilers at once as there are processors; each must succeed.
find src/backend/cuda -name '*.cu' -print0 |
    xargs -0 -P "$(nproc)" -I{} sh -c 'f={}; "$0" -fatbin -std=c++17 -O3 -Isrc "$@" -o '"$out"'/$(basename "$f" .cu).fatbin "$f"' "$nvcc" "${codes[@]}"
modules=$out/cuda_modules.c
{
    echo '#include "backend/cuda/cuda_modules.h"'
    for f in src/backend/cuda/*.cu; do
        name=$(basename "$f" .cu)
        printf '__asm__(".section .rodata\\n.balign 16\\n%s_fatbin:\\n.incbin \\"%s\\"\\n.previous\\n");\n' "$name" "$(realpath "$out")/$name.fatbin"
        echo "extern const unsigned char ${name}_fatbin[];"
    done
    echo 'const struct cuda_module CUDA_MODULES[] = {'
    for f in src/backend/cuda/*.cu; do echo "    {\"$(basename "$f" .cu)\", $(basename "$f" .cu)_fatbin},"; done
    echo '};'
    echo 'const int CUDA_MODULE_COUNT = (int)(sizeof(CUDA_MODULES) / sizeof(*CUDA_MODULES));'
} >"$modules"
flags=(-std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Isrc -Itests/cuda -isystem "$include" -pthread)
sources=("$modules" src/backend/cuda/cuda_{kernels,device,driver,gemm,cross_entropy}.c src/base/*.c)
gcc "${flags[@]}" -o "$out/test_cuda_kernels" tests/cuda/test_cuda_kernels.c "${sources[@]}" -lm -ldl
gcc "${flags[@]}" -o "$out/bench_cuda" bench/kernels/bench_cuda.c "${sources[@]}" -lm -ldl
