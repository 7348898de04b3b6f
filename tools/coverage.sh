#!/usr/bin/env bash
# Line coverage of src/ by the tests: builds with --coverage, runs every test, prints gcovr's table and the total.
set -euo pipefail
cmake --preset coverage >/dev/null
cmake --build --preset coverage
find build-coverage -name '*.gcda' -delete
ctest --test-dir build-coverage --output-on-failure --no-tests=error
gcovr --root . --filter 'src/' --object-directory build-coverage --print-summary --fail-under-line "${1:-85}"
