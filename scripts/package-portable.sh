#!/usr/bin/env bash
# Builds the program for machines other than this one, with zig (the PyPI package ziglang) as compiler and linker and with its
# libraries linked in from their archives, and packs it with its manual pages and completions:
#   scripts/package-portable.sh gnu            Linux on x86-64 with glibc 2.17 or newer
#   scripts/package-portable.sh musl           the same, static: any Linux on x86-64
#   scripts/package-portable.sh macos-arm64    macOS 13 or newer; cross-compiled, never run
#   scripts/package-portable.sh macos-x86_64   the same
# All are for the CPU alone: no CUDA code is in them. Work goes to build-package/KIND, the package to build-package/out.
# YA_ZIG_PROGRAM: a zig of your own. build/your_ai writes the pages, which are the same everywhere.
set -euo pipefail
cd "$(dirname "$0")/.."

kind=${1:-}
system=Linux processor=x86_64 link=-s
case $kind in
gnu) triple=x86_64-linux-gnu.2.17 name=linux-x86_64-glibc2.17 ;;
musl) triple=x86_64-linux-musl name=linux-x86_64-static link="-s -static" ;;
macos-arm64) triple=aarch64-macos.13.0 name=macos-arm64-never-run system=Darwin processor=arm64 ;;
macos-x86_64) triple=x86_64-macos.13.0 name=macos-x86_64-never-run system=Darwin ;;
*) echo "usage: $0 gnu|musl|macos-arm64|macos-x86_64" >&2; exit 2 ;;
esac
ziglang=0.17.1
place=$PWD/build-package/$kind
prefix=$place/prefix
mkdir -p "$place/zig" "$prefix/lib/pkgconfig" "$prefix/include" build-package/out

# ---- zig --------------------------------------------------------------------------------------------------------------------

zig=${YA_ZIG_PROGRAM:-}
if [ -z "$zig" ]; then
    venv=$PWD/build-package/venv
    if [ ! -f "$venv/ziglang-$ziglang" ]; then
        python3 -m venv "$venv"
        "$venv/bin/python" -m pip install --quiet "ziglang==$ziglang"
        touch "$venv/ziglang-$ziglang"
    fi
    zig=$("$venv/bin/python" -c 'import os, ziglang; print(os.path.join(os.path.dirname(ziglang.__file__), "zig"))')
fi
for tool in "cc -target $triple" ar ranlib; do
    printf '#!/bin/sh\nexec "%s" %s "$@"\n' "$zig" "$tool" >"$place/zig/${tool%% *}"
    chmod +x "$place/zig/${tool%% *}"
done
cross=(-G Ninja -DCMAKE_TOOLCHAIN_FILE="$PWD/cmake/zig.cmake" -DYA_ZIG="$place/zig" -DYA_ZIG_SYSTEM=$system -DYA_ZIG_PROCESSOR=$processor
    -DCMAKE_FIND_ROOT_PATH="$prefix" -DCMAKE_BUILD_TYPE=Release)

# ---- the libraries ----------------------------------------------------------------------------------------------------------

build_library() { # SOURCES FOLDER ARCHIVE HEADERS TARGET OPTION...: one archive and its headers, and a pkg-config file for them
    local sources=$1 folder=$2 archive=$3 headers=$4 target=$5 header
    shift 5
    [ -f "$prefix/lib/$archive" ] && return
    local work=$place/$archive log=$place/$archive.log
    mkdir -p "$work/source"
    tar -xf "build-package/sources/$sources" -C "$work/source" --strip-components 1
    if ! { cmake -S "$work/source/$folder" -B "$work/build" "${cross[@]}" -DBUILD_SHARED_LIBS=OFF -DBUILD_TESTING=OFF "$@" &&
        cmake --build "$work/build" --target "$target"; } >"$log" 2>&1; then
        tail -20 "$log"
        echo "error: $archive cannot be built for $triple; all of it: $log" >&2
        exit 1
    fi
    for header in $headers; do # where it is written by CMake, from there
        cp "$(find "$work/build" "$work/source" -type f -path "*/$header" ! -path '*/test*' | head -1)" "$prefix/include/"
    done
    cp "$(find "$work/build" -type f -name "$archive" | head -1)" "$prefix/lib/"
}
build_zlib() { # the distribution's sources lack what zlib's own CMake file asks for
    local work=$place/libz.a
    [ -f "$prefix/lib/libz.a" ] && return
    mkdir -p "$work"
    tar -xf build-package/sources/zlib_1.2.13.dfsg.orig.tar.bz2 -C "$work" --strip-components 1
    (cd "$work" && "$place/zig/cc" -w -O3 -fPIC -DHAVE_UNISTD_H -DHAVE_STDARG_H -c adler32.c compress.c crc32.c deflate.c gzclose.c gzlib.c \
        gzread.c gzwrite.c infback.c inffast.c inflate.c inftrees.c trees.c uncompr.c zutil.c && "$place/zig/ar" rcs "$prefix/lib/libz.a" ./*.o)
    cp "$work/zlib.h" "$work/zconf.h" "$prefix/include/"
}
package_file() { # NAME ARCHIVE VERSION
    printf 'Name: %s\nDescription: linked into the program\nVersion: %s\nCflags: -I%s\nLibs: -L%s -l%s\n' "$1" "$3" "$prefix/include" \
        "$prefix/lib" "$2" >"$prefix/lib/pkgconfig/$1.pc"
}
scripts/package-sources.sh build-package/sources
echo "libraries for $triple"
build_library jansson_2.14.orig.tar.gz . libjansson.a "jansson.h jansson_config.h" jansson \
    -DJANSSON_BUILD_DOCS=OFF -DJANSSON_EXAMPLES=OFF -DJANSSON_WITHOUT_TESTS=ON
build_library utf8proc_2.8.0.orig.tar.gz . libutf8proc.a utf8proc.h utf8proc
build_zlib
build_library libzstd_1.5.4+dfsg2.orig.tar.xz build/cmake libzstd.a "zstd.h zstd_errors.h" libzstd_static \
    -DZSTD_BUILD_PROGRAMS=OFF -DZSTD_BUILD_SHARED=OFF -DZSTD_MULTITHREAD_SUPPORT=OFF -DZSTD_LEGACY_SUPPORT=OFF
build_library libyaml_0.2.5.orig.tar.gz . libyaml.a yaml.h yaml
package_file jansson jansson 2.14
package_file libutf8proc utf8proc 2.8.0
package_file zlib z 1.2.13
package_file libzstd zstd 1.5.4
package_file yaml-0.1 yaml 0.2.5

# ---- the program ------------------------------------------------------------------------------------------------------------

echo "program for $triple"
export PKG_CONFIG_LIBDIR=$prefix/lib/pkgconfig
cmake -S . -B "$place/program" "${cross[@]}" -DCMAKE_C_FLAGS=-g0 -DCMAKE_EXE_LINKER_FLAGS="$link" -DYA_STATIC_DEPS=ON -DYA_TESTS=OFF \
    -DYA_CUDA=OFF >"$place/program.log"
cmake --build "$place/program" --target your_ai >>"$place/program.log" 2>&1 || { grep -A5 -E 'error|FAILED' "$place/program.log" | head -60; exit 1; }

version=$(sed -n 's/^#define YA_VERSION "\(.*\)"/\1/p' include/your_ai.h)
folder=your_ai-$version-$name
rm -rf "build-package/$folder"
scripts/package-tree.sh "$place/program/your_ai" "build-package/$folder"
{
    echo "your_ai $version for $name: the program alone, for the CPU. Copy bin and share to /usr/local, or run bin/your_ai."
    echo "There is no code for NVIDIA cards in it: build from source, with nvcc, for those."
    case $kind in
    musl) echo "It is static, and opens no library at run time: --engine mlx says that there is none." ;;
    macos-*) echo "It was cross-compiled with zig $ziglang and has never been run: there was no Mac at hand." ;;
    esac
    echo "Linked in: jansson 2.14 (MIT), utf8proc 2.8.0 (MIT), zlib 1.2.13 (zlib), zstd 1.5.4 (BSD), libyaml 0.2.5 (MIT)."
} >"build-package/$folder/README.txt"
tar -C build-package --owner=0 --group=0 --sort=name --mtime="@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}" -cJf "build-package/out/$folder.tar.xz" "$folder"

# No name of a newer glibc than promised.
if [ "$kind" = gnu ]; then
    newest=$(readelf -V "$place/program/your_ai" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1)
    echo "newest symbol version: $newest"
    [ "$(printf '%s\nGLIBC_2.17\n' "$newest" | sort -V | tail -1)" = GLIBC_2.17 ] || { echo "error: $newest is newer than GLIBC_2.17" >&2; exit 1; }
fi
ls -l "build-package/out/$folder.tar.xz"
