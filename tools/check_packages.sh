#!/usr/bin/env bash
# Looks at what `make package` made, in roots that hold nothing else: the portable programs with the C library alone (the static one
# with nothing), the .deb's files with the libraries that the program names, the wheel in a new virtual environment with an empty
# PATH. In each the program says its version, finds the instruction sets that build/your_ai finds, refuses what is not in it by name,
# trains a step on the real model, and has its manual pages and completions beside it. Programs for macOS cannot be run here: their
# headers are read (tools/check_mach_o.py).
#   tools/check_packages.sh FOLDER        (build-package/out; root is needed for the roots)
# Prints sizes and the time from start to first output (--version, best of five), and ends with "packages: N passed, N failed".
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
[ "$(id -u)" -eq 0 ] || { echo "error: chroot needs root" >&2; exit 2; }
work=$(mktemp -d /tmp/packages.XXXXXX)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0
verdict() { # STATUS NAME
    if [ "$1" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    echo "packages: $([ "$1" -eq 0 ] && echo passed || echo FAILED) $2"
}

take_libraries() { # ROOT PROGRAM: copies the loader and the libraries that it names
    local library
    for library in $(ldd "$2" 2>/dev/null | grep -o '/[^ ]*' || true); do
        mkdir -p "$1$(dirname "$library")"
        cp -L "$library" "$1$library"
    done
}
take_material() { # ROOT
    mkdir -p "$1/work" "$1/tmp" "$1/proc"
    cp data/conflict/train.jsonl "$1/work/rows.jsonl"
    [ ! -f models/smollm2-135m.gguf ] || cp -L models/smollm2-135m.gguf "$1/work/model.gguf"
}
refuses() { # WORDS COMMAND...: it ends with an error that holds the words
    local words=$1 said
    shift
    if said=$("$@" 2>&1) || ! grep -q "$words" <<<"$said"; then
        echo "not refused with \"$words\": $said"
        return 1
    fi
}
# COMMAND...: words that call the program where /work (or the folder W) holds the material
try_program() {
    local w=${W:-/work} best kernels
    "$@" --version | grep -qx 'your_ai [0-9.]*' || return 1
    best=$(python3 - "$@" <<'END'
import subprocess, sys, time
def once():
    t = time.monotonic()
    subprocess.run(sys.argv[1:] + ["--version"], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - t
print(f"{min(once() for _ in range(5)):.3f}")
END
    )
    echo "start to first output: $best s"
    awk -v t="$best" 'BEGIN { exit !(t <= 0.2) }' || { echo "that is more than 0.2 s"; return 1; }
    kernels=$("$@" setup --report | grep '^kernels')
    [ "$kernels" = "$(build/your_ai setup --report | grep '^kernels')" ] || { echo "$kernels: not those of build/your_ai"; return 1; }
    refuses CUDA "$@" train -m none -d none -o "$w/none" --device cuda || return 1
    [ -f models/smollm2-135m.gguf ] || { echo "left out: training, as models/smollm2-135m.gguf is not there"; return 0; }
    "$@" train -m "$w/model.gguf" -d "$w/rows.jsonl" --raw -o "$w/run" --max-steps 1 --batch 1 --max-length 32 --rank 2 >"$work/log" 2>&1 ||
        { tail -5 "$work/log"; return 1; }
    [ -z "${STATIC:-}" ] || refuses "MLX is not in this build" "$@" train -m "$w/model.gguf" -d "$w/rows.jsonl" -o "$w/none" --engine mlx
}
check_pages() { # TREE
    local n
    n=$(find "$1/share/man/man1" -name 'your_ai*.1.gz' | wc -l)
    [ "$n" -gt 15 ] && [ -s "$1/share/bash-completion/completions/your_ai" ] && [ -n "$(find "$1/share/zsh" -name _your_ai)" ] &&
        [ -s "$1/share/fish/vendor_completions.d/your_ai.fish" ]
}
check_root() { # ROOT TREE NAME: the program lies in ROOT/TREE/bin
    local ok=0
    take_material "$1"
    take_libraries "$1" "$1/$2/bin/your_ai"
    { try_program chroot "$1" "/$2/bin/your_ai" && check_pages "$1/$2"; } || ok=1
    verdict $ok "$3, $(stat -c %s "$out/$3") bytes"
    rm -rf "$1"
}

shopt -s nullglob
for tar in "$out"/*-linux-*.tar.xz; do
    mkdir -p "$work/tar"
    tar -C "$work/tar" -xf "$tar"
    case $tar in *-static.tar.xz) static=yes ;; *) static= ;; esac
    STATIC=$static check_root "$work/tar" "$(ls "$work/tar")" "$(basename "$tar")"
done
for tar in "$out"/*-macos-*.tar.xz; do
    name=$(basename "$tar" .tar.xz)
    processor=${name#*-macos-}
    mkdir -p "$work/mac"
    tar -C "$work/mac" -xf "$tar"
    ok=0
    { tools/check_mach_o.py "$work/mac/$name/bin/your_ai" "${processor%-never-run}" 13.0 && check_pages "$work/mac/$name" &&
        grep -q "never been run" "$work/mac/$name/README.txt"; } || ok=1
    verdict $ok "$name.tar.xz, its header"
done
for deb in "$out"/*.deb; do
    mkdir -p "$work/deb"
    dpkg-deb -x "$deb" "$work/deb"
    check_root "$work/deb" usr "$(basename "$deb")"
    if command -v lintian >/dev/null; then
        ok=0
        said=$(lintian --allow-root "$deb" 2>&1) || ok=1
        [ -z "$said" ] || { ok=1; echo "$said"; }
        verdict $ok "lintian"
    else
        echo "left out: lintian, which is not installed"
    fi
done
for wheel in "$out"/your_ai-*.whl; do
    ok=0
    python3 -m venv "$work/venv"
    "$work/venv/bin/python" -m pip install --quiet --no-index "$wheel"
    mkdir "$work/wheel"
    take_material "$work/wheel"
    { W=$work/wheel/work try_program env -i PATH= "$work/venv/bin/your_ai" && check_pages "$work/venv"; } || ok=1
    bytes=$(stat -c %s "$wheel")
    [ "$bytes" -le 6000000 ] || { ok=1; echo "that is more than 6 MB"; }
    verdict $ok "$(basename "$wheel"), $bytes bytes"
done
echo "packages: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
