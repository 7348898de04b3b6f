#!/usr/bin/env python3
"""The tokenizer.json that `your_ai export` generates for a GGUF base: the tokenizers of a folder (llama3, qwen3: each a
tokenizer.json) are put into a GGUF as llama.cpp's converter does, on a model of a few rows, merged, and both files must give
the same ids in Hugging Face's tokenizers: on the cases of a .inp file of llama.cpp and on texts with special tokens.

    tools/check_tokenizer_export.py build/your_ai TOKENIZERS VOCAB.inp

Needs tokenizers, gguf, numpy, safetensors.
"""
import json
import os
import sys
import tempfile

import gguf
import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from check_support import TEXT, run

KINDS = {"llama3": ("llama", "llama-bpe"), "qwen3": ("qwen3", "qwen2")}
HIDDEN, HEADS, DIM, FFN = 8, 2, 4, 8


def write_gguf(source, arch, pre, path):
    with open(source, encoding="utf-8") as f:
        doc = json.load(f)
    added = {t["id"]: t for t in doc["added_tokens"]}
    tokens = {i: t for t, i in doc["model"]["vocab"].items()} | {i: t["content"] for i, t in added.items()}
    vocab = max(tokens) + 1
    types = [(3 if added[i]["special"] else 4) if i in added else (1 if i in tokens else 5) for i in range(vocab)]
    merges = [m if isinstance(m, str) else " ".join(m) for m in doc["model"]["merges"]]
    writer = gguf.GGUFWriter(path, arch)
    writer.add_block_count(1)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_key_length(DIM)
    writer.add_value_length(DIM)
    writer.add_context_length(64)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list([tokens.get(i, f"[PAD{i}]") for i in range(vocab)])
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(max(added))
    if arch == "llama":
        writer.add_bos_token_id(min(added))
        writer.add_add_bos_token(Tokenizer.from_file(source).encode("x").ids[0] == min(added))
    shapes = {"token_embd": (vocab, HIDDEN), "output_norm": (HIDDEN,)}
    for name in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]:
        shapes["blk.0." + name] = (HIDDEN, HIDDEN)
    shapes.update({"blk.0.attn_norm": (HIDDEN,), "blk.0.ffn_norm": (HIDDEN,)})
    if arch == "qwen3":
        shapes.update({"blk.0.attn_q_norm": (DIM,), "blk.0.attn_k_norm": (DIM,)})
    for name, shape in shapes.items():
        writer.add_tensor(name + ".weight", np.full(shape, 0.5, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_adapter(path):
    os.makedirs(path)
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
    zeros = np.zeros((1, HIDDEN), dtype=np.float32)
    save_file({name + "A.weight": zeros, name + "B.weight": zeros.T.copy()}, os.path.join(path, "adapter_model.safetensors"))
    with open(os.path.join(path, "adapter_config.json"), "w", encoding="utf-8") as f:
        json.dump(dict(peft_type="LORA", r=1, lora_alpha=1, target_modules=["q_proj"]), f)


def check(program, kind, tokenizers, cases, folder):
    source, base, out = (os.path.join(*p) for p in ((tokenizers, kind, "tokenizer.json"), (folder, kind + ".gguf"), (folder, kind)))
    write_gguf(source, *KINDS[kind], base)
    run(program, "export", os.path.join(folder, "adapter"), "-m", base, "--to", "safetensors", "-o", out)
    a, b = Tokenizer.from_file(source), Tokenizer.from_file(os.path.join(out, "tokenizer.json"))
    with open(source, encoding="utf-8") as f:
        special = [t["content"] for t in json.load(f)["added_tokens"]][:40]
    texts = cases + [TEXT, " ".join(special), "x" + "  y".join(special)]
    for text in texts:
        for add in False, True:
            x, y = a.encode(text, add_special_tokens=add).ids, b.encode(text, add_special_tokens=add).ids
            if x != y:
                raise SystemExit(f"{kind}: {text!r}: {x} became {y}")
        if a.decode(x) != b.decode(y):
            raise SystemExit(f"{kind}: {text!r} decodes differently")
    print(f"{kind}: the same ids on {len(texts)} texts", flush=True)


def main(program, tokenizers, inputs):
    with open(inputs, encoding="utf-8") as f:
        cases = f.read().split("\n__ggml_vocab_test__\n")
    with tempfile.TemporaryDirectory() as folder:
        write_adapter(os.path.join(folder, "adapter"))
        for kind in KINDS:
            check(program, kind, tokenizers, cases, folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
