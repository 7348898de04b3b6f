#!/usr/bin/env bash
# Models by name: "owner/name" is found in a Hugging Face cache on this machine, and nothing is fetched. Options that an adapter
# brings along are refused beside --adapter.
set -euo pipefail

fail() { echo "FAILED: $*"; exit 1; }
refused() { # TEXT COMMAND...: exits 2 with TEXT in its message
  local text=$1 rc=0; shift
  "$@" >out.txt 2>err.txt || rc=$?
  [ "$rc" = 2 ] && grep -qF -- "$text" err.txt || fail "$* gave $rc: $(cat err.txt), not: $text"
}
unset HF_HOME HF_HUB_CACHE HUGGINGFACE_HUB_CACHE XDG_CACHE_HOME
rm -rf home hub run again bad && mkdir home
export HOME=$PWD/home
echo abc >text.txt

commit=0123456789abcdef0123456789abcdef01234567
repo=$HOME/.cache/huggingface/hub/models--ann--tiny-model
mkdir -p "$repo/refs" "$repo/snapshots" "$repo/blobs"
"$YOUR_AI" init --like tiny -o "$repo/snapshots/$commit" >/dev/null
mv "$repo/snapshots/$commit/model.safetensors" "$repo/blobs/weights" # files are links to blobs
ln -s ../../blobs/weights "$repo/snapshots/$commit/model.safetensors"
printf %s "$commit" >"$repo/refs/main"

by_name=$("$YOUR_AI" tokenize -m ann/tiny-model <text.txt 2>/dev/null) || fail "tokenize by name"
[ "$by_name" = "$("$YOUR_AI" tokenize -m "$repo/snapshots/$commit" <text.txt 2>/dev/null)" ] || fail "other ids by name"
"$YOUR_AI" inspect ann/tiny-model >/dev/null || fail "inspect by name"
"$YOUR_AI" tokenize -m "ann/tiny-model@$commit" <text.txt >/dev/null 2>&1 || fail "by commit"

echo '{"text": "some text to learn"}' >rows.jsonl
"$YOUR_AI" train -m ann/tiny-model -d rows.jsonl -o run --max-steps 1 -r 2 --alpha 4 >/dev/null 2>&1 || fail "train by name"
grep -q '"base_model_name_or_path": "ann/tiny-model"' run/adapter/adapter_config.json || fail "the adapter's base is not named"

for option in "--rank 32" "--alpha 7" "--targets q_proj" "--last-layers 1" --rslora; do
  # shellcheck disable=SC2086
  refused "${option%% *}: training starts from the adapter" "$YOUR_AI" train -m ann/tiny-model -d rows.jsonl -o bad \
    --adapter run/adapter --max-steps 1 $option
done
"$YOUR_AI" train -m ann/tiny-model -d rows.jsonl -o again --adapter run/adapter --max-steps 1 >/dev/null 2>&1 || fail "start"
grep -q '"r": 2' again/adapter/adapter_config.json || fail "the adapter's rank is not kept"
! grep -q '"rank"' again/config.json || fail "config.json says a rank that the adapter does not have"

refused "hf download ann/absent" "$YOUR_AI" tokenize -m ann/absent <text.txt
refused "hf download ann/tiny-model --revision v2" "$YOUR_AI" tokenize -m ann/tiny-model@v2 <text.txt
refused "models/none.gguf: there is no such file" "$YOUR_AI" tokenize -m models/none.gguf <text.txt
! "$YOUR_AI" tokenize -m models/none.gguf <text.txt 2>&1 | grep -q "hf download" || fail "a file's name is taken for a repository's"
HF_HUB_CACHE=$PWD/hub refused "the Hugging Face cache $PWD/hub does not have it" "$YOUR_AI" tokenize -m ann/tiny-model <text.txt
mkdir -p hub && mv "$repo" hub/
HF_HUB_CACHE=$PWD/hub "$YOUR_AI" tokenize -m ann/tiny-model <text.txt >/dev/null 2>&1 || fail "HF_HUB_CACHE"
HF_HOME=$PWD "$YOUR_AI" tokenize -m ann/tiny-model <text.txt >/dev/null 2>&1 || fail "HF_HOME"

quant=hub/models--ann--quants
mkdir -p "$quant/refs" "$quant/snapshots/$commit"
printf '%s\n' "$commit" >"$quant/refs/main"
echo x >"$quant/snapshots/$commit/a-Q4_0.gguf"
HF_HOME=$PWD refused "$quant/snapshots/$commit/a-Q4_0.gguf" "$YOUR_AI" tokenize -m ann/quants <text.txt
echo x >"$quant/snapshots/$commit/b-Q8_0.gguf"
HF_HOME=$PWD refused "2 .gguf files (a-Q4_0.gguf, b-Q8_0.gguf)" "$YOUR_AI" tokenize -m ann/quants <text.txt
echo ../../../etc >"$quant/refs/main"
HF_HOME=$PWD refused "hf download ann/quants" "$YOUR_AI" tokenize -m ann/quants <text.txt
