#!/usr/bin/env bash
# What is said of runs: inspect RUN as table and JSON, a run that went wrong, early stopping, the learning-rate finder, the
# plot, and the log. YOUR_AI is the program; make_tiny gives a model and rows.
set -u
failed=0
rm -rf model rows.jsonl run bad worse good steep early lr
"$BUILD_DIR/tests/make_tiny" "$PWD" || exit 1

# has LABEL FILE PART: a line of the file has PART in it, runs of spaces taken as one
has() {
    tr -s ' ' <"$2" | grep -qF -- "$3" && return
    printf 'FAILED %s: no "%s" in\n%s\n' "$1" "$3" "$(head -c 3000 "$2")"
    failed=1
}

# hasnt LABEL FILE PART
hasnt() {
    grep -qF -- "$3" "$2" || return
    printf 'FAILED %s: "%s" is in %s\n' "$1" "$3" "$2"
    failed=1
}

# json EXPRESSION WANT: of the last `inspect --json`, as Python reads it
json() {
    local got
    got=$(python3 -c 'import json, sys; d = json.load(open("json")); f = d["facts"]; print(eval(sys.argv[1]))' "$1" 2>&1)
    [ "$got" = "$2" ] && return
    printf 'FAILED %s\n  want: %s\n  got:  %s\n' "$1" "$2" "$got"
    failed=1
}

# train RUN OPTIONS: into out, stderr too; the exit code
train() {
    local run=$1
    shift
    "$YOUR_AI" train -m model -d rows.jsonl --valid-share 0.2 -o "$run" --rank 4 "$@" >out 2>&1
}

train run --max-steps 40 --eval-every 10 --lr 0.003 --plot || { cat out; failed=1; }
has "start" out "step 0 validation: loss"
has "start" out "before training"
has "smoothed" out "(smoothed "
has "plot" out "⠉"
has "verdict" out "the training loss went from"
has "log: command" run/log.txt "--max-steps 40"
has "log: version" run/log.txt "$("$YOUR_AI" --version)"
has "log: page" run/log.txt "optimizer moments"
has "log: kept line" run/log.txt "step 40/40 loss"
has "log: warning" run/log.txt "warning: "
has "log: end" run/log.txt "done: 40 steps"
hasnt "log: colours" run/log.txt $'\033'
[ "$(grep -c '^step [0-9]*/' run/log.txt)" = 20 ] || { echo "FAILED: kept lines"; grep -c '^step' run/log.txt; failed=1; }

has "README" run/README.md "# A training run of $("$YOUR_AI" --version)"
has "README" run/README.md "the training loss went from"
has "README" run/README.md "MB in all: checkpoints"
hasnt "README of a finished run" run/README.md "your_ai resume run"
has "README" run/README.md "your_ai export run"
cmp run/best/adapter_model.safetensors run/adapter/adapter_model.safetensors || failed=1

"$YOUR_AI" inspect run >table || failed=1
has "table" table "run: run of your_ai train"
has "table" table "state finished"
has "table" table "⠉"
has "table" table "how it went"
has "table" table "report run -o report.html"
"$YOUR_AI" inspect run --json >json || failed=1
json 'f["state"], f["steps"], f["of_steps"], f["best_step"] > 0' "('finished', 40, 40, True)"
json 'f["end_loss"] < f["start_loss"] < 20 and f["start_validation"] > f["best_validation"]' True
json '[x["kind"] for x in f["findings"] if x["bad"]]' '[]'
json '"--max-steps 40" in f["command"]' True

# It went wrong: said while it runs, at its end, and by inspect.
train bad --max-steps 40 --eval-every 0 --lr 0.003 --warmup 0 || failed=1
cp -r bad worse
python3 - <<'END'
import json
lines = [json.loads(l) for l in open("worse/metrics.jsonl")]
for l in lines:
    if "loss" in l: l["loss"] = 3.0 if l["step"] < 20 else 51.0
open("worse/metrics.jsonl", "w").writelines(json.dumps(l) + "\n" for l in lines)
END
"$YOUR_AI" inspect worse >table || failed=1
has "diverged" table "wrong: training diverged: the loss went from 3.000 to 51.000"
has "diverged" table "a lower --lr"
hasnt "diverged" table "generate"
# A rate of 3 takes an adapter that has learnt apart at once. (A random tiny model would only learn.)
train good --max-steps 60 --lr 0.01 || failed=1
"$YOUR_AI" train -m model -d rows.jsonl --valid-share 0.2 -o steep --adapter good/adapter --max-steps 10 --eval-every 0 \
    --lr 3 --schedule constant >out 2>&1 || failed=1
has "diverges" out "the loss diverges: "
has "diverges" out "all steps are done, but the run went wrong"
has "diverges" out "wrong: "
hasnt "diverges" out "done: 10"
hasnt "diverges" out "try it"

# Early stopping: the same end after an interruption, and no more steps on resume.
train early --max-steps 200 --eval-every 5 --lr 0.01 --patience 3 || failed=1
has "early" out "it was stopped after step"
has "early" out "--patience"
steps=$("$YOUR_AI" inspect early --json | python3 -c 'import json, sys; f = json.load(sys.stdin)["facts"]; print(f["steps"] - f["best_step"])')
[ "$steps" = 15 ] || { echo "FAILED: patience: $steps steps after the best"; failed=1; }
cp early/metrics.jsonl before.jsonl
"$YOUR_AI" resume early >out 2>&1 || failed=1
cmp early/metrics.jsonl before.jsonl || failed=1
if "$YOUR_AI" train -m model -d rows.jsonl -o none --patience 3 >out 2>&1; then failed=1; fi
has "patience" out "early stopping needs validation rows"

"$YOUR_AI" find-lr -m model -d rows.jsonl -o lr --rank 4 >out 2>&1 || failed=1
has "find-lr" out "suggestion: --lr "
if "$YOUR_AI" find-lr -m model -d rows.jsonl -o lr2 --schedule cosine >out 2>&1; then failed=1; fi
has "find-lr" out "--schedule: find-lr has no use for it"

# A faulty line is named; a torn one is left out.
printf '{"step":41' >>run/metrics.jsonl
"$YOUR_AI" inspect run >table || failed=1
has "torn" table "incomplete"
printf '\n' >>run/metrics.jsonl
if "$YOUR_AI" inspect run >table 2>out; then failed=1; fi
has "faulty" out "run/metrics.jsonl:"
exit $failed
