#!/usr/bin/env bash
# Lays a program out as it is installed, with its manual pages and completions, the guide and its example: FOLDER/bin and FOLDER/share.
# The pages are written by build/your_ai, since a program for another system cannot be asked.
#   scripts/package-tree.sh PROGRAM FOLDER
set -euo pipefail
[ $# -eq 2 ] || { echo "usage: $0 PROGRAM FOLDER" >&2; exit 2; }
mkdir -p "$2"
share=$(cd "$2" && pwd)/share
program=$(realpath "$1")
cd "$(dirname "$0")/.."
here=build/your_ai
[ -x "$here" ] || { echo "error: $here is not built: make" >&2; exit 1; }

install -D -m 755 "$program" "$share/../bin/your_ai"
mkdir -p "$share/man/man1" "$share/bash-completion/completions" "$share/zsh/site-functions" "$share/fish/vendor_completions.d"
page() { # NAME [COMMAND...]
    local name=$1
    shift
    "$here" man "$@" </dev/null | gzip -9n >"$share/man/man1/$name.1.gz"
}
page your_ai
while read -r command; do
    # shellcheck disable=SC2086 # a command may have two words
    page "your_ai-${command// /-}" $command
done < <("$here" man | sed -n 's/^\.It Cm //p' | sed 's/\\-/-/g')
"$here" completion bash >"$share/bash-completion/completions/your_ai"
"$here" completion zsh >"$share/zsh/site-functions/_your_ai"
"$here" completion fish >"$share/fish/vendor_completions.d/your_ai.fish"
# what the guide calls build/your_ai and data/example is here your_ai and share/your_ai/data/example
mkdir -p "$share/doc/your_ai" "$share/your_ai/data/example"
sed 's,build/your_ai,your_ai,g' docs/guide.md >"$share/doc/your_ai/guide.md"
cp docs/glossary.md docs/conflict.md docs/data.md docs/export.md docs/memory.md LICENSE "$share/doc/your_ai/"
cp data/example/train.jsonl "$share/your_ai/data/example/"
find "$share/doc" "$share/your_ai" -type f -exec chmod 644 {} +
chmod 644 "$share"/man/man1/* "$share/bash-completion/completions/your_ai" "$share/zsh/site-functions/_your_ai" "$share/fish/vendor_completions.d/your_ai.fish"
