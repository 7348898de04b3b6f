#!/usr/bin/env bash
# Runs a shell test in an empty folder that is removed afterwards:  run_script.sh SCRIPT [GROUP]
# The folder lies in memory where there is enough of it, as a disk is waited for whenever a file is synced or replaced
# (tests/support_scratch.h has the same rule for programs). What a failed test left is moved to the working directory of CTest.
set -u
kept=$PWD
place=
if [ "$(df --output=avail -k /dev/shm 2>/dev/null | tail -1)" -gt $((2 << 20)) ] 2>/dev/null; then
    place=$(mktemp -d /dev/shm/your_ai_script_XXXXXX) || place=
fi
if [ -n "$place" ]; then # programs are started there
    printf '#!/bin/sh\n' >"$place/probe" && chmod +x "$place/probe" && "$place/probe" 2>/dev/null || { rm -rf "$place" && place=; }
    rm -f "${place:-/nowhere}/probe"
fi
[ -n "$place" ] || place=$(mktemp -d /tmp/your_ai_script_XXXXXX) || exit 1
trap 'rm -rf "$place"' EXIT
cd "$place" || exit 1
bash "$@"
status=$?
if [ $status -ne 0 ] && [ $status -ne 77 ]; then
    rm -rf "${kept:?}"/* && cp -a "$place/." "$kept/" && echo "what the test left is in $kept"
fi
exit $status
