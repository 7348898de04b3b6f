#!/usr/bin/env bash
# The program linked with YA_STATIC_DEPS needs nothing but the C library at run time (glibc keeps libm apart; its loader is
# named when thread-local storage is used), and it reads JSON and normalises Unicode all the same.
set -euo pipefail
program=$BUILD_DIR/your_ai_static_deps

"$READELF" -d "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' >needed
[ -s needed ]
if grep -vE '^(libc|libm|libpthread|ld-linux.*)\.so' needed | grep -vE '^lib(asan|ubsan|tsan|gcc_s)\.so'; then
    echo "FAILED: the program needs the libraries above"; exit 1
fi
# The check can fail: the ordinary program needs jansson, unless it was built with YA_STATIC_DEPS too.
if ! grep -q 'YA_STATIC_DEPS:BOOL=ON' "$BUILD_DIR/CMakeCache.txt"; then
    "$READELF" -d "$BUILD_DIR/your_ai" | grep -q 'NEEDED.*jansson'
fi
[ -z "${CROSS:-}" ] || exit 0
"$program" --version | grep -qx 'your_ai [0-9]*\.[0-9]*\.[0-9]*'
