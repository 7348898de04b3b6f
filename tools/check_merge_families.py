#!/usr/bin/env python3
"""`your_ai merge` for every family: the tiny models of tests/data/golden, as a Hugging Face folder and written as GGUF (rows of
q and k permuted for llama, Llama 3's scaling as rope_freqs.weight, as llama.cpp's converter does), each merged with its PEFT
adapter in f32. transformers, on config.json as merge copied or generated it, must give PEFT's logits (golden.safetensors)
within 1e-4 relative. Needs torch, transformers, safetensors, gguf.

    tools/check_merge_families.py build/your_ai
"""
import json
import math
import os
import sys
import tempfile

import gguf
import numpy as np
import torch
from safetensors.torch import load_file

from check_support import load, run
from gguf_to_hf import NAMES

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "data", "golden")
MORE_NAMES = {"self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm"}
TO_GGUF = {**{hf: name for name, hf in NAMES.items()}, **MORE_NAMES}


def gguf_name(name):
    parts = name.split(".")
    if parts[1] == "layers":
        return f"blk.{parts[2]}.{TO_GGUF['.'.join(parts[3:-1])]}.{parts[-1]}"
    return {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
            "lm_head.weight": "output.weight"}[name]


def permute(w, heads):
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def rope_factors(rope, head_dim):
    """What every frequency is divided by, after Llama 3.1's description of its scaling."""
    factors = []
    for j in range(0, head_dim, 2):
        wave = 2 * math.pi * rope["rope_theta"] ** (j / head_dim)
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        turns = rope["original_max_position_embeddings"] / wave
        smooth = min(1, max(0, (turns - low) / (high - low)))
        factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(factors, dtype=np.float32)


def write_gguf(folder, path):
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
        config = json.load(f)
    arch = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}[config["model_type"]]
    heads, kv = config["num_attention_heads"], config["num_key_value_heads"]
    head_dim, rope = config.get("head_dim") or config["hidden_size"] // heads, config["rope_parameters"]
    writer = gguf.GGUFWriter(path, arch)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", rope_factors(rope, head_dim))
    for name, w in load_file(os.path.join(folder, "model.safetensors")).items():
        w = w.numpy()
        if arch == "llama" and (".q_proj." in name or ".k_proj." in name):
            w = permute(w, heads if ".q_proj." in name else kv)
        writer.add_tensor(gguf_name(name), np.ascontiguousarray(w))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check(program, family, base, out):
    golden = load_file(os.path.join(GOLDEN, family, "golden.safetensors"))
    run(program, "merge", "-m", base, "--adapter", os.path.join(GOLDEN, family, "adapter"), "-o", out, "--dtype", "f32")
    with torch.no_grad():
        logits = load(out)(input_ids=golden["tokens"].long()[None]).logits[0]
    error = ((logits - golden["logits"]).norm() / golden["logits"].norm()).item()
    print(f"{family} from {os.path.basename(base)}: relative difference {error:.2e}", flush=True)
    if not error < 1e-4:
        raise SystemExit(f"{family}: {error} is above 1e-4")


def main(program):
    with tempfile.TemporaryDirectory() as folder:
        for family in sorted(name for name in os.listdir(GOLDEN) if os.path.isdir(os.path.join(GOLDEN, name))):
            check(program, family, os.path.join(GOLDEN, family), os.path.join(folder, family + "_hf"))
            path = os.path.join(folder, family + ".gguf")
            write_gguf(os.path.join(GOLDEN, family), path)
            check(program, family, path, os.path.join(folder, family + "_gguf"))


if __name__ == "__main__":
    main(*sys.argv[1:])
