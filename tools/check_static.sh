#!/usr/bin/env bash
# cppcheck and clang-tidy over the sources of a configured build folder (compile_commands.json).
#   tools/check_static.sh build-debug
set -euo pipefail
build=$1
cppcheck --project="$build/compile_commands.json" --file-filter='*src/*' --enable=warning,performance,portability \
    --inline-suppr --suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches --error-exitcode=1 --quiet -j "$(nproc)"
echo "cppcheck: nothing found"
git ls-files 'src/*.c' | xargs -P "$(nproc)" -n 4 clang-tidy -p "$build" --quiet --warnings-as-errors='*' 2>/dev/null
echo "clang-tidy: nothing found"
