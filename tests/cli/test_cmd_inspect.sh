#!/usr/bin/env bash
# inspect: every kind of file and folder as table and as JSON, and what it refuses. YOUR_AI is the program, TEST_DATA the
# committed data, SHARED_DIR the corpora.
set -u
. "$SOURCE_DIR/tests/cli/support_check.sh"

# has LABEL FILE PART: the file has a line with PART in it, runs of spaces taken as one
has() {
    tr -s ' ' <"$2" | grep -qF -- "$3" || check "$1" "...$3..." "$(head -c 2000 "$2")"
}

# json LABEL EXPRESSION WANT: the page of the last `show` as JSON, looked into with Python's own parser
json() {
    check "$1" "$3" "$(python3 -c 'import json, sys; d = json.load(open("json")); print(eval(sys.argv[1]))' "$2" 2>&1)"
}

# show PATH: into the files table and json, both with exit code 0 and nothing on stderr
show() {
    "$YOUR_AI" inspect "$1" >table 2>err
    check "inspect $1: exit code" 0 $?
    "$YOUR_AI" inspect --json "$1" >json 2>>err
    check "inspect --json $1: exit code" 0 $?
    check "inspect $1: stderr" "" "$(cat err)"
}

# refuse LABEL PATH PART: exit code 2, one line on stderr with PART in it, nothing on stdout
refuse() {
    local out code
    out=$("$YOUR_AI" inspect "$2" 2>err)
    code=$?
    check "$1: exit code" 2 "$code"
    check "$1: output" "" "$out"
    check "$1: lines of message" 1 "$(wc -l <err)"
    has "$1: message" err "$3"
}

# With the word "corpora": only what needs ../shared/corpora, which CI has and a clone has not.
if [ "${1:-}" = corpora ]; then
    stories=$SHARED_DIR/corpora/models/stories260K.gguf
    show "$stories"
    json "gguf vocabulary" 'd["facts"]["tokenizer.ggml.tokens"]' "{'items': 512, 'of': 'string'}"
    json "gguf parameters" 'd["files"][0]["count"], d["files"][0]["parameters"]' "(48, 292800)"
    head -c 5000 "$stories" >cut.gguf
    refuse "cut GGUF" cut.gguf "cut.gguf: offset 4"
    exit $failed
fi

# GGUF
show "$TEST_DATA/io/golden.gguf"
has "gguf kind" table "golden.gguf: GGUF v3"
has "gguf scalar" table "k.i64 -9223372036854775808"
has "gguf string" table "k.string naïve"
has "gguf array" table 'a.string ["","a","Ġthe","longer token"]'
has "gguf tensor" table "t.Q4_1 Q4_1 3 x 64 120"
has "gguf totals" table "13 tensors, 829 parameters"
json "gguf values" 'd["facts"]["k.u64"], d["facts"]["k.f64"], d["facts"]["k.true"], d["facts"]["a.i32"]' \
    "(9223372036854775807, 0.1, True, [-7, 7, 0])"
json "gguf tensors" 'd["files"][0]["tensors"][8]' "{'name': 't.four', 'type': 'F32', 'shape': [2, 1, 3, 2], 'bytes': 48}"

# Folders and safetensors
model=$TEST_DATA/golden/llama32
show "$model/model.safetensors"
has "safetensors kind" table "model.safetensors: safetensors"
has "safetensors metadata" table "metadata.format pt"
has "safetensors tensor" table "model.embed_tokens.weight F32 160 x 48 30720"
show "$model"
has "model kind" table "llama32: model folder"
json "model config" 'd["facts"]["rope_parameters"]["factor"], d["facts"]["rms_norm_eps"], d["files"][0]["count"]' "(8.0, 1e-05, 20)"
show "$model/adapter"
has "adapter kind" table "adapter: PEFT adapter"
json "adapter config" 'd["facts"]["r"], d["facts"]["peft_type"], d["files"][0]["count"]' "(4, 'LORA', 28)"

# A checkpoint, put together as checkpoint.h says
rm -rf step && mkdir step
cp "$model/adapter/adapter_config.json" "$model/adapter/adapter_model.safetensors" step/
cp "$model/adapter/adapter_model.safetensors" step/adapter_optimizer.safetensors
echo '{"step": 12, "best": {"step": 10}}' >step/state.json
{
    printf '{\n  "format": "your_ai checkpoint 1",\n  "files": {\n'
    separator=
    for f in adapter_config.json adapter_model.safetensors adapter_optimizer.safetensors state.json; do
        printf "$separator"'    "%s": {"bytes": %d, "sha256": "%s"}' "$f" "$(wc -c <step/$f)" "$(sha256sum <step/$f | cut -d' ' -f1)"
        separator=',\n'
    done
    printf '\n  }\n}\n'
} >manifest
cp manifest step/manifest.json
show step
has "checkpoint kind" table "step: checkpoint"
has "checkpoint state" table "state.step 12"
json "checkpoint" 'd["facts"]["state.best"], d["facts"]["adapter.r"], [f["file"] for f in d["files"]]' \
    "({'step': 10}, 4, ['adapter_model.safetensors', 'adapter_optimizer.safetensors'])"
echo >>step/state.json
refuse "checkpoint changed" step "state.json: size or SHA-256"
rm step/manifest.json
refuse "checkpoint without manifest" step "manifest.json: is missing"

# Tokenizer
show "$TEST_DATA/io/tokenizer/qwen/tokenizer.json"
has "tokenizer kind" table "tokenizer.json: tokenizer"
json "tokenizer" 'd["kind"], d["facts"]["tokenizer.vocab_size"] > 100' "('tokenizer', True)"

# A name with a terminal escape is not sent to the terminal
printf '\77\0\0\0\0\0\0\0{"a\\u001b[2J\xc2\x9b":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}x' >escape.safetensors
show escape.safetensors
has "escaped name" table 'a\x1b[2J\xc2\x9b U8'

# Refused
head -c 500 "$TEST_DATA/io/golden.gguf" >cut.gguf
refuse "cut GGUF" cut.gguf "cut.gguf: offset"
head -c 3000 "$model/model.safetensors" >cut.safetensors
refuse "cut safetensors" cut.safetensors "outside the"
: >empty
refuse "empty file" empty "too short"
echo 'hello world, this is text' >text
refuse "text" text "not a safetensors file"
echo '{"model": 1}' >other.json
refuse "other JSON" other.json "other.json"
mkdir -p nothing
refuse "empty folder" nothing "neither a model folder"
mkdir -p broken && echo '[]' >broken/adapter_config.json
refuse "adapter without object" broken "is not a JSON object"
refuse "absent" absent "absent"
"$YOUR_AI" inspect >out 2>err
check "no operand: exit code" 2 $?

exit $failed
