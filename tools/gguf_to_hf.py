#!/usr/bin/env python3
"""Writes the dequantised weights of a Llama or Qwen2 GGUF as a Hugging Face folder in f32 (config.json, model.safetensors), so that
transformers and PEFT can compute with exactly the numbers that a GGUF holds. Development tool: needs gguf, numpy, safetensors.

    tools/gguf_to_hf.py model.gguf DIR
"""
import json
import os
import sys

import gguf
import numpy as np
from safetensors.numpy import save_file

NAMES = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
         "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
         "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}


def scalar(reader, key):
    field = reader.fields[key]
    return field.parts[field.data[0]][0]


def text(reader, key):
    field = reader.fields[key]
    return bytes(field.parts[field.data[0]]).decode()


def unpermute(w, heads):
    """GGUF stores the rows of a Llama (and of no other) q or k head as (pair, half); Hugging Face as (half, pair)."""
    return w.reshape(heads, w.shape[0] // heads // 2, 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


FAMILIES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}


def main(path, out):
    reader = gguf.GGUFReader(path)
    family = text(reader, "general.architecture")
    heads, kv = (int(scalar(reader, f"{family}.attention.{k}")) for k in ("head_count", "head_count_kv"))
    tensors = {}
    for t in reader.tensors:
        w = gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32).reshape([int(d) for d in reversed(t.shape)])
        parts = t.name.split(".")
        if parts[0] == "blk":
            if family == "llama" and parts[2] == "attn_q":
                w = unpermute(w, heads)
            if family == "llama" and parts[2] == "attn_k":
                w = unpermute(w, kv)
            name = f"model.layers.{parts[1]}.{NAMES[parts[2]]}.{parts[3]}"
        else:
            name = {"token_embd": "model.embed_tokens.weight", "output_norm": "model.norm.weight", "output": "lm_head.weight"}[parts[0]]
        tensors[name] = np.ascontiguousarray(w)
    os.makedirs(out, exist_ok=True)
    save_file(tensors, os.path.join(out, "model.safetensors"), metadata={"format": "pt"})
    config = dict(architectures=[FAMILIES[family]], model_type=family, dtype="float32", hidden_act="silu",
                  hidden_size=int(scalar(reader, f"{family}.embedding_length")),
                  intermediate_size=int(scalar(reader, f"{family}.feed_forward_length")),
                  num_hidden_layers=int(scalar(reader, f"{family}.block_count")), num_attention_heads=heads, num_key_value_heads=kv,
                  vocab_size=tensors["model.embed_tokens.weight"].shape[0],
                  max_position_embeddings=int(scalar(reader, f"{family}.context_length")),
                  rms_norm_eps=float(scalar(reader, f"{family}.attention.layer_norm_rms_epsilon")),
                  rope_theta=float(scalar(reader, f"{family}.rope.freq_base")),
                  tie_word_embeddings="lm_head.weight" not in tensors,
                  bos_token_id=int(scalar(reader, "tokenizer.ggml.bos_token_id")),
                  eos_token_id=int(scalar(reader, "tokenizer.ggml.eos_token_id")))
    with open(os.path.join(out, "config.json"), "w") as f:
        json.dump(config, f, indent=2, sort_keys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
