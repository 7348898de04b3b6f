#!/usr/bin/env bash
# The same rows in every shape of file train the same run, to the last byte of its adapter; weights of files, standard input and
# a share for validation. With the word "corpora": files of other people's under SHARED_DIR, each read or refused by name.
set -euo pipefail
rm -rf ./*
"$BUILD_DIR/tests/make_tiny" "$PWD"
. "$SOURCE_DIR/tests/cli/support_check.sh"

train() { # RUN OPTIONS...
    local run=$1
    shift
    "$YOUR_AI" train -m model -o "$run" --max-steps 2 --max-length 64 --batch 2 -r 2 -t 1 "$@" >"$run.out" 2>"$run.err"
}
refuse() { # LABEL PART OPTIONS...
    local label=$1 part=$2 code=0
    shift 2
    train refused "$@" || code=$?
    check "$label: exit code" 2 "$code"
    grep -qF -- "$part" refused.err || check "$label" "...$part..." "$(cat refused.err)"
}

if [ "${1:-}" = corpora ]; then
    cases=$SHARED_DIR/cases
    # a template without tools, calls and reasoning, which would be lost
    echo '{% for m in messages %}{{ m.role ~ ": " ~ m.content ~ "\n" }}{% endfor %}{{ "assistant: " if add_generation_prompt }}' \
        >model/chat_template.jinja
    # FILE, and how the message begins after the file's name; nothing: it is read
    while read -r file part; do
        if [ -n "$part" ]; then
            refuse "$file" "$part" -d "$cases/$file"
        elif ! train "read" -d "$cases/$file" --template chatml && ! grep -q 'needs the token' read.err; then
            check "$file" "is read" "$(cat read.err)"
        fi
        rm -rf read
    done <<'CASES'
data-file-shapes/array-one-line.jsonl
data-file-shapes/array-pretty.json
data-file-shapes/pretty-object.jsonl
data-file-shapes/rows.jsonl.gz
data-file-shapes/nan.jsonl NaN is no JSON value
data-file-shapes/table.csv is a CSV table
data-file-shapes/utf16.jsonl is UTF-16 text
data-file-shapes/table.parquet the footer of the Parquet file is corrupt
two-forms-in-a-row/rows.jsonl
turn-masks-ignored/rows.jsonl
tool-calls-dropped/rows.jsonl 'tool_calls'
reasoning-content-dropped/rows.jsonl 'reasoning_content'
CASES
    exit $failed
fi

train lines -d rows.jsonl
gzip -c rows.jsonl >packed.gz
{ echo '['; sed '$!s/$/,/' rows.jsonl; echo ']'; } >array.json
sed 's/^{/{\n  /; s/, "/,\n  "/g; s/}$/\n}/' rows.jsonl >objects.json
{ printf '\xef\xbb\xbf'; sed 's/$/\r/' rows.jsonl; } >windows.jsonl
for shape in packed.gz array.json objects.json windows.jsonl; do
    train "$shape.run" -d "$shape"
    cmp lines/adapter/adapter_model.safetensors "$shape.run/adapter/adapter_model.safetensors" || failed=1
done
"$YOUR_AI" train -m model -o piped --max-steps 2 --max-length 64 --batch 2 -r 2 -t 1 -d - >piped.out 2>piped.err <array.json
cmp lines/adapter/adapter_model.safetensors piped/adapter/adapter_model.safetensors || failed=1
"$YOUR_AI" resume piped --max-steps 4 >resumed.out 2>&1 || check "a run of standard input is resumed" 0 "$(cat resumed.out)"

# A file that counts twice has the rows' loss_weight doubled.
sed 's/^{/{"loss_weight": 2, /' rows.jsonl >double.jsonl
train weighted -d rows.jsonl:2
train doubled -d double.jsonl
cmp weighted/adapter/adapter_model.safetensors doubled/adapter/adapter_model.safetensors || failed=1
cmp -s lines/adapter/adapter_model.safetensors weighted/adapter/adapter_model.safetensors && check "weight" "other bytes" "the same"
"$YOUR_AI" resume weighted --max-steps 4 >resumed.out 2>&1 || check "a weighted run is resumed" 0 "$(cat resumed.out)"

train shared -d rows.jsonl --valid-share 0.25
grep -q '^data  *30 rows' shared.out || check "training rows" "30 rows" "$(grep '^data' shared.out)"
grep -q '^valid  *10 rows' shared.out || check "validation rows" "10 rows" "$(grep '^valid' shared.out)"
"$YOUR_AI" resume shared --max-steps 4 >resumed.out 2>&1 || check "a run with a share is resumed" 0 "$(cat resumed.out)"

# Conversations: the model's own template, and which of their turns are trained.
sed -n 's/.*/{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]}/p; 1q' \
    rows.jsonl >talk.jsonl
refuse "no template" "the model has no chat template" -d talk.jsonl
echo '{% for m in messages %}{{ m.role ~ ":" ~ m.content ~ "\n" }}{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}' \
    >model/chat_template.jinja
train turns -d talk.jsonl
grep -q 'ends a turn with no control token' turns.err || check "no end" "a warning" "$(cat turns.err)"
grep -qF '[[b' turns.out || check "first turn" "trained" "$(cat turns.out)"
train last -d talk.jsonl --train-on last
grep -qF '[[b' last.out && check "first turn" "not trained" "$(cat last.out)"
grep -qF '[[d' last.out || check "last turn" "trained" "$(cat last.out)"
train all -d talk.jsonl --train-on all
[ "$(sed -n 's/.*talk.jsonl:1  \([0-9]*\) tokens, .*/\1/p' all.out)" = "$(($(sed -n 's/.*talk.jsonl:1  [0-9]* tokens, \([0-9]*\) trained.*/\1/p' all.out) + 1))" ] ||
    check "all turns" "all but the first token" "$(cat all.out)"
refuse "marks of a template without" "needs a chat template with {% generation %} marks" -d talk.jsonl --mask exact
refuse "a date" "is not a date of the form" -d talk.jsonl --date tomorrow
refuse "a template that cannot be run" "line 1: {% include %}, which is not supported" -d talk.jsonl \
    $(echo '{% include "x" %}' >model/chat_template.jinja)
rm model/chat_template.jinja

refuse "two kinds of validation" "--valid and --valid-share" -d rows.jsonl --valid rows.jsonl --valid-share 0.1
refuse "standard input twice" "can be read once only" -d - --valid -
refuse "a weight of nothing" "the weight of a file is above 0" -d rows.jsonl:0
head -1 rows.jsonl >one.jsonl
refuse "a share of one row" "--valid-share: 0.5 of 1 different rows" -d one.jsonl --valid-share 0.5
exit $failed
