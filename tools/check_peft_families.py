#!/usr/bin/env python3
"""Adapters that our program trains on models of every family load in PEFT and give our log-probabilities: random models of the
configurations of tests/data/families with a byte tokenizer, five steps on all linear layers (and, once, on chosen ones).
Largest difference of a token's log-probability at most 1e-3. Needs torch, transformers, peft.

    tools/check_peft_families.py build/your_ai
"""
import json
import os
import shutil
import sys
import tempfile

import peft
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from check_support import TEXT, compare, load, ours, run, theirs
from gen_golden import randomise
from gen_golden_families import FAMILIES

VOCAB = 264  # of the tokenizer that `init --like tiny` writes: one id a byte and two more, in a table of 264
EXTRA = {"phi3_short": ["--rank", 3, "--targets", "qkv_proj,down_proj", "--rslora"], "smollm3": ["--last-layers", 2]}


def make_base(name, tokenizer, path):
    torch.manual_seed(7)
    options = dict(FAMILIES[name], vocab_size=VOCAB, bos_token_id=256, eos_token_id=257, max_position_embeddings=1024)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(options.pop("model_type"), **options), dtype=torch.float32)
    randomise(model, torch.Generator().manual_seed(7))
    model.save_pretrained(path)
    shutil.copy(os.path.join(tokenizer, "tokenizer.json"), path)


def check(program, name, folder, tokenizer, data):
    base, out = os.path.join(folder, name), os.path.join(folder, name + "_run")
    make_base(name, tokenizer, base)
    run(program, "train", "-m", base, "-d", data, "-o", out, "--max-steps", 5, "--lr", 2e-3, *EXTRA.get(name, []))
    adapter = os.path.join(out, "adapter")
    ids, before = ours(program, base, folder)
    ids, mine = ours(program, base, folder, adapter)
    if not (mine - before).abs().max() > 0.01:
        raise SystemExit(f"{name}: training changed nothing, so this would prove nothing")
    wrapped = peft.PeftModel.from_pretrained(load(base), adapter).eval()
    compare(name, mine, theirs(wrapped, ids), 1e-3)


def main(program):
    with tempfile.TemporaryDirectory() as folder:
        tokenizer, data = os.path.join(folder, "tokenizer"), os.path.join(folder, "train.jsonl")
        run(program, "init", "--like", "tiny", "-o", tokenizer)
        with open(data, "w", encoding="utf-8") as f:
            for line in TEXT.splitlines():
                f.write(json.dumps({"text": line}) + "\n")
        for name in FAMILIES:
            check(program, name, folder, tokenizer, data)


if __name__ == "__main__":
    main(*sys.argv[1:])
