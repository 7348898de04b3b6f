#!/usr/bin/env python3
"""`your_ai export --to safetensors:f32` for every family: the tiny models of tests/data/golden and tests/data/families, as a Hugging Face folder and,
where GGUF can say the model, written as GGUF (rows of q and k permuted for llama, granite and smollm3, Llama 3's scaling as
rope_freqs.weight, longrope's factors as tensors, as llama.cpp's converter does), each merged with its PEFT adapter in f32. transformers, on config.json as merge copied or generated it, must give PEFT's logits (golden.safetensors)
within 1e-4 relative. Needs torch, transformers, safetensors, gguf.

    tools/check_merge_families.py build/your_ai
"""
import glob
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

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "data")
MORE_NAMES = {"self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "self_attn.qkv_proj": "attn_qkv",
              "mlp.gate_up_proj": "ffn_up", "post_feedforward_layernorm": "post_ffw_norm"}
TO_GGUF = {**{hf: name for name, hf in NAMES.items()}, **MORE_NAMES}


ARCH = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "smollm3": "smollm3", "granite": "granite",
        "phi3": "phi3", "olmo2": "olmo2"}
PERMUTED = ("llama", "smollm3", "granite")


def gguf_name(name, arch):
    parts = name.split(".")
    if parts[1] == "layers":
        if arch == "olmo2" and parts[3] == "post_attention_layernorm":
            return f"blk.{parts[2]}.post_attention_norm.weight"
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


def gguf_can_say(config):
    """No key says these: other families, some rotary scalings, layers without positions other than every fourth."""
    rope = config["rope_parameters"]
    clear_yarn = rope["rope_type"] == "yarn" and not {"attention_factor", "truncate"} & set(rope)
    return (config["model_type"] in ARCH and (clear_yarn or rope["rope_type"] in ("default", "llama3", "longrope")) and
            config.get("no_rope_layer_interval", 4) == 4 and not config.get("use_sliding_window"))


def write_scaling(writer, config):
    rope = config["rope_parameters"]
    original = config.get("original_max_position_embeddings") or rope.get("original_max_position_embeddings")
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(original)
    if rope["rope_type"] == "longrope":
        scale = config["max_position_embeddings"] / original
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(scale) / math.log(original)))
        writer.add_tensor("rope_factors_short.weight", np.array(rope["short_factor"], dtype=np.float32))
        writer.add_tensor("rope_factors_long.weight", np.array(rope["long_factor"], dtype=np.float32))


def write_special(writer, config):
    if config.get("sliding_window"):
        writer.add_sliding_window(config["sliding_window"])
    if config["model_type"] == "granite":
        writer.add_embedding_scale(config["embedding_multiplier"])
        writer.add_residual_scale(config["residual_multiplier"])
        writer.add_attention_scale(config["attention_multiplier"])
        writer.add_logit_scale(config["logits_scaling"])


def write_gguf(config, folder, path):
    arch = ARCH[config["model_type"]]
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
    writer.add_rope_dimension_count(int(head_dim * (rope.get("partial_rotary_factor") or 1)))
    write_scaling(writer, config)
    write_special(writer, config)
    if rope["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", rope_factors(rope, head_dim))
    for name, w in load_file(os.path.join(folder, "model.safetensors")).items():
        w = w.numpy()
        if arch in PERMUTED and (".q_proj." in name or ".k_proj." in name):
            w = permute(w, heads if ".q_proj." in name else kv)
        writer.add_tensor(gguf_name(name, arch), np.ascontiguousarray(w))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check(program, source, base, out):
    family = os.path.basename(source)
    golden = load_file(os.path.join(source, "golden.safetensors"))
    run(program, "export", os.path.join(source, "adapter"), "-m", base, "--to", "safetensors:f32", "-o", out)
    with torch.no_grad():
        logits = load(out)(input_ids=golden["tokens"].long()[None]).logits[0]
    error = ((logits - golden["logits"]).norm() / golden["logits"].norm()).item()
    print(f"{family} from {os.path.basename(base)}: relative difference {error:.2e}", flush=True)
    if not error < 1e-4:
        raise SystemExit(f"{family}: {error} is above 1e-4")


def main(program):
    with tempfile.TemporaryDirectory() as folder:
        for config_path in sorted(glob.glob(os.path.join(DATA, "golden", "*", "config.json")) +
                                  glob.glob(os.path.join(DATA, "families", "*", "config.json"))):
            source = os.path.dirname(config_path)
            family = os.path.basename(source)
            with open(config_path, encoding="utf-8") as f:
                config = json.load(f)
            check(program, source, source, os.path.join(folder, family + "_hf"))
            path = os.path.join(folder, family + ".gguf")
            if not gguf_can_say(config):
                print(f"{family}: not written as GGUF", flush=True)
                continue
            write_gguf(config, source, path)
            check(program, source, path, os.path.join(folder, family + "_gguf"))


if __name__ == "__main__":
    main(*sys.argv[1:])
