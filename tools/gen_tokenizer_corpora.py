#!/usr/bin/env python3
"""Digests of the ids that the reference gives for whole texts with the tokenizers of ../shared/corpora: for the novel, and for the
naughty strings one by one, with special tokens and without.

    pip install tokenizers==0.23.3
    python tools/gen_tokenizer_corpora.py ../shared/corpora > tests/data/io/forms/corpora.json
"""
import hashlib
import json
import os
import struct
import sys

from tokenizers import Tokenizer

CORPORA = sys.argv[1]
with open(os.path.join(CORPORA, "text", "botchan.txt"), encoding="utf-8", newline="") as f:
    NOVEL = f.read()
with open(os.path.join(CORPORA, "text", "blns.json"), encoding="utf-8") as f:
    NAUGHTY = json.load(f)
result = {}
for name in sorted(os.listdir(os.path.join(CORPORA, "tokenizers"))):
    t = Tokenizer.from_file(os.path.join(CORPORA, "tokenizers", name, "tokenizer.json"))
    digest, count = hashlib.sha256(), 0
    for special in (False, True):
        t.encode_special_tokens = not special
        for text in [NOVEL] + NAUGHTY:
            ids = t.encode(text, add_special_tokens=False).ids
            digest.update(struct.pack(f"<{len(ids)}i", *ids))
            count += len(ids)
    result[name] = {"sha256": digest.hexdigest(), "ids": count}
print(json.dumps(result, indent=1))
