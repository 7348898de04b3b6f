#!/usr/bin/env bash
# Manual pages and completions: every command has a page that mandoc finds sound, and bash completes commands, options and choices.
# Where mandoc, zsh or fish are missing their part is left out. YOUR_AI is the program.
set -u
. "$SOURCE_DIR/tests/cli/support_check.sh"

commands=$("$YOUR_AI" man | sed -n 's/^\.It Cm //p' | sed 's/\\-/-/g')
check "there are commands" yes "$([ "$(wc -l <<<"$commands")" -gt 15 ] && echo yes)"
rm -rf pages
mkdir pages
while read -r command; do
    "$YOUR_AI" man $command >"pages/$command.1" </dev/null || check "man $command" 0 $?
done <<<"$commands"
check "pages with --config" "$(wc -l <<<"$commands")" "$(grep -l '^\.It Fl \\-config Ar FILE$' pages/*.1 | wc -l)"
"$YOUR_AI" man >pages/your_ai.1
! command -v mandoc >/dev/null || check "mandoc" "" "$(mandoc -T lint -W warning pages/*.1 2>&1)"
"$YOUR_AI" man nothing 2>err && check "man nothing" refused "$?"
check "man nothing" "error: there is no command 'nothing' (your_ai --help lists all)" "$(cat err)"

"$YOUR_AI" completion bash >complete.bash
. ./complete.bash
# complete WORDS...: what bash offers for the last of them
complete_words() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _your_ai
    echo "${COMPREPLY[@]}"
}
check "a command" "train" "$(complete_words your_ai tra)"
check "a command of two words" "score sources split" "$(complete_words your_ai data s)"
check "an option" "--schedule" "$(complete_words your_ai train --sche)"
check "options of two words" "--print-config" "$(complete_words your_ai data score --print)"
check "choices" "cosine constant" "$(complete_words your_ai train --schedule co)"
touch rows.jsonl
check "a file" "rows.jsonl" "$(complete_words your_ai train -d row)"

"$YOUR_AI" completion zsh >complete.zsh
! command -v zsh >/dev/null || check "zsh" "" "$(zsh -n complete.zsh 2>&1)"
"$YOUR_AI" completion fish >complete.fish
if command -v fish >/dev/null; then
    check "fish" "--schedule" "$(fish -c 'source complete.fish; complete -C "your_ai train --sche"' 2>&1 | cut -f1)"
    check "fish, choices" "constant cosine" "$(fish -c 'source complete.fish; complete -C "your_ai train --schedule co"' 2>&1 | cut -f1 | sort | xargs)"
fi
"$YOUR_AI" completion ksh 2>err && check "ksh" refused "$?"
check "ksh" "error: 'ksh' is none of bash, zsh and fish" "$(cat err)"
exit $failed
