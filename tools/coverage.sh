#!/usr/bin/env bash
# Line coverage of src/ by the tests: builds with --coverage, runs every test, prints the files below 85 % and the total.
set -euo pipefail
cmake --preset coverage >/dev/null
cmake --build --preset coverage
find build-coverage -name '*.gcda' -delete
ctest --test-dir build-coverage --output-on-failure --no-tests=error -LE 'corpora|ci'
tools/coverage.py build-coverage "${1:-85}"
