#!/usr/bin/env bash
# data doctor: every finding once, with its count and its row; healthy rows without one; exit codes. YOUR_AI is the program.
set -u
. "$SOURCE_DIR/tests/cli/support_check.sh"
rm -rf ./*

# rows N WORDS SEED MEMBERS...: N rows of WORDS words; MEMBERS are taken in turn
rows() {
    awk -v n="$1" -v words="$2" -v seed="$3" -v a="$4" -v b="${5:-$4}" 'BEGIN {
        for (i = 0; i < n; i++) {
            printf "{\"text\":\""
            for (k = 0; k < words; k++) printf "%sw%d", k ? " " : "", (seed + i * 7919 + k * 104729 + i * k * 31) % 4001
            printf "\"%s}\n", i % 2 ? b : a
        }
    }'
}
high='"auth_weight":0.9,"prov_entropy":1'
low='"auth_weight":0.05,"prov_entropy":7'

# findings FILE ARGUMENTS...: "NAME=ROWS@ROW ..." of what is found
findings() {
    "$YOUR_AI" data doctor "$@" --json | grep -o '"finding":"[a-z_]*","rows":[0-9]*,"file":"[^"]*","row":[0-9]*' |
        sed 's/"finding":"\([a-z_]*\)","rows":\([0-9]*\),"file":"[^"]*","row":\([0-9]*\)/\1=\2@\3/' | tr '\n' ' '
}

rows 200 60 1 ",\"source_type\":\"wiki\",$high" ",\"source_type\":\"patent_pre1970\",$low" >well.jsonl
check "healthy rows" "" "$(findings well.jsonl)"
"$YOUR_AI" data doctor well.jsonl >page 2>err
check "healthy rows: exit code" 0 $?
check "healthy rows: page" "200 rows, 0 findings" "$(cat page)"

# One row of each fault behind the healthy ones.
cp well.jsonl sick.jsonl
text=$(sed -n 6p well.jsonl | sed 's/{"text":"\([^"]*\)".*/\1/')
item=$(echo "$text" | cut -d' ' -f11-30)
{
    echo '{"x":1}'                                                     # 201
    echo "{\"text\":\"$text\",$low}"                                   # 202
    echo "{\"text\":\"$text one\",$low}"                               # 203
    echo "{\"messages\":[{\"role\":\"user\",\"content\":\"$(seq 40 | tr '\n' ' ')\"},{\"role\":\"assistant\",\"content\":\" \"}],$low}" # 204
    echo "{\"prompt\":\"$(seq 100 140 | tr '\n' ' ')\",\"completion\":\"\",$low}" # 205
    echo "{\"text\":\"$(seq 9000 | tr '\n' ' ')\",$low}"               # 206
    echo "{\"text\":\"$(seq 200 240 | tr '\n' ' ')\",\"auth_weight\":2,\"prov_entropy\":1}" # 207
    echo "{\"text\":\"$(seq 300 340 | tr '\n' ' ')\"}"                 # 208
    echo "{\"text\":\"$(seq 400 440 | tr '\n' ' ')\",\"source_type\":\"wiki\",$low}" # 209
    echo '{"text":'                                                    # 210
} >>sick.jsonl
echo "{\"question\":\"$item\"}" >items.jsonl
echo '{"question":"too short to be checked by runs, and no row is the same: but it is longer than fifty"}' >>items.jsonl
want="no_text=1@201 faulty=1@210 equal_copies=1@202 near_copies=1@203 evaluation_leak=3@6 empty_answer=2@204 odd_length=1@206 \
bad_scores=1@207 without_scores=1@208 contradicts_source_type=1@209 "
check "each fault" "$want" "$(findings sick.jsonl --eval items.jsonl)"
"$YOUR_AI" data doctor sick.jsonl --eval items.jsonl >page 2>err
check "faults: exit code" 1 $?
check "faults: nothing on stderr" "" "$(cat err)"
grep -q "evaluation_leak: 3 rows, such as sick.jsonl:6" page || check "faults: page" "evaluation_leak ..." "$(cat page)"
check "threads" "$want" "$(findings sick.jsonl --eval items.jsonl -t 3)"
check "no evaluation" "" "$(findings sick.jsonl | grep leak)"

# What concerns all rows together.
rows 100 60 1 ',"auth_weight":0.5,"prov_entropy":3' >equal.jsonl
check "equal scores" "equal_scores=100@1 " "$(findings equal.jsonl)"
rows 100 60 1 ",\"source_type\":\"patent_pre1970\",$high" ",\"source_type\":\"wiki\",$low" >inverted.jsonl
check "inverted" "contradicts_source_type=100@1 scores_inverted=100@2 " "$(findings inverted.jsonl)"
{ rows 4 60 1 ',"auth_weight":0.05,"prov_entropy":9'; rows 300 60 9 ',"auth_weight":0.95,"prov_entropy":0'; } >few.jsonl
check "few rows" "few_rows_weigh=90@1 " "$(findings few.jsonl)"

"$YOUR_AI" data doctor nowhere.jsonl >/dev/null 2>err
check "no file: exit code" 2 $?
exit $failed
