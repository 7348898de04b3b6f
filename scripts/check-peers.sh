#!/usr/bin/env bash
# Holds the program against large foreign packages: transformers, PEFT, tokenizers, gguf, llama.cpp and mlx-lm. Called by `make check-peers`, never by CI, which reads the golden files and records that were made once.
#   scripts/check-peers.sh [CHECK ...]      all checks, or those named (NAMES below)
# Packages are installed into build-peers/venv, from PyPI, once: 3 GB, and llama-cpp-python is compiled (10 minutes on two cores), for
# AVX2: of gcc 12 its AMX code stops (docs/peers.md).
# PYTHON: an interpreter that has them, instead. What a check prints goes to bench/results/peers/CHECK.txt, with the commit and the
# versions above it; a check that fails leaves its record as it was. docs/peers.md says which record belongs to which check.
set -euo pipefail

cd "$(dirname "$0")/.."
NAMES="merge merge_families peft peft_families quantised quantised_llama quantised_llama_whole export export_llama export_mlx coreml shards report live autopeft"
program=build/your_ai
model=models/smollm2-135m.gguf
work=build-peers
mkdir -p "$work" bench/results/peers
export PYTHONWARNINGS=ignore TRANSFORMERS_VERBOSITY=error # records hold figures, not other programs' news
NAMES+=" export_small export_llama_small export_mlx_small" # the same on a small model of 256 columns
NAMES+=" export_widened"

if [ -z "${PYTHON:-}" ]; then
    PYTHON=$work/venv/bin/python
    if [ ! -f "$work/installed" ]; then
        export PIP_NO_CACHE_DIR=1 # a llama-cpp-python in pip's cache was compiled for some machine
        python3 -m venv "$work/venv"
        CMAKE_ARGS="-DGGML_NATIVE=OFF" "$PYTHON" -m pip install --quiet torch transformers peft gguf safetensors tokenizers jinja2 \
            llama-cpp-python 'mlx[cpu]' mlx-lm coremltools tensorboard
        touch "$work/installed"
    fi
fi
versions=$("$PYTHON" -c '
import importlib.metadata as m
def version(name):
    try:
        return m.version(name)
    except m.PackageNotFoundError:
        return "missing"
print(", ".join(f"{p} {version(p)}" for p in (
    "torch", "transformers", "peft", "gguf", "tokenizers", "llama-cpp-python", "mlx", "mlx-lm", "coremltools", "pyspark", "ray")))')

# TinyLlama's shapes with random weights, 2.2 GB, made once.
tinyllama() {
    [ -d $work/tinyllama ] || $program init --like tinyllama -o $work/tinyllama >/dev/null
}

# The command of a check.
command_of() {
    case $1 in
    merge) echo tools/check_merge.py $program $model ;;
    merge_families) echo tools/check_merge_families.py $program ;;
    peft) echo tools/check_peft.py $program $model ;;
    peft_families) echo tools/check_peft_families.py $program ;;
    report) echo tools/check_report.py $program $model ;;
    live) echo tools/check_live.py $program ;;
    quantised) echo tools/check_quantised.py $program $model bench/results/peers/quantised.json ;;
    coreml) echo tools/check_coreml.py $program $model ;;
    quantised_llama)
        tinyllama
        echo tools/check_quantised_llama.py $program $work/tinyllama $model bench/results/peers/quantised_llama.json 3
        ;;
    quantised_llama_whole) # 10 GB of memory, 14 GB of disk
        tinyllama
        echo tools/check_quantised_llama.py $program $work/tinyllama $model bench/results/peers/quantised_llama_whole.json 0
        ;;
    export_small | export_llama_small | export_mlx_small)
        [ -f $work/small.gguf ] || "$PYTHON" tools/make_small_gguf.py $model $work/small.gguf >/dev/null
        name=${1%_small}
        echo "tools/check_$name.py $program $work/small.gguf"
        ;;
    autopeft) echo tools/check_autopeft.py $program ;;
    export) echo tools/check_export.py $program $model ;;
    export_widened) # 1.1 GB of model, 8 GB of disk and of memory that the kernel may take back
        scripts/get-model.sh qwen2.5-coder-1.5b
        echo tools/check_export_widened.py $program models/qwen2.5-coder-1.5b.gguf
        ;;
    export_llama) echo tools/check_export_llama.py $program $model ;;
    export_mlx) echo tools/check_export_mlx.py $program $model ;;
    shards) # a Java runtime, and packages that no other check needs
        "$PYTHON" -c 'import pyspark, ray' 2>/dev/null || "$PYTHON" -m pip install --quiet pyspark ray >&2
        echo tools/check_shards.py $program
        ;;
    *)
        echo "unknown check '$1'; there are: $NAMES" >&2
        return 1
        ;;
    esac
}

commit=$(git describe --always --dirty) # before the first record changes the tree
failed=
for name in ${*:-$NAMES}; do
    command=$(command_of "$name")
    echo "== $command"
    {
        echo "commit $commit; $versions"
        echo "$command"
    } >"$work/$name.txt"
    # shellcheck disable=SC2086  # words of a command of ours
    if "$PYTHON" $command 2>&1 | stdbuf -oL tr '\r' '\n' | sed -u '/^$/d; /^Loading weights:/d; /^Writing model shards:/d; /^llama_model_/d; /^load_backend:/d; /^Failed to load _ML/d; /^Torch version .* has not been tested/d; /^Converting and de-quantizing/d; /^\[ *[0-9]*\/ *[0-9]*\] /d' | tee -a "$work/$name.txt"; then
        mv "$work/$name.txt" "bench/results/peers/$name.txt"
    else
        failed="$failed $name"
    fi
done
[ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
