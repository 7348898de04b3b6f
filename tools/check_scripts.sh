#!/usr/bin/env bash
# Every shell script parses, and no file holds the marks of a merge that was not finished.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
while read -r file; do
    head -n 1 "$file" | grep -qE '^#!.*\b(ba)?sh\b' || continue
    bash -n "$file" || failed=1
done < <(git ls-files)
if git grep -nE '^(<{7}|>{7}|\|{7}) ' -- .; then
    echo "marks of a merge are in the files above"
    failed=1
fi
[ $failed = 0 ] && echo "scripts: all parse, no marks of a merge"
exit $failed
