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

read -ra shared < <(pkg-config --cflags --libs your_ai)
read -ra cflags < <(pkg-config --cflags your_ai)
read -ra rest < <(pkg-config --static --libs-only-l --libs-only-other your_ai | sed 's/-lyour_ai//')
static=("${cflags[@]}" "$prefix/lib/libyour_ai.a" "${rest[@]}")

# A host may have functions of its own by any name that is not ya_*, also one that the library has inside.
cat >hosts/host.c <<'END'
#include <stdio.h>
#include "your_ai_array.h"
int options_find(void);
int options_find(void) { return 3; }
int main(void)
{
    ya_ctx *ctx = ya_ctx_new(NULL);
    ya_array *sum = ya_add(ya_from_f32(ctx, 1), ya_from_f32(ctx, 2));
    double value = 0;
    int failed = ya_item_f64(sum, &value) != 0 || value != options_find();
    printf("%s %s\n", ya_version(), failed ? "failed" : "ok");
    ya_ctx_free(ctx);
    return failed;
}
END
for link in shared static; do
    declare -n flags=$link
    "$CC" -std=c11 "${sanitize[@]}" hosts/host.c -o hosts/host "${flags[@]}"
    hosts/host | grep -qx '0\.1\.0 ok'
done

# The examples: run FILE... runs what was built of them and looks at what they print.
"$BUILD_DIR/tests/make_tiny" "$PWD/hosts"
run_examples() { # train_and_generate, score
    rm -rf hosts/run
    "$1" hosts/model hosts/rows.jsonl hosts/run "once upon" >hosts/output || { cat hosts/output; exit 1; }
    grep -q '^step 3 of 6: loss' hosts/output
    grep -qx 'stopped; resuming' hosts/output
    [ "$(grep -c '^step [0-9]* of 6' hosts/output)" = 6 ]
    [ -s hosts/run/adapter/adapter_model.safetensors ]
    "$2" hosts/model "once upon a time" "xq" >hosts/output || { cat hosts/output; exit 1; }
    [ "$(grep -c '^perplexity' hosts/output)" = 2 ]
    [ "$(grep -c '^s .*weight in the loss' hosts/output)" = 3 ]
    if "$1" hosts/no_such_model hosts/rows.jsonl hosts/run2 x >/dev/null 2>hosts/error; then exit 1; fi
    grep -q '^error: .*no_such_model' hosts/error
}

build_examples() { # flags of the compilers..., then -- and what links the library
    local options=()
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    shift
    "$CC" -std=c11 -Wall -Wextra -Wpedantic -Werror "${options[@]}" "$SOURCE_DIR/examples/train_and_generate.c" -o hosts/train "$@"
    "$CXX" -std=c++17 -Wall -Wextra -Wpedantic -Werror "${options[@]}" "$SOURCE_DIR/examples/score.cc" -o hosts/score "$@"
}

[ "$(wc -l <"$SOURCE_DIR/examples/train_and_generate.c")" -le 60 ]
build_examples "${sanitize[@]}" -- "${shared[@]}"
run_examples hosts/train hosts/score
build_examples "${sanitize[@]}" -- "${static[@]}"
LD_LIBRARY_PATH='' run_examples hosts/train hosts/score
# Leaks are found in the library too when only the host is instrumented, as it replaces malloc.
if [ -z "${SANITIZE:-}" ]; then
    build_examples -g -fsanitize=address,undefined -fno-sanitize-recover=all -- "${shared[@]}"
    run_examples hosts/train hosts/score
fi

# The same by CMake.
for static in OFF ON; do
    cmake -S "$SOURCE_DIR/examples" -B hosts/build$static -DSTATIC=$static -DCMAKE_PREFIX_PATH="$prefix" \
        -DCMAKE_C_COMPILER="$CC" -DCMAKE_CXX_COMPILER="$CXX" -DCMAKE_C_FLAGS="${sanitize[*]}" \
        -DCMAKE_CXX_FLAGS="${sanitize[*]}" >hosts/log
    cmake --build hosts/build$static >>hosts/log || { cat hosts/log; exit 1; }
    run_examples hosts/build$static/train_and_generate hosts/build$static/score
done

# A version that may have broken its callers is not found.
mkdir hosts/newer
printf '%s\n' 'cmake_minimum_required(VERSION 3.22)' 'project(newer LANGUAGES C)' 'find_package(your_ai 0.2 REQUIRED)' \
    >hosts/newer/CMakeLists.txt
if cmake -S hosts/newer -B hosts/newer/build -DCMAKE_PREFIX_PATH="$prefix" >hosts/log 2>&1; then
    echo "FAILED: version 0.2 was found"; exit 1
fi
grep -q '"0\.2"' hosts/log
