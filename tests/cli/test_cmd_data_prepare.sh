#!/usr/bin/env bash
# data prepare, data dedup and data split as a program: what they print, what they write, what they refuse. YOUR_AI is the program.
set -u
. "$SOURCE_DIR/tests/cli/support_check.sh"
rm -rf ./*

text="the first of some words that make a text long enough for shingles of five words each to be compared"
for i in 1 2 3 4 5 6; do echo "{\"id\":$i,\"text\":\"$text $((i / 3))\"}"; done >in.jsonl
for i in 7 8 9; do echo "{\"id\":$i,\"text\":\"number $i is about another thing altogether, and says so in $i different words\"}"; done >>in.jsonl

check "dedup: counts" '{"rows":9,"kept":4,"exact_copies":3,"near_copies":2,"groups":1,"largest_group":6,"faulty":0}' \
    "$("$YOUR_AI" data dedup in.jsonl -o out.jsonl --groups groups.jsonl --json)"
check "dedup: rows" "1 7 8 9" "$(echo $(sed 's/.*"id":\([0-9]*\).*/\1/' out.jsonl))"
check "dedup: groups" '{"kept":{"file":"in.jsonl","row":1},"rows":[{"file":"in.jsonl","row":1},{"file":"in.jsonl","row":2}' \
    "$(head -c 99 groups.jsonl)"
check "dedup: equal ones only" '{"rows":9,"kept":6,"exact_copies":3,"near_copies":0,"groups":2,"largest_group":3,"faulty":0}' \
    "$("$YOUR_AI" data dedup in.jsonl -o out.jsonl --no-near --json)"
"$YOUR_AI" data dedup in.jsonl -o out.jsonl | grep -q "9 rows, of which 4 stay: 3 are equal to another one, 2 nearly" || check "dedup: page" "9 rows" ""
"$YOUR_AI" data split in.jsonl --train train.jsonl --valid valid.jsonl --valid-size 2 >page || check "split" 0 $?
check "split: rows" "7 2" "$(cat train.jsonl | wc -l) $(cat valid.jsonl | wc -l)"
check "split: nothing lost" "$(sort in.jsonl)" "$(sort train.jsonl valid.jsonl)"
grep -q "9 rows: 7 for training (7 asked for), 2 for validation (2 asked for)" page || check "split: page" "9 rows: ..." "$(cat page)"
"$YOUR_AI" data dedup - -o o <in.jsonl 2>err && check "standard input" 2 0
gzip -k in.jsonl
check "packed" 4 "$("$YOUR_AI" data dedup in.jsonl.gz -o o.jsonl >/dev/null; wc -l <o.jsonl)"

# Raw rows of two kinds, one known by its file's name.
for i in $(seq 60); do echo "{\"abstract\":\"number $i of a set of $i abstracts, each of which differs from all of the others in $i places, $((i * i)) and $((i * i * i)) of them\"}"; done >arxiv.jsonl
for i in $(seq 40); do echo "{\"text\":\"entry $i of a diary, on the day numbered $((i * 7)), of $((i * i)) days, when $((i * 13)) things of note were seen and written down\",\"source_type\":\"diary\"}"; done >mine.jsonl
"$YOUR_AI" data prepare arxiv.jsonl mine.jsonl --train t.jsonl --valid v.jsonl --no-balance --threshold 0.95 >page || check "prepare" 0 $?
check "prepare: rows" "90 10" "$(cat t.jsonl | wc -l) $(cat v.jsonl | wc -l)"
check "prepare: kinds" 60 "$(cat t.jsonl v.jsonl | grep -c '"text":"number .*"source_type":"preprint","auth_weight":0')"
check "prepare: page" "all 100 0 0 0 0 90 10 0" "$(echo $(grep '^all' page))"
"$YOUR_AI" data prepare arxiv.jsonl mine.jsonl --train t2.jsonl --valid v2.jsonl --no-balance --threshold 0.95 --json | grep -q '"typed":60' || check "prepare: json" '"typed":60' ""
cmp t.jsonl t2.jsonl || failed=1
refuse_data "prepare: nothing is long enough" "no rows to split" prepare mine.jsonl --train o2 --valid o3 --min-chars 1000

# A full disk: nothing that looks finished.
for i in $(seq 4000); do echo "{\"text\":\"row $i of some that are long enough to fill the little room that there is $i\"}"; done >big.jsonl
(ulimit -f 100 && "$YOUR_AI" data dedup big.jsonl -o full.jsonl --no-near >/dev/null 2>err)
check "full disk: exit code" 1 $?
[ -e full.jsonl ] && check "full disk" "no output" "$(ls -la full*)"
(ulimit -f 100 && "$YOUR_AI" data split big.jsonl --train full.t --valid full.v --no-near >/dev/null 2>err)
check "full disk, split: exit code" 1 $?
[ -e full.t ] || [ -e full.v ] && check "full disk, split" "no output" "$(ls -la full*)"

# Bad input, by file and row.
printf '{"text":"a"}\n{"text":"b"\n' >bad.jsonl
refuse_data "malformed" "bad.jsonl:2: column" dedup bad.jsonl -o o2
printf '{"text":"a"}\n{"text":"\xff"}\n' >bad.jsonl
refuse_data "encoding" "bad.jsonl:2:" dedup bad.jsonl -o o2
head -c 3000 "$YOUR_AI" >bad.jsonl
refuse_data "binary" "bad.jsonl" dedup bad.jsonl -o o2
: >bad.jsonl
refuse_data "empty" "is empty" split bad.jsonl --train t --valid v
refuse_data "permutations" "100 permutations: give a multiple of 16" dedup in.jsonl -o o2 --permutations 100
refuse_data "no such file" "nowhere.jsonl" dedup nowhere.jsonl -o o2
[ -e o2 ] && check "bad input" "no output" "o2"
exit $failed
