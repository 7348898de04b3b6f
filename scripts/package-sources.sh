#!/usr/bin/env bash
# Fetches the sources of the libraries that the portable packages are linked with, as the distribution has them, and checks each
# byte for byte. They come from where the machine's own packages come from, by apt with a state of its own: nothing is installed,
# and the machine's lists stay as they are. Does nothing for what is already there.
#   scripts/package-sources.sh FOLDER
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
mkdir -p "$1"
root=$(cd "$1" && pwd)

# source package, archive, SHA-256: those of Debian 12
sources='jansson jansson_2.14.orig.tar.gz c739578bf6b764aa0752db9a2fdadcfe921c78f1228c7ec0bb47fa804c55d17b
utf8proc utf8proc_2.8.0.orig.tar.gz a0a60a79fe6f6d54e7d411facbfcc867a6e198608f2cd992490e46f04b1bcecc
zlib zlib_1.2.13.dfsg.orig.tar.bz2 71feb7947e3c00ef125f83b79a4e529bde31171e5babe48b391f06758d1ab0a1
libzstd libzstd_1.5.4+dfsg2.orig.tar.xz 8cf4bbb65e77ec348d052c8d6230eba66d435bddf64c8b5be2fcb16880c19953
libyaml libyaml_0.2.5.orig.tar.gz fa240dbf262be053f3898006d502d514936c818e422afdcf33921c63bed9bf2e'

missing=()
while read -r package archive sha256; do
    echo "$sha256  $root/$archive" | sha256sum --status --check 2>/dev/null || missing+=("$package")
done <<<"$sources"
if [ ${#missing[@]} -gt 0 ]; then
    echo "fetching the sources of: ${missing[*]}"
    apt=$root/apt
    rm -rf "$apt"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/sources"
    : >"$apt/status"
    # every archive of binary packages has one of sources beside it
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | sed -n 's/^deb /deb-src /p' >"$apt/sources/all.list" || true
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -e "$file" ] && sed 's/^Types:.*/Types: deb-src/' "$file" >"$apt/sources/$(basename "$file")"
    done
    own=(-qq -o Dir::State="$apt" -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt/cache"
        -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$apt/sources" -o APT::Sandbox::User="$(id -un)")
    apt-get "${own[@]}" update >"$apt/log" 2>&1 || true # a source without sources is no reason to stop
    # The newest version first; an archive that is being updated lists one that it does not have yet, and the older one beside it has
    # the same sources of the library.
    fetch() {
        local version
        for version in $(apt-cache "${own[@]}" showsrc --only-source "$1" | sed -n 's/^Version: //p' | sort -rVu); do
            (cd "$root" && apt-get "${own[@]}" source --download-only "$1=$version") >>"$apt/log" 2>&1 && return 0
        done
        return 1
    }
    for package in "${missing[@]}"; do
        if ! fetch "$package"; then
            cat "$apt/log" >&2
            echo "error: the package sources of this machine do not offer the sources of $package" >&2
            exit 1
        fi
    done
    rm -rf "$apt" "$root"/*.dsc "$root"/*.debian.tar.* "$root"/*.asc
fi
while read -r package archive sha256; do
    if ! echo "$sha256  $root/$archive" | sha256sum --status --check 2>/dev/null; then
        echo "error: $root/$archive is not the file that the packages are made with (SHA-256 $sha256): this machine's distribution" \
            "has another version of $package. Put that file there by any means, and run this again" >&2
        exit 1
    fi
done <<<"$sources"
