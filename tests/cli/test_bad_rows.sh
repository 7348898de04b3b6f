#!/usr/bin/env bash
# Files that are no rows, or not all of them, under every command of `data` that reads rows: each says the file and the row and leaves
# no output; doctor counts the row instead. Then disks without space and pipes that nobody reads. YOUR_AI is the program.
set -u
. "$SOURCE_DIR/tests/cli/support_check.sh"
rm -rf ./*

commands=(score dedup split prepare doctor inspect)

# arguments COMMAND FILE: a call whose outputs all begin with out.
arguments() {
    case $1 in
    score) echo "score $2 -o out.jsonl --existing replace" ;;
    dedup) echo "dedup $2 -o out.jsonl --groups out.groups" ;;
    split) echo "split $2 --train out.train --valid out.valid --valid-size 1" ;;
    prepare) echo "prepare $2 --train out.train --valid out.valid --valid-size 1 --min-chars 1" ;;
    *) echo "$1 $2" ;;
    esac
}

# bad FILE ROW MESSAGE [COMMAND...]: the commands (all) refuse the file with "FILE:ROW: ...MESSAGE", row 0: with "FILE: ...". Doctor, which
# goes on, finds the row.
bad() {
    local file=$1 row=$2 part=$3 command code where=$1:
    shift 3
    [ "$row" = 0 ] || where=$file:$row
    for command in "${@:-${commands[@]}}"; do
        "$YOUR_AI" data $(arguments "$command" "$file") >page 2>err </dev/null
        code=$?
        if [ "$command" = doctor ] && [ "$row" != 0 ]; then
            check "$command $file: exit code" 1 $code
            grep -qE "^(faulty|no_text): [0-9]+ rows, such as $where$" page || check "$command $file" "... $where" "$(cat page)"
        else
            check "$command $file: exit code" 2 $code
            grep -qF -- "$part" err && tail -1 err | grep -q "^error: $where" || check "$command $file" "error: $where ...$part" "$(cat err)"
            check "$command $file: nothing is printed" "" "$(cat page)"
        fi
        check "$command $file: no output" "" "$(ls out.* 2>/dev/null)"
    done
}

for i in 1 2 3; do
    echo "{\"text\":\"row $i of three that are sound and differ in $i words: $(seq -s ' ' $((i * 10)) $((i * 10 + 9)))\",\"auth_weight\":0.$i,\"prov_entropy\":3}"
done >good
for command in "${commands[@]}"; do
    "$YOUR_AI" data $(arguments "$command" good) >page 2>err || check "$command good" 0 "$?: $(cat err)"
    rm -f out.*
done

(cat good; echo '{"text":"cut') >malformed && bad malformed 4 "unterminated string"
(cat good; echo '[1,2]') >list && bad list 4 "a row must be a"
(cat good; echo '{"text":5}') >number && bad number 4 "a string"
(cat good; echo '{"text":"a","text":"b"}') >twice && bad twice 4 "duplicate key"
(cat good; echo '{"words":"no text"}') >textless && bad textless 4 "text" score dedup split doctor
(cat good; printf '{"text":"caf\xe9"}\n') >latin1 && bad latin1 4 "iconv -f WINDOWS-1252 -t UTF-8"
(cat good; echo '{"text":"utf"}' | iconv -t UTF-16LE) >mixed && bad mixed 4 "expected a key"
(cat good; printf '{"text":"nul \0 raw"}\n') >nul && bad nul 4 "control character"
(cat good; printf '{"text":"half a pair \\ud800"}\n') >surrogate && bad surrogate 4 "lone surrogate"
(cat good; printf '{"text":"a","meta":%05000d}\n' 0 | tr 0 '[') >deep && bad deep 4 "nested deeper than 128 levels"
printf '\177ELF\2\1\1\0\0\0\xff\xfe\n\1\2\3\n' >binary && bad binary 1 "expected a JSON value" score dedup split prepare && bad binary 1 "invalid UTF-8" inspect
(cat good; cat binary) >binary_inside && bad binary_inside 4 "expected a JSON value" score dedup split prepare doctor && bad binary_inside 4 "invalid UTF-8" inspect
(cat good; printf '{"text":"'; head -c 67200000 /dev/zero | tr '\0' x; printf '"}\n') >gigantic && bad gigantic 4 "longer than 67108864 bytes"
(cat good; printf '{"text":"'; head -c 67200000 /dev/zero | tr '\0' '[') >endless && bad endless 4 "longer than 67108864 bytes" score doctor
rm gigantic endless
: >empty && bad empty 0 "is empty"
printf '\n \n\n' >blank && bad blank 0 "is empty"
iconv -t UTF-16 good >wide && bad wide 0 "UTF-16"
gzip -c good | head -c 80 >cut.gz && bad cut.gz 0 "ends too early"
bad binary 0 "faulty rows only" doctor
check "empty files: message" "error: no rows: 2 files, of which empty is the first, with nothing in them" "$("$YOUR_AI" data dedup empty blank -o out.o 2>&1)"
check "standard input: message" "error: standard input: no rows: it is empty" "$("$YOUR_AI" data score -q </dev/null 2>&1)"

# A disk without space (a limit on the size of files), for outputs and for temporary files; a pipe that takes nothing.
for i in $(seq 3000); do echo "{\"text\":\"row $i of some that are long enough to fill the little room that there is for $i of them\"}"; done >big
for command in "score big -o out.o" "dedup big -o out.o --groups out.g --no-near" "split big --train out.t --valid out.v --no-near" \
    "prepare big --train out.t --valid out.v --min-chars 1 --no-near --no-balance --no-dedup" "score big -o out.o --evidence corpus --memory 0" \
    "dedup big -o out.o --memory 0" "split big --train out.t --valid out.v --memory 0" "prepare big --train out.t --valid out.v --memory 0" "doctor big --memory 0"; do
    (ulimit -f 100 && "$YOUR_AI" data $command >page 2>err)
    check "$command: exit code" 1 $?
    grep -qE "^error: (cannot write out.*; out.. is as it was before|a temporary file of .* MB cannot be made .*: set TMPDIR)" err || check "$command" "cannot write ..." "$(cat err)"
    check "$command: no output" "" "$(ls out.* 2>/dev/null)"
done
for command in "score good --existing replace" "doctor good" "inspect good" "dedup good -o o" "split good --train t --valid v --valid-size 1" \
    "prepare good --train t --valid v --valid-size 1 --min-chars 1"; do
    "$YOUR_AI" data $command >/dev/full 2>err
    check "$command, full pipe: exit code" 1 $?
    grep -q "^error: standard output cannot be written" err || check "$command, full pipe" "standard output cannot be written" "$(cat err)"
done
exit $failed
