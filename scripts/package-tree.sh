#!/usr/bin/env bash
# Lays a program out as it is installed, with its manual pages and completions: FOLDER/bin and FOLDER/share. The pages are written by
# build/your_ai, since a program for another system cannot be asked.
#   scripts/package-tree.sh PROGRAM FOLDER
set -euo pipefail
[ $# -eq 2 ] || { echo "usage: $0 PROGRAM FOLDER" >&2; exit 2; }
here=$(dirname "$0")/../build/your_ai
share=$2/share
[ -x "$here" ] || { echo "error: $here is not built: make" >&2; exit 1; }

install -D -m 755 "$1" "$2/bin/your_ai"
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
chmod 644 "$share"/man/man1/* "$share/bash-completion/completions/your_ai" "$share/zsh/site-functions/_your_ai" "$share/fish/vendor_completions.d/your_ai.fish"
