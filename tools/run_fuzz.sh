#!/usr/bin/env bash
# Runs every libFuzzer target over its seeds for some seconds, as many at a time as there are cores. A target is a source
# tests/fuzz/fuzz_NAME.c: one that was not built, or has no seeds, or says nothing of its end, is a failure. Ends with "fuzz: N
# passed, N failed" and 1 when one failed, whose input is then kept in BUILD/fuzz-findings.
#   cmake --preset fuzz && cmake --build --preset fuzz && tools/run_fuzz.sh [SECONDS] [BUILD]     (defaults: 5, build-fuzz)
set -uo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-5}
build=${2:-build-fuzz}

run_target() { # NAME
    local program=$build/tests/fuzz/fuzz_$1 seeds=tests/fuzz/seeds/$1
    [ -x "$program" ] || { echo "fuzz $1: $program was not built"; return 1; }
    [ -n "$(ls -A "$seeds" 2>/dev/null)" ] || { echo "fuzz $1: no seeds in $seeds"; return 1; }
    mkdir -p "$build/fuzz-findings"
    local corpus log
    corpus=$(mktemp -d) && log=$corpus.log
    if "$program" -max_total_time="$seconds" -rss_limit_mb=1024 -timeout=10 -print_final_stats=1 \
        -artifact_prefix="$build/fuzz-findings/$1-" "$corpus" "$seeds" >"$log" 2>&1; then
        echo "fuzz $1: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs"
        rm -rf "$corpus" "$log"
        return 0
    fi
    tail -40 "$log"
    rm -rf "$corpus" "$log"
    return 1
}

if [ -n "${YA_FUZZ_ONE:-}" ]; then # one target, started below
    if run_target "$YA_FUZZ_ONE"; then echo "fuzz passed: $YA_FUZZ_ONE"; else echo "fuzz FAILED: $YA_FUZZ_ONE"; fi
    exit
fi

targets=$(ls tests/fuzz/fuzz_*.c | sed 's|.*/fuzz_||; s|\.c$||' | grep -vx replay)
log=$(mktemp)
xargs -P "$(nproc)" -I{} env YA_FUZZ_ONE={} tools/run_fuzz.sh "$seconds" "$build" <<<"$targets" 2>&1 | tee "$log"
passed=$(grep -c '^fuzz passed: ' "$log")
failed=$(($(wc -l <<<"$targets") - passed))
rm -f "$log"
echo "fuzz: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
