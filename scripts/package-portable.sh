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
    home=$PWD/build-package/zig-$ziglang
    zig=$home/ziglang/zig
    if [ ! -x "$zig" ]; then # pip is the download client only
        python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$home" "ziglang==$ziglang"
        python3 -m zipfile -e "$home"/ziglang-*.whl "$home"
        rm "$home"/ziglang-*.whl
        chmod +x "$zig"
    fi
fi
export ZIG_GLOBAL_CACHE_DIR=$PWD/build-package/cache
for tool in "cc -target $triple" ar ranlib; do
    printf '#!/bin/sh\nexec "%s" %s "$@"\n' "$zig" "$tool" >"$place/zig/${tool%% *}"
    chmod +x "$place/zig/${tool%% *}"
done
cross=(-G Ninja -DCMAKE_TOOLCHAIN_FILE="$PWD/cmake/zig.cmake" -DYA_ZIG="$place/zig" -DYA_ZIG_SYSTEM=$system -DYA_ZIG_PROCESSOR=$processor
    -DCMAKE_FIND_ROOT_PATH="$prefix" -DCMAKE_BUILD_TYPE=Release)

# ---- the libraries ----------------------------------------------------------------------------------------------------------

# Each is compiled by its list of files, without its own build system: those ask a compiler hundreds of questions that have one answer
# on all systems here, and half of the sources of a distribution lack what they need.
build_library() { # NAME SOURCES FLAGS FILE...: lib/libNAME.a of the files, each a path in the sources; its headers are copied by the caller
    local archive=$prefix/lib/lib$1.a sources=build-package/sources/$2 flags=$3 work=$place/$1
    shift 3
    mkdir -p "$work"
    tar -xf "$sources" -C "$work" --strip-components 1
    # shellcheck disable=SC2086 # flags and files are lists
    (cd "$work" && printf '%s\n' $* | xargs -P "$(nproc)" -I{} "$place/zig/cc" -w -O3 -g0 -fPIC $flags -c {} -o {}.o &&
        rm -f "$archive" && find . -name '*.c.o' -print0 | sort -z | xargs -0 "$place/zig/ar" rcs "$archive")
}
package_file() { # NAME ARCHIVE VERSION
    printf 'Name: %s\nDescription: linked into the program\nVersion: %s\nCflags: -I%s\nLibs: -L%s -l%s\n' "$1" "$3" "$prefix/include" \
        "$prefix/lib" "$2" >"$prefix/lib/pkgconfig/$1.pc"
}
build_jansson() {
    mkdir -p "$place/config"
    tar -xOf build-package/sources/jansson_2.14.orig.tar.gz jansson-2.14/src/jansson_config.h.in |
        sed 's/@json_inline@/inline/; s/@json_have_[a-z_]*@/1/' >"$place/config/jansson_config.h"
    printf '#define HAVE_%s 1\n' STDINT_H UNISTD_H FCNTL_H SCHED_H SYS_STAT_H SYS_TIME_H SYS_TYPES_H SYS_PARAM_H OPEN CLOSE READ GETPID \
        GETTIMEOFDAY SCHED_YIELD ATOMIC_BUILTINS >"$place/config/jansson_private_config.h"
    build_library jansson jansson_2.14.orig.tar.gz "-I$place/config -Isrc -DHAVE_CONFIG_H" \
        src/{dump,error,hashtable,hashtable_seed,load,memory,pack_unpack,strbuffer,strconv,utf,value,version}.c
    cp "$place/config/jansson_config.h" "$place/jansson/src/jansson.h" "$prefix/include/"
}
build_utf8proc() {
    build_library utf8proc utf8proc_2.8.0.orig.tar.gz -DUTF8PROC_STATIC utf8proc.c
    cp "$place/utf8proc/utf8proc.h" "$prefix/include/"
}
build_zlib() { # fdopen: zlib 1.2.13 takes every Mac for one of 1999, which had none
    build_library z zlib_1.2.13.dfsg.orig.tar.bz2 "-DHAVE_UNISTD_H -DHAVE_STDARG_H -Dfdopen=fdopen" \
        {adler32,compress,crc32,deflate,gzclose,gzlib,gzread,gzwrite,infback,inffast,inflate,inftrees,trees,uncompr,zutil}.c
    cp "$place/z/zlib.h" "$place/z/zconf.h" "$prefix/include/"
}
build_zstd() {
    build_library zstd libzstd_1.5.4+dfsg2.orig.tar.xz "-DXXH_NAMESPACE=ZSTD_ -DZSTD_DISABLE_ASM -DZSTD_LEGACY_SUPPORT=0" \
        "$(tar -tf build-package/sources/libzstd_1.5.4+dfsg2.orig.tar.xz | sed -n 's,^[^/]*/\(lib/\(common\|compress\|decompress\)/.*\.c\)$,\1,p')"
    cp "$place"/zstd/lib/zstd{,_errors}.h "$prefix/include/"
}
build_yaml() {
    build_library yaml libyaml_0.2.5.orig.tar.gz "-Iinclude -DYAML_VERSION_MAJOR=0 -DYAML_VERSION_MINOR=2 -DYAML_VERSION_PATCH=5 \
        -DYAML_VERSION_STRING=\"0.2.5\" -DYAML_DECLARE_STATIC" src/{api,dumper,emitter,loader,parser,reader,scanner,writer}.c
    cp "$place/yaml/include/yaml.h" "$prefix/include/"
}
scripts/package-sources.sh build-package/sources
if [ ! -f "$prefix/complete" ]; then
    echo "libraries for $triple"
    build_jansson
    build_utf8proc
    build_zlib
    build_zstd
    build_yaml
    package_file jansson jansson 2.14
    package_file libutf8proc utf8proc 2.8.0
    package_file zlib z 1.2.13
    package_file libzstd zstd 1.5.4
    package_file yaml-0.1 yaml 0.2.5
    touch "$prefix/complete"
fi

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
