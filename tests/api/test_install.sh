#!/usr/bin/env bash
# `make install` and `make uninstall` into an empty prefix that is then moved: what lies there is enough to build hosts in C
# and C++, through pkg-config and through CMake, against the shared and the static library; and uninstall leaves nothing.
set -euo pipefail
[ -z "${CROSS:-}" ] || { echo "a cross build installs for another machine: not run here"; exit 0; }
rm -rf prefix moved hosts && mkdir hosts
prefix=$PWD/prefix

list() { (cd "$1" && find . ! -type d | sort); }

cmake --install "$BUILD_DIR" --prefix "$prefix" >/dev/null
list prefix >installed
diff - installed <<'END'
./bin/your_ai
./include/your_ai.h
./include/your_ai_array.h
./lib/cmake/your_ai/your_ai-config-version.cmake
./lib/cmake/your_ai/your_ai-config.cmake
./lib/libyour_ai.a
./lib/libyour_ai.so
./lib/libyour_ai.so.0.1
./lib/libyour_ai.so.0.1.0
./lib/pkgconfig/your_ai.pc
END

# Uninstall removes that and not a file more.
echo mine >prefix/lib/cmake/your_ai/mine
cmake -DBUILD="$BUILD_DIR" -DPREFIX="$prefix" -P "$SOURCE_DIR/cmake/uninstall.cmake" >/dev/null 2>&1
list prefix | diff <(echo ./lib/cmake/your_ai/mine) -
rm prefix/lib/cmake/your_ai/mine
cmake --install "$BUILD_DIR" --prefix "$prefix" >/dev/null
cmake -DBUILD="$BUILD_DIR" -DPREFIX="$prefix" -P "$SOURCE_DIR/cmake/uninstall.cmake" >/dev/null 2>&1
[ ! -e prefix/lib/cmake/your_ai ]

cmake --install "$BUILD_DIR" --prefix "$prefix" >/dev/null
mv prefix moved
prefix=$PWD/moved
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig LD_LIBRARY_PATH=$prefix/lib

sanitize=()
[ -z "${SANITIZE:-}" ] || sanitize=("-fsanitize=$SANITIZE")

cat >hosts/host.c <<'END'
#include <stdio.h>
#include "your_ai_array.h"
int escape(void); /* the name of a function inside the library: the host may have it too */
int escape(void) { return 3; }
int main(void)
{
    ya_ctx *ctx = ya_ctx_new(NULL);
    ya_array *sum = ya_add(ya_from_f32(ctx, 1), ya_from_f32(ctx, 2));
    double value = 0;
    int failed = ya_item_f64(sum, &value) != 0 || value != escape();
    printf("%s %s\n", ya_version(), failed ? "failed" : "ok");
    ya_ctx_free(ctx);
    return failed;
}
END
cp hosts/host.c hosts/host.cc
read -ra shared < <(pkg-config --cflags --libs your_ai)
read -ra cflags < <(pkg-config --cflags your_ai)
read -ra rest < <(pkg-config --static --libs-only-l --libs-only-other your_ai | sed 's/-lyour_ai//')
for host in host.c host.cc; do
    compiler=("$CC" -std=c11)
    [ $host = host.c ] || compiler=("$CXX" -std=c++17)
    "${compiler[@]}" "${sanitize[@]}" "hosts/$host" -o hosts/shared "${shared[@]}"
    "${compiler[@]}" "${sanitize[@]}" "hosts/$host" -o hosts/static "${cflags[@]}" "$prefix/lib/libyour_ai.a" "${rest[@]}"
    hosts/shared | grep -qx '0\.1\.0 ok'
    LD_LIBRARY_PATH='' hosts/static | grep -qx '0\.1\.0 ok'
done

cat >hosts/CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.22)
project(hosts LANGUAGES C CXX)
find_package(your_ai 0.1 REQUIRED)
foreach(host host.c host.cc)
  string(REPLACE . _ name ${host})
  foreach(kind your_ai static)
    add_executable(${name}_${kind} ${host})
    target_link_libraries(${name}_${kind} PRIVATE your_ai::${kind})
  endforeach()
endforeach()
END
cmake -S hosts -B hosts/build -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$CC" -DCMAKE_CXX_COMPILER="$CXX" \
    -DCMAKE_C_FLAGS="${sanitize[*]}" -DCMAKE_CXX_FLAGS="${sanitize[*]}" >hosts/log
cmake --build hosts/build >>hosts/log || { cat hosts/log; exit 1; }
for host in hosts/build/host_c*_your_ai hosts/build/host_c*_static; do $host | grep -qx '0\.1\.0 ok'; done
# A version that may have broken its callers is not found.
sed 's/0\.1 REQUIRED/0.2 REQUIRED/' hosts/CMakeLists.txt >hosts/CMakeLists.tmp && mv hosts/CMakeLists.tmp hosts/CMakeLists.txt
if cmake -S hosts -B hosts/build >hosts/log 2>&1; then echo "FAILED: version 0.2 was found"; exit 1; fi
