#!/usr/bin/env bash
# Under a limit of the process's address space a run is planned so that it fits, and memory that the system refuses ends a command as a
# plan that does not fit does: exit code 3 and one line that says what to do. YOUR_AI is the program; make_tiny gives a model and rows.
set -u
. "$SOURCE_DIR/tests/cli/support_check.sh"
# Sanitizers and emulators have memory of their own.
[ -z "$SANITIZE$CROSS" ] || exit 77
rm -rf model free limited trials.jsonl large under
"$BUILD_DIR/tests/make_tiny" "$PWD" || exit 1
unset YA_DEVICE

# limited LABEL KIB PART COMMAND: the command with so much address space is refused with code 3 and a line with PART in it
limited() {
    local label=$1 kib=$2 part=$3 code=0
    shift 3
    (ulimit -v "$kib" && exec "$YOUR_AI" "$@") >out 2>err || code=$?
    check "$label: exit code" 3 "$code"
    grep -q "^error: .*$part.*; raise this process's limit (ulimit, .*or ask for less: your_ai help memory\$" err ||
        check "$label: message" "error: ...$part...your_ai help memory" "$(cat err)"
    check "$label: lines of error" 1 "$(grep -c '^error' err)"
}

# One step of 64 rows of 250 tokens; the page before it says how much that takes.
for i in $(seq 100 163); do printf '{"text": "%s%0247d"}\n' "$i" 0; done >long.jsonl
train="train -m model -d long.jsonl --device cpu -t 1 --max-steps 1 --batch 64 --max-length 256 --no-packing --grad-checkpoint off -o"
"$YOUR_AI" $train free >free.out 2>&1 || check "without a limit" 0 "$(cat free.out)"
[ "$(sed -n 's/^ *in all *\([0-9]*\).* MiB.*/\1/p' free.out)" -gt 90 ] || check "without a limit" "more than 90 MiB" "$(grep 'in all' free.out)"
limited "a step" 60000 "out of address space: a block of [0-9]* bytes" $train limited
[ -e limited ] && check "a step" "no run" "$(ls limited)"
limited "threads" 60000 "cannot start 200 threads" ${train/-t 1/-t 200} limited

# A model that takes half of the limit, mapped: it is counted once, and blocks are recomputed where a step would be refused otherwise.
"$YOUR_AI" init --like smollm2-135m -o large >out 2>&1 || check "a large model" 0 "$(cat out)"
printf '{"text": "%0300d"}\n' 1 2 3 4 >large.jsonl
(ulimit -v 560000 && exec "$YOUR_AI" train -m large -d large.jsonl --device cpu --compute f32 -t 1 --max-steps 1 --max-length 64 \
    --batch 4 --no-packing -o under) >out 2>&1 || check "a large model" 0 "$(cat out)"
grep -q "^  in all .* computed again in backward" out || check "a large model: plan" "blocks computed again" "$(cat out)"
grep -q "^step 1/1 " out || check "a large model: step" "step 1/1" "$(cat out)"
rm -rf large under

# A model whose file cannot even be mapped does not fit, and those that can are judged all the same.
(ulimit -v 700000 && exec "$YOUR_AI" recommend --all --largest 1.2 --device cpu-portable -t 1 -b 1 --max-length 64) >out 2>&1 ||
    check "recommend" 0 "$(cat out)"
check "recommend: what fits" "smollm2-135m yes" "$(awk '/^smollm2-135m/ {print $1, $9}' out)"
check "recommend: what cannot be mapped" "tinyllama - no" "$(awk '/^tinyllama/ {print $1, $7, $8}' out)"

# Trials of a series: one that is refused memory does not fit, which is a result, and the next smaller form is tried.
(ulimit -v 60000 && "$YOUR_AI" benchmark tiny --device cpu -t 1 -b 64 --max-length 256 --results trials.jsonl >out 2>err) ||
    check "a trial" 0 "$(cat err)"
check "a trial: forms" 3 "$(grep -c '"outcome":"does not fit".*out of address space' trials.jsonl)"

# A file that is mapped: 200 MB of nothing behind the tensors would be refused by the reader, but no address space comes before.
head -c 200M /dev/zero >large.safetensors
limited "a file" 100000 "cannot map large.safetensors" inspect large.safetensors
rm large.safetensors
"$YOUR_AI" help memory | grep -q "ulimit -v" || check "help memory" "ulimit -v" "$("$YOUR_AI" help memory)"
exit $failed
