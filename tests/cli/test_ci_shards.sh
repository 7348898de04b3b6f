#!/usr/bin/env bash
# Shards of data score under GNU parallel and as a Slurm array would start them, with the very lines of docs/score.md; and a list of
# shards that is killed wherever it is and started once more. Needs parallel (label `ci`: scripts/install-deps.sh dev). YOUR_AI is
# the program.
set -u
. "$SOURCE_DIR/tests/cli/support_check.sh"
rm -rf ./* && mkdir in bin whole
ln -s "$YOUR_AI" bin/your_ai
export PATH=$PWD/bin:$PATH
parallel --version 2>/dev/null | grep -q "^GNU parallel" || { echo "GNU parallel is missing: scripts/install-deps.sh dev"; exit 1; }
export PARALLEL_HOME=$PWD/parallel-home # its notice on citations, and nothing in the user's home
mkdir -p "$PARALLEL_HOME" && touch "$PARALLEL_HOME/will-cite"

for shard in a b c d; do
    awk -v name=$shard 'BEGIN { for (i = 0; i < 3000; i++) printf "{\"id\":%d,\"text\":\"Shard %s, row %d: a patent of 19%02d, of which experts agree that measurement %d was the first of its kind [%d].\"}\n", i, name, i, i % 100, i * 7, i % 30 }' >in/$shard.jsonl
done
for f in in/*.jsonl; do your_ai data score "$f" -q -t 1 -o whole/ || check "one by one" 0 $?; done

# The documented line that begins so.
documented() {
    grep -m 1 -F -- "$1" "$SOURCE_DIR/docs/score.md"
}

# same FOLDER: its outputs and manifests are those of the shards one by one
same() {
    check "$1: files" "$(ls whole)" "$(ls "$1")"
    for f in whole/*.jsonl; do cmp "$f" "$1/${f#whole/}" || failed=1; done
}

bash -c "$(documented "parallel -j 8")" </dev/null || check "GNU parallel" 0 $?
same out
mv out by_parallel

# Slurm gives each task its number; three tasks at a time, as sbatch --array=1-4%3 would.
ls in/*.jsonl >files.txt
documented 'your_ai data score "$(sed -n' >job.sh
for task in 1 2 3 4; do SLURM_ARRAY_TASK_ID=$task SLURM_CPUS_PER_TASK=1 bash job.sh || check "Slurm task $task" 0 $?; done
same out
rm -r out

# processes SESSION: the ids of those that run
processes() {
    awk -v session="$1" '{ sub(/.*\) /, ""); split($0, f, " "); if (f[1] != "Z" && f[4] == session) { split(FILENAME, path, "/"); print path[3] } }' /proc/[0-9]*/stat 2>/dev/null
}

# Killed after a while, wherever it is: what stands under its name is whole and has its manifest; the list once more makes the rest.
for wait in 0.2 0.5; do
    mkdir -p out
    setsid bash -c "$(documented "parallel -j 8"); true" </dev/null >/dev/null 2>&1 &
    session=$!
    sleep $wait
    for round in $(seq 100); do # until none is left that starts another
        running=$(processes $session)
        [ -n "$running" ] || break
        kill -9 $running 2>/dev/null
        sleep 0.05
    done
    wait $session 2>/dev/null
    check "no program is left" "" "$(processes $session)"
    for f in out/*.jsonl; do
        [ -e "$f" ] || continue
        cmp "$f" "whole/${f#out/}" || failed=1
        [ -e "$f.manifest.json" ] || check "killed after $wait s" "$f with its manifest" "$(ls out)"
    done
    rm -f out/*.tmp
    bash -c "$(documented "parallel -j 8")" </dev/null || check "once more" 0 $?
    same out
    rm -r out
done
exit $failed
