#!/usr/bin/env bash
# What setup, recommend, benchmark and optimize leave in $TMPDIR when they are killed is removed by the next command that needs space
# there, and their children end with them.
set -u
failed=0
rm -rf ./*
"$BUILD_DIR/tests/make_tiny" "$PWD" || exit 1
export TMPDIR=$PWD/tmp XDG_CONFIG_HOME=$PWD/config
mkdir tmp config

fail() {
    printf 'FAILED %s\n' "$*"
    failed=1
}

# SIGNAL WORDS...: starts the program, kills it once it has made a folder, and looks what is left after the next command.
killed() {
    local signal=$1 pid
    shift
    "$YOUR_AI" "$@" -t 1 >out 2>&1 &
    pid=$!
    for _ in $(seq 600); do
        [ -n "$(ls -A tmp)" ] && break
        sleep 0.02
    done
    [ -n "$(ls -A tmp)" ] || fail "$1 made no folder: $(cat out)"
    kill "-$signal" $pid 2>/dev/null || fail "$1 ended before it was killed: $(cat out)"
    wait $pid 2>/dev/null
    [ -n "$(ls -A tmp)" ] || [ "$signal" = TERM ] || fail "$1: nothing to remove, so this shows nothing"
    touch -d '1 minute ago' tmp/* 2>/dev/null
    for _ in $(seq 50); do # a child takes a moment to end
        "$YOUR_AI" tokenize -m model -d rows.jsonl >out 2>&1 || fail "tokenize: $(cat out)"
        [ -z "$(ls -A tmp)" ] && return
        sleep 0.1
    done
    fail "$1 after SIG$signal leaves $(ls -A tmp)"
    rm -rf tmp/*
}

for signal in KILL TERM; do
    killed $signal setup
    killed $signal recommend --tokens 1000 --device cpu-portable
    killed $signal benchmark smollm2-135m --results results.jsonl --device cpu-portable
    killed $signal optimize best.yaml -m model -d rows.jsonl --device cpu-portable
done
exit $failed
