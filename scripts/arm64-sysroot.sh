#!/usr/bin/env bash
# Unpacks the arm64 builds of the project's libraries into a folder, for the cross build (preset `aarch64`). The packages come from
# the distribution that the machine itself uses, with apt's state in the same folder: the machine's own packages, and dpkg's list of
# architectures, stay as they are (installing them as a second architecture may remove packages of the first). Needs no root.
#   scripts/arm64-sysroot.sh FOLDER
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
packages=(libjansson4 libjansson-dev libutf8proc2 libutf8proc-dev zlib1g zlib1g-dev libzstd1 libzstd-dev libyaml-0-2 libyaml-dev libcmocka0 libcmocka-dev)
stamp=${packages[*]}
[ -f "$1/complete" ] && [ "$(cat "$1/complete")" = "$stamp" ] && exit 0

mkdir -p "$1"
root=$(cd "$1" && pwd)
mkdir -p "$root/apt/lists/partial" "$root/apt/cache/archives/partial" "$root/apt/debs"
: >"$root/apt/status"
apt() {
    apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State="$root/apt" -o Dir::State::lists="$root/apt/lists" \
        -o Dir::State::status="$root/apt/status" -o Dir::Cache="$root/apt/cache" -o APT::Sandbox::User="$(id -un)" "$@"
}
echo "fetching for arm64: ${packages[*]}"
apt update >"$root/apt/log" 2>&1 || true # a source without arm64 is no reason to stop: what counts is what can be downloaded
if ! (cd "$root/apt/debs" && apt download "${packages[@]}") >>"$root/apt/log" 2>&1; then
    cat "$root/apt/log" >&2
    echo "error: the package sources of this machine do not offer these for arm64 (on Ubuntu, add its ports archive)" >&2
    exit 1
fi
for package in "$root"/apt/debs/*.deb; do dpkg -x "$package" "$root"; done
rm -rf "$root/apt"
echo "$stamp" >"$root/complete"
