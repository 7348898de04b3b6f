#!/usr/bin/env bash
# The data files that are built into the program are those of the source tree, and a change of one is noticed.
set -euo pipefail
rm -rf ./*
python3 "$SOURCE_DIR/tools/gen_data_texts.py" --check
mkdir -p tree/tools tree/src/score tree/src/prepare
cp -r "$SOURCE_DIR/data" tree/data
cp "$SOURCE_DIR/tools/gen_data_texts.py" tree/tools/
cp "$SOURCE_DIR/src/score/rules_text.c" tree/src/score/
cp "$SOURCE_DIR/src/prepare/sources_text.c" tree/src/prepare/
sed -i 's/"prior_share": 0.7/"prior_share": 0.8/' tree/data/score/rules.json
if python3 tree/tools/gen_data_texts.py --check >out; then echo "a change was not noticed"; exit 1; fi
grep -q "score/rules_text.c is not what" out
