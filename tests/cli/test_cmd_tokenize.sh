#!/usr/bin/env bash
# tokenize: pipes in and out, and what it refuses. YOUR_AI is the program, TEST_DATA the committed data.
set -u
model="$TEST_DATA/io/tokenizer/qwen"
. "$SOURCE_DIR/tests/cli/support_check.sh"

# refuse LABEL INPUT PART ARGUMENTS...: exit code 2, one line on stderr with PART in it, nothing on stdout
refuse() {
    local label=$1 input=$2 part=$3 out code
    shift 3
    out=$(printf '%s' "$input" | "$YOUR_AI" tokenize "$@" 2>err)
    code=$?
    check "$label: exit code" 2 "$code"
    check "$label: output" "" "$out"
    check "$label: lines of message" 1 "$(wc -l <err)"
    grep -qF -- "$part" err || check "$label: message" "...$part..." "$(cat err)"
}

# Any bytes come back, text of special tokens included.
printf "It's <|im_start|> \\xff and\\n<think>\\0x" >text
"$YOUR_AI" tokenize -m "$model" <text >ids || check "encode" 0 $?
check "one line" 1 "$(wc -l <ids)"
"$YOUR_AI" tokenize -m "$model" --decode <ids >back || check "decode" 0 $?
cmp text back || failed=1

check "special" "1" "$(printf '<|im_end|>' | "$YOUR_AI" tokenize -m "$model" --special)"
[ "$(printf '<|im_end|>' | "$YOUR_AI" tokenize -m "$model")" = 1 ] && check "not special" "several ids" 1
check "empty" "" "$("$YOUR_AI" tokenize -m "$model" </dev/null)"
check "nothing to decode" "" "$("$YOUR_AI" tokenize -m "$model" --decode </dev/null)"

refuse "a word" "12 x3" "number 2" -m "$model" --decode
refuse "negative" "12 -3" "number 2" -m "$model" --decode
refuse "past 64 bits" "99999999999999999999" "number 1" -m "$model" --decode
refuse "outside the vocabulary" "2147483647" "2147483647" -m "$model" --decode
refuse "commas" "1,2" "number 1" -m "$model" --decode
refuse "both ways" "" "--special" -m "$model" --decode -s
refuse "missing model" "" "no such" -m "$TEST_DATA/no such"
refuse "no model" "" "--model"
exit $failed
