#!/usr/bin/env bash
# No name but ya_* is visible in either library, so a host program may call its own functions as it likes, and every function
# of the headers is there. Sanitizers and gcov add names of their own.
set -euo pipefail
instrumented='^__(odr_asan|asan|ubsan|tsan|sanitizer|gcov|llvm)'

declared() { # the functions of the public headers
    perl -0pe 's{/\*.*?\*/}{}gs' "$SOURCE_DIR"/include/*.h | grep -v typedef |
        grep -oE '\bya_[a-z0-9_]+\(' | tr -d '(' | sort -u
}

check() { # what, list of names
    if grep -vE '^ya_' "$2" | grep -vE "$instrumented" | grep .; then echo "FAILED: $1 shows the names above"; exit 1; fi
    comm -23 declared "$2" | grep . && { echo "FAILED: $1 lacks the functions above"; exit 1; }
    comm -13 declared "$2" | grep -vE "$instrumented" | grep . && { echo "FAILED: $1 shows what no header declares"; exit 1; }
    return 0
}

declared >declared
[ "$(wc -l <declared)" -gt 70 ]
"$NM" --defined-only -D "$BUILD_DIR/libyour_ai.so" | awk '{print $NF}' | sort >shared
"$NM" --defined-only -g "$BUILD_DIR/libyour_ai.a" | awk 'NF == 3 {print $NF}' | sort >static
check libyour_ai.so shared
check libyour_ai.a static
"$READELF" -d "$BUILD_DIR/libyour_ai.so" | grep -q 'SONAME.*\[libyour_ai\.so\.[0-9]*\.[0-9]*\]'
