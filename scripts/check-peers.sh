#!/usr/bin/env bash
# Holds the program against large foreign packages: transformers, PEFT, tokenizers, gguf and llama.cpp's quantiser, mlx-lm where it
# can be installed. Called by `make check-peers`, never by CI, which reads the golden files and records that were made once.
#   scripts/check-peers.sh [CHECK ...]      all checks, or those named (NAMES below)
# Packages are installed into build-peers/venv, from PyPI, once: 3 GB, and llama-cpp-python is compiled (10 minutes on two cores).
# PYTHON: an interpreter that has them, instead. What a check prints goes to bench/results/peers/CHECK.txt, with the commit and the
# versions above it; a check that fails leaves its record as it was. docs/peers.md says which record belongs to which check.
set -euo pipefail

cd "$(dirname "$0")/.."
NAMES="merge merge_families peft peft_families quantised quantised_llama"
program=build/your_ai
model=models/smollm2-135m.gguf
work=build-peers
mkdir -p "$work" bench/results/peers

if [ -z "${PYTHON:-}" ]; then
    PYTHON=$work/venv/bin/python
    if [ ! -f "$work/installed" ]; then
        python3 -m venv "$work/venv"
        "$PYTHON" -m pip install --quiet torch transformers peft gguf safetensors tokenizers jinja2 llama-cpp-python
        touch "$work/installed"
    fi
fi
versions=$("$PYTHON" -c '
import importlib.metadata as m
print(", ".join(f"{p} {m.version(p)}" for p in ("torch", "transformers", "peft", "gguf", "tokenizers", "llama-cpp-python")))')

# The command of a check.
command_of() {
    case $1 in
    merge) echo tools/check_merge.py $program $model ;;
    merge_families) echo tools/check_merge_families.py $program ;;
    peft) echo tools/check_peft.py $program $model ;;
    peft_families) echo tools/check_peft_families.py $program ;;
    quantised) echo tools/check_quantised.py $program $model bench/results/peers/quantised.json ;;
    quantised_llama)
        [ -d $work/tinyllama ] || $program init --like tinyllama -o $work/tinyllama >/dev/null
        echo tools/check_quantised_llama.py $program $work/tinyllama $model bench/results/peers/quantised_llama.json 3
        ;;
    *)
        echo "unknown check '$1'; there are: $NAMES" >&2
        return 1
        ;;
    esac
}

failed=
for name in ${*:-$NAMES}; do
    command=$(command_of "$name")
    echo "== $command"
    {
        echo "commit $(git describe --always --dirty); $versions"
        echo "$command"
    } >"$work/$name.txt"
    # shellcheck disable=SC2086  # words of a command of ours
    if "$PYTHON" $command 2>&1 | tee -a "$work/$name.txt"; then
        mv "$work/$name.txt" "bench/results/peers/$name.txt"
    else
        failed="$failed $name"
    fi
done
[ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
