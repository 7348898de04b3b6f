#!/usr/bin/env bash
# The public headers compile as C11 and C++17, each alone and all together, without a warning. What `extern "C"` promises is
# linked for real in test_install.sh.
set -euo pipefail
warnings=(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wundef -Werror -fsyntax-only)

compile() { # header...
    printf '#include "%s"\n' "$@" >header.c
    echo 'extern int header_is_here;' >>header.c
    cp header.c header.cc
    "$CC" -std=c11 "${warnings[@]}" -Wstrict-prototypes -I "$SOURCE_DIR/include" header.c
    "$CXX" -std=c++17 "${warnings[@]}" -Wold-style-cast -I "$SOURCE_DIR/include" header.cc
}

compile your_ai.h
compile your_ai_array.h
compile your_ai.h your_ai_array.h
compile your_ai_array.h your_ai.h your_ai_array.h
# The test can fail: what is no C++ is refused.
mkdir -p broken
{ cat "$SOURCE_DIR/include/your_ai.h"; echo 'int *ya_broken(int new);'; } >broken/your_ai.h
if "$CXX" -std=c++17 -fsyntax-only -I broken -x c++ - <<<'#include "your_ai.h"' 2>/dev/null; then
    echo "a header that is no C++ was not refused"; exit 1
fi
