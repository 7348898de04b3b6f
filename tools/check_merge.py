#!/usr/bin/env python3
"""`your_ai export --to safetensors` against transformers: an adapter is trained for a few steps, merged in f32 and in bf16, and

  1. transformers gives the f32 folder our log-probabilities of base + adapter;
  2. transformers gives the bf16 folder our log-probabilities of the same folder, and those of base + adapter up to bf16;
  3. the tokenizer in the folder, read by transformers, gives our ids.

Every token within 1e-3 (bf16 against f32: 0.5). Needs torch, transformers, gguf.

    tools/check_merge.py build/your_ai models/smollm2-135m.gguf [ADAPTER]
"""
import json
import os
import sys
import tempfile

from transformers import AutoTokenizer

from check_support import TEXT, compare, load, ours, run, theirs


def train(program, model, folder):
    data, path = os.path.join(folder, "train.jsonl"), os.path.join(folder, "run")
    with open(data, "w", encoding="utf-8") as f:
        for line in TEXT.splitlines():
            f.write(json.dumps({"text": line}) + "\n")
    run(program, "train", "-m", model, "-d", data, "-o", path, "--rank", 8, "--max-steps", 5, "--lr", 2e-3)
    return os.path.join(path, "adapter")


def check_tokenizer(folder, ids):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    got = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    if got != ids[-len(got):]:
        raise SystemExit(f"the tokenizer of {folder} gives other ids")
    print(f"tokenizer: the same {len(got)} ids; eos {tokenizer.eos_token!r}, chat template {bool(tokenizer.chat_template)}")


def main(program, model, adapter=None):
    with tempfile.TemporaryDirectory() as folder:
        adapter = adapter or train(program, model, folder)
        ids, before = ours(program, model, folder)
        ids, wanted = ours(program, model, folder, adapter)
        if not (wanted - before).abs().max() > 0.1:
            raise SystemExit("the adapter changes nothing, so this would prove nothing")
        for dtype in "f32", "bf16":
            merged = os.path.join(folder, dtype)
            run(program, "export", adapter, "-m", model, "--to", f"safetensors:{dtype}", "-o", merged)
            same_ids, mine = ours(program, merged, folder)
            if same_ids != ids:
                raise SystemExit("our own ids differ on the merged folder")
            compare(f"{dtype}: ours on the folder, ours on base + adapter", mine, wanted, 1e-3 if dtype == "f32" else 0.5)
            compare(f"{dtype}: transformers on the folder, ours on it", theirs(load(merged), ids), mine, 1e-3)
            check_tokenizer(merged, ids)


if __name__ == "__main__":
    main(*sys.argv[1:])
