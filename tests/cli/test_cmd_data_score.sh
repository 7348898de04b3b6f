#!/usr/bin/env bash
# data score, data sources and data inspect: pipes, folders, restarts, kills, a full disk, what is refused. YOUR_AI is the program.
set -u
. "$SOURCE_DIR/tests/cli/support_check.sh"
rm -rf ./* && mkdir in

row='{"id":1, "text":"Published in 1923, this patent describes experiments; it was written long ago."}'
scored='{"id":1, "text":"Published in 1923, this patent describes experiments; it was written long ago.","auth_weight":0,"prov_entropy":7.6}'

# Pipes: what goes in comes out, with two members behind it; so from a file.
check "pipe" "$scored" "$(echo "$row" | "$YOUR_AI" data score --no-breakdown -q)"
echo "$row" >in/a.jsonl
check "file" "$scored" "$("$YOUR_AI" data score --no-breakdown -q in/a.jsonl)"
check "nothing on stderr" "" "$("$YOUR_AI" data score -q in/a.jsonl 2>&1 >/dev/null)"

# Every form that training reads: objects of several lines, several on a line, a text, a Parquet table.
for form in "$(printf '{"id":1,\n"text":"a"}\n{"text":"b"\n}')" '{"text":"a"} {"text":"b"}' '[{"text":"a"},
{"text":"b"}]'; do
    check "rows of $form" 2 "$(echo "$form" | "$YOUR_AI" data score -q | wc -l)"
done
printf 'one\n"two"' >text.txt
check "a text" '{"text":"one\n\"two\"","auth_weight":0.5,"prov_entropy":3}' "$("$YOUR_AI" data score -q --no-breakdown text.txt)"
for kind in training.jsonl training_zstd_v2.parquet; do
    "$YOUR_AI" data score -q --on-error skip --existing replace "$TEST_DATA/io/parquet/$kind" 2>/dev/null | wc -l
done >table
check "a table" "38 38" "$(echo $(cat table))"

# A folder of inputs: an output and a manifest each, and only what is missing is done again.
printf '[%s,\n%s]' "$row" "$row" >in/b.json
gzip -c in/a.jsonl >in/c.jsonl.gz
echo notes >in/readme.txt
"$YOUR_AI" data score in -o out.d/ 2>err || check "folder" 0 $?
check "outputs" "a.jsonl a.jsonl.manifest.json b.jsonl b.jsonl.manifest.json c.jsonl c.jsonl.manifest.json" "$(echo $(ls out.d))"
grep -q "1 entries that are no" err || check "what is left out is said" "1 entries" "$(cat err)"
cmp out.d/a.jsonl out.d/c.jsonl || failed=1
check "rows of the array" 2 "$(wc -l <out.d/b.jsonl)"
before=$(sha256sum out.d/*)
rm out.d/b.jsonl
"$YOUR_AI" data score in -o out.d 2>err || check "again" 0 $?
check "done before" 2 "$(grep -c 'done before' err)"
check "the same" "$before" "$(sha256sum out.d/*)"
grep -q '"sha256": "'"$(sha256sum "$SOURCE_DIR/data/score/rules.json" | cut -d' ' -f1)" out.d/a.jsonl.manifest.json ||
    check "the manifest names the rules" "their SHA-256" "$(cat out.d/a.jsonl.manifest.json)"

# Evidence of the inputs together: a row alone keeps its scores, and the manifest names the corpus.
"$YOUR_AI" data score in/a.jsonl in/b.json -o evidence.jsonl --evidence corpus 2>err || check "evidence" 0 $?
grep -q '"evidence":{"rows":3,"copy_groups":1,"kinds":1,"entropy":0,"copies":0.666667,' evidence.jsonl || check "evidence" '"rows":3' "$(cat evidence.jsonl)"
grep -q '"evidence": "[0-9a-f]\{64\}"' evidence.jsonl.manifest.json || check "evidence: manifest" "a digest" "$(cat evidence.jsonl.manifest.json)"
grep -q "1 copy groups in 1 topics" err || check "evidence: summary" "1 copy groups in 1 topics" "$(cat err)"
refuse_data "evidence of a pipe" "cannot be read twice" score --evidence corpus

# Evidence in 50 MB of memory, where what it knows of 24,000 rows is twice as much: the rest lies in temporary files, which leave
# nothing; without them it is refused in words. (Sanitizers and emulators have memory of their own.)
if [ -z "$SANITIZE$CROSS" ]; then
    awk 'BEGIN { srand(1); for (i = 0; i < 24000; i++) {
        printf "{\"text\":\"Entry %d", i
        for (k = 0; k < 48; k++) printf " %d", rand() * 1e9
        print "\"}" } }' >many.jsonl
    mkdir temporary
    (ulimit -d 50000 && TMPDIR=$PWD/temporary "$YOUR_AI" data score many.jsonl -q --no-breakdown -t 1 -o many.out --evidence corpus --memory 0) || check "evidence in files" 0 $?
    check "evidence in files: rows" 24000 "$(wc -l <many.out)"
    check "evidence in files: nothing is left" "" "$(ls temporary)"
    rm many.out*
    (ulimit -d 50000 && "$YOUR_AI" data score many.jsonl -q --no-breakdown -t 1 -o many.out --evidence corpus 2>err)
    check "evidence in memory: exit code" 3 $?
    grep -q "^error: out of memory: [0-9]* bytes were refused" err || check "evidence in memory" "out of memory" "$(cat err)"
    [ -e many.out ] && check "evidence in memory" "no output" "$(ls many*)"
    rm many.jsonl
fi
TMPDIR=$PWD/nowhere "$YOUR_AI" data score in/a.jsonl --evidence corpus --memory 0 -o none 2>err
check "no temporary folder: exit code" 1 $?
grep -q "nowhere/your_ai_.*: set TMPDIR to a folder on a disk with space" err || check "no temporary folder" "set TMPDIR" "$(cat err)"

# Shards by a scheduler: several processes into one folder (GNU parallel and Slurm: test_ci_shards.sh).
printf '%s\0' in/*.json* | xargs -0 -n 1 -P 3 "$YOUR_AI" data score -q -t 1 -o parallel/ || check "xargs" 0 $?
for f in a b c; do cmp out.d/$f.jsonl parallel/$f.jsonl || failed=1; done

# A shard that is killed while its rows come in: nothing that looks finished, and the list started once more makes it, the same bytes
# as without a kill, and does not do the others again.
mkfifo pipe
mkdir again
for i in $(seq 3000); do echo "$row"; done >in.big
"$YOUR_AI" data score in.big -q -o whole.jsonl || check "whole" 0 $?
"$YOUR_AI" data score in/a.jsonl -q -o again/ || check "shard" 0 $?
"$YOUR_AI" data score - -q -o again/in.jsonl <pipe 2>/dev/null &
pid=$!
exec 9>pipe
cat in.big >&9
for i in $(seq 100); do ls again/in.jsonl.*.tmp >/dev/null 2>&1 && break || sleep 0.1; done
kill -9 $pid
wait $pid 2>/dev/null
exec 9>&-
check "after a kill" "a.jsonl a.jsonl.manifest.json" "$(cd again && echo $(ls | grep -v tmp))"
check "after a kill: it had begun" 1 "$(ls again/in.jsonl.*.tmp | wc -l)"
printf '%s\0' in/a.jsonl in.big | xargs -0 -n 1 -P 2 "$YOUR_AI" data score -t 1 -o again/ 2>err || check "once more" 0 $?
check "once more: done before" 1 "$(grep -c 'again/a.jsonl: done before' err)"
cmp whole.jsonl again/in.jsonl || failed=1
"$YOUR_AI" data score in.big -o again/ 2>err || check "a third time" 0 $?
check "a third time: done before" 1 "$(grep -c 'again/in.jsonl: done before' err)"

# A full disk (a limit on the size of files): the failure is said and the output is not there.
(ulimit -f 100 && "$YOUR_AI" data score in.big -o full.jsonl -q 2>err)
check "full disk: exit code" 1 $?
grep -q "cannot write" err || check "full disk: message" "cannot write" "$(cat err)"
[ -e full.jsonl ] && check "full disk" "no output" "$(ls -la full*)"
"$YOUR_AI" data score in.big -q >/dev/full 2>err
check "full pipe: exit code" 1 $?

# Rules of one's own.
sed 's/"widely accepted"/"long ago"/' "$SOURCE_DIR/data/score/rules.json" >mine.json
"$YOUR_AI" data score in/a.jsonl -q --rules mine.json | grep -q '"consensus":0.1,' || check "--rules" 0.1 "$("$YOUR_AI" data score in/a.jsonl -q --rules mine.json)"
echo '{"text":"The whole story of a signature, told without any other words at all"}' >compat
check "words" 0.3 "$("$YOUR_AI" data score -q compat | sed 's/.*"auth_weight":\([0-9.]*\).*/\1/')"
check "--compat" 0.65 "$("$YOUR_AI" data score -q compat --compat | sed 's/.*"auth_weight":\([0-9.]*\).*/\1/')"

echo '{"a"' >faulty
echo "$row" >>faulty
refuse_data "faulty row" "faulty:1: column" score faulty -o none
[ -e none ] && check "faulty row" "no output" "$(cat none)"
check "skipped" "$scored" "$("$YOUR_AI" data score --on-error skip --no-breakdown faulty 2>/dev/null)"
refuse_data "no such file" "no such" score "no such"
refuse_data "empty" "is empty" score
refuse_data "output is input" "is an input" score in/a.jsonl -o in/a.jsonl
refuse_data "outputs meet" "would both become" score in/a.jsonl out.d/a.jsonl -o elsewhere/
refuse_data "two rules" "--compat" score --compat --rules mine.json in/a.jsonl
refuse_data "rules" "must be an object" score --rules in/b.json in/a.jsonl
refuse_data "no such word" "did you mean data score?" scor

check "sources" 14 "$("$YOUR_AI" data sources --json | wc -l)"
"$YOUR_AI" data sources | grep -q '^wiki  *0.90  *1.0' || check "sources" "wiki 0.90 1.0" "$("$YOUR_AI" data sources)"

# Two kinds of source, two files: 1/2 of the text each, and a weight of 32 to 1.
echo '{"text":"aaaa","auth_weight":0.05,"prov_entropy":7,"source_type":"p"}' >p.jsonl
echo '{"text":"bbbb","auth_weight":0.95,"prov_entropy":0.5,"source_type":"c"}' >c.jsonl
"$YOUR_AI" data inspect p.jsonl c.jsonl >page || check "inspect" 0 $?
check "inspect: share of p" "97.0%" "$(awk '$1 == "p" { print $NF }' page)"
check "inspect: s of c" "-2.496" "$(awk '$1 == "c" { print $6 }' page)"
check "inspect: files" 2 "$(grep -c '^[pc].jsonl' page)"
"$YOUR_AI" data inspect --json p.jsonl c.jsonl | grep -q '"D":130.368' || check "inspect: D" 130.368 "$("$YOUR_AI" data inspect --json p.jsonl c.jsonl)"
refuse_data "inspect nothing" "something is missing" inspect
exit $failed
