#!/usr/bin/env bash
# What the page before step 1 says of the rows, and `tokenize -d`: weights by source type and file, the heaviest and lightest rows, and
# each warning where it belongs and nowhere else.
set -euo pipefail
rm -rf ./*
"$BUILD_DIR/tests/make_tiny" "$PWD"
. "$SOURCE_DIR/tests/cli/support_check.sh"

train() { # OPTIONS...
    rm -rf run
    "$YOUR_AI" train -m model -o run -r 2 -t 1 --max-length 64 "$@" >out 2>err
}
has() { # FILE TEXT
    grep -qF -- "$2" "$1" || check "$1" "...$2..." "$(cat "$1")"
}
lacks() { # FILE TEXT
    ! grep -qF -- "$2" "$1" || check "$1" "without $2" "$(cat "$1")"
}
row() { # TEXT SOURCE_TYPE AUTH_WEIGHT PROV_ENTROPY
    printf '{"text": "%s", "source_type": "%s", "auth_weight": %s, "prov_entropy": %s}\n' "$@"
}

# Two kinds of source, monotone weights by hand: s = ln(0.9) + 4 = 3.895 and ln(0.1) + 3 = 0.697, g = ln(1 + e^s)^2 = 15.326 and
# 1.213, their mean 8.269, omega = 1.853 and 0.147; shares with b's rows counted twice: 0.293 of 4.147.
{ row abcdefg patent 0.1 4; row hijklmn patent 0.1 4; row opqrstu wiki 0.9 3; } >a.jsonl
row vwxyzab wiki 0.9 3 >b.jsonl
train -d a.jsonl -d b.jsonl:2 --no-packing --batch 1 --epochs 10
has out "by source_type"
has out "  patent                                       2          14     3.89      1.853     89.4 %"
has out "  wiki                                         2          14     0.70      0.147     10.6 %"
has out "by file"
check "share of file b" "7.1 %" "$(sed -n 's/.*b.jsonl .* \([0-9.]* %\)$/\1/p' out)"
has out "heaviest rows"
has out "a.jsonl:1  weight 1.853: bcdefg"
has out "a.jsonl:3  weight 0.147: pqrstu"
has out "lightest rows"
has out "8 tokens, 7 trained, omega 1.853"
check "no warning" "" "$(grep warning err || true)"

# Warnings, one by one.
train -d a.jsonl --epochs 2
has err "the run has 2 steps, which is little to learn from"
has err "--epochs 30 makes 30 steps"
train -d rows.jsonl --epochs 2 --batch 10
has err "--no-packing makes 8 steps of the same rows, and more --epochs more"
{ row zzz blog 0 9; row aaa blog 0.99 0; row bbb blog 0.98 0; } >wide.jsonl
train -d wide.jsonl
has err "omega meets its bound: 2 documents"
has err "rows of source_type 'blog' have auth_weight from 0 (row 1) to 0.99 (row 2)"
# Scores that are not those of the kind of source, as a whole: the wrong way round, here.
{ row aaa government 0.05 6; row bbb government 0.1 5; row ccc patent_pre1970 0.05 7; row ddd unheard-of 0.99 0; } >turned.jsonl
train -d turned.jsonl --epochs 1
has err "rows of source_type 'government' have auth_weight 0.08 and prov_entropy 5.5 on average"
has err "usually has 0.95 and 0.5"
lacks err "source_type 'patent_pre1970'"
lacks err "source_type 'unheard-of'"
train -d turned.jsonl --epochs 1 --distrust off
lacks err "source_type 'government'"
train -d a.jsonl -d a.jsonl
has err "3 documents are the same as one before them"
train -d a.jsonl --valid a.jsonl
has err "3 of 3 validation documents are trained on as well"
has err "is --valid the same as -d?"
printf '{"prompt": "%0200d", "completion": "x"}\n' 7 >long.jsonl
train -d long.jsonl
has err "138 of 202 tokens (68 %) are left out, in 1 rows that are longer than 64 tokens; raise --max-length"
lacks err "the same as one before"

# The tokenizer in an adapter's folder: the model's, with one more token, with another token, and additional tokens alone.
train -d rows.jsonl --max-steps 1
rm -rf adapter && mv run/adapter adapter
uses() { # the commands that put an adapter on a model, each with its exit code
    for command in "tokenize -m model --adapter adapter -d pair.jsonl" "generate -m model --adapter adapter -p a -n 1" \
        "export adapter -m model --to safetensors -o merged" "train -m model --adapter adapter -d rows.jsonl -o run --max-steps 1"; do
        rm -rf merged run
        code=0
        # shellcheck disable=SC2086
        "$YOUR_AI" $command >/dev/null 2>err || code=$?
        check "$command" "$1" "$code"
        [ -z "$2" ] || has err "$2"
    done
}
printf '{"prompt": "how?", "completion": "so"}\n' >pair.jsonl
uses 0 ""
cp model/tokenizer.json adapter
uses 0 ""
echo '{"chat_template": "another"}' >adapter/tokenizer_config.json
uses 0 "the adapter's folder has another chat template than the model"
rm adapter/tokenizer_config.json
sed 's/{"id":256,"content":"<|endoftext|>"/{"id":257,"content":"<|more|>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},&/' \
    model/tokenizer.json >adapter/tokenizer.json
uses 2 'token 257 is "<|more|>", which the model does not have: the adapter was trained with additional tokens'
sed 's/<|endoftext|>/<|another|>/g' model/tokenizer.json >adapter/tokenizer.json
uses 2 'token 256 is "<|another|>", and "<|endoftext|>" in the model: the adapter was trained with another tokenizer'
rm adapter/tokenizer.json
echo '{"<|endoftext|>": 256}' >adapter/added_tokens.json
uses 0 ""
echo '{"<|endoftext|>": 256, "<|more|>": 257}' >adapter/added_tokens.json
uses 2 'token 257 is "<|more|>", which the model does not have'

# Equal scores at the bound lose nothing.
{ row zzz blog 0 9; row aaa blog 0.99 0; row bbb blog 0.99 0; } >equal.jsonl
train -d equal.jsonl --epochs 1
lacks err "omega meets its bound"

# The last line is a command that works: a prompt of the rows in the form they were trained in.
try() { # the command of the last line of out, run
    sed -n 's/^try it:  //p' out >command
    check "the line that tries" 1 "$(wc -l <command)"
    bash -c "$(cat command) -n 2" >/dev/null 2>err || check "the line that tries" "exit 0" "$(cat command err)"
}
printf '{"text": "a b c d e f g h i j"}\n' >text.jsonl
train -d text.jsonl --max-steps 1
try
has command "--adapter run/adapter"
has command " -p 'a b c d e f'"
lacks command "--chat"
train -d - --max-steps 1 <text.jsonl
has out " -p 'a prompt of your rows'"
echo "{% for m in messages %}{{ '<' ~ m.role ~ '>' ~ (m.content if loop.last else m.content.split('!')[-1]) ~ eos_token }}{% endfor %}\
{{ '<assistant>' if add_generation_prompt }}" >model/chat_template.jinja
cat >chat.jsonl <<'ROWS'
{"messages": [{"role": "system", "content": "be\nlong"}, {"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}
{"messages": [{"role": "system", "content": "it's"}, {"role": "user", "content": "how?"}, {"role": "assistant", "content": "so!no"},
 {"role": "user", "content": "why?"}, {"role": "assistant", "content": "as!so"}]}
ROWS
sed -i ':a;N;$!ba;s/,\n/,/g' chat.jsonl
train -d chat.jsonl --max-steps 1
try
has command "--chat --system 'it'\\''s' -p 'how?'"
has out "1 rows became several documents: the chat template rewrites earlier turns"
printf '{"prompt": "how?", "completion": "so"}\n' >pair.jsonl
train -d pair.jsonl --max-steps 1
try
has command "--chat -p 'how?'"
has out "1 rows of prompt and completion are put into the model's chat template"
train -d pair.jsonl --raw --max-steps 1
try
lacks command "--chat"
has out "1 rows of prompt and completion are joined as they stand"
rm model/chat_template.jinja

# The rows themselves.
check "tokenize" "$(printf 'a.jsonl:1  8 tokens, 7 trained, omega 1.443\n  a[[bcdefg<|endoftext|>]]')" \
    "$("$YOUR_AI" tokenize -m model -d a.jsonl | head -2)"
check "tokenize --json" '{"row": 1, "ids": [118, 119, 120, 121, 122, 97, 98, 256], "trained": [0, 1, 1, 1, 1, 1, 1, 1], "omega": 1}' \
    "$("$YOUR_AI" tokenize -m model -d b.jsonl --json)"
check "several files" '{"file": "a.jsonl", "row": 1' "$("$YOUR_AI" tokenize -m model -d a.jsonl -d b.jsonl --json | head -1 | cut -c1-28)"
check "pieces" 3 "$(printf '{"text": "%0100d"}\n' 1 | "$YOUR_AI" tokenize -m model -d - --max-length 40 --json | wc -l)"
if printf '1' | "$YOUR_AI" tokenize -m model --json 2>err; then check "--json without rows" "exit 2" "exit 0"; fi
has err "--json is for rows"
exit $failed
