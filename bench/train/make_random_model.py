#!/usr/bin/env python3
"""Writes a folder with config.json and model.safetensors of a Llama of TinyLlama-1.1B's shapes and random bf16 weights
(N(0, 0.02), norms 1), 2.2 GB, for measurements of memory and speed. usage: make_random_model.py FOLDER [layers]"""
import json
import os
import sys

import numpy as np

HIDDEN, FFN, HEADS, KV, VOCAB = 2048, 5632, 32, 4, 32000
folder, layers = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 22
os.makedirs(folder, exist_ok=True)
kv = KV * HIDDEN // HEADS
shapes = {"model.embed_tokens.weight": (VOCAB, HIDDEN)}
for i in range(layers):
    for name, shape in (("input_layernorm", (HIDDEN,)), ("self_attn.q_proj", (HIDDEN, HIDDEN)),
                        ("self_attn.k_proj", (kv, HIDDEN)), ("self_attn.v_proj", (kv, HIDDEN)),
                        ("self_attn.o_proj", (HIDDEN, HIDDEN)), ("post_attention_layernorm", (HIDDEN,)),
                        ("mlp.gate_proj", (FFN, HIDDEN)), ("mlp.up_proj", (FFN, HIDDEN)), ("mlp.down_proj", (HIDDEN, FFN))):
        shapes["model.layers.%d.%s.weight" % (i, name)] = shape
shapes["model.norm.weight"] = (HIDDEN,)
shapes["lm_head.weight"] = (VOCAB, HIDDEN)

header, at = {}, 0
for name, shape in shapes.items():
    size = 2 * int(np.prod(shape))
    header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
    at += size
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
rng = np.random.default_rng(1)
with open(os.path.join(folder, "model.safetensors"), "wb") as f:
    f.write(len(text).to_bytes(8, "little") + text)
    for shape in shapes.values():
        x = np.ones(shape, np.float32) if len(shape) == 1 else np.float32(0.02) * rng.standard_normal(shape, np.float32)
        f.write((x.view(np.uint32) >> 16).astype(np.uint16).tobytes())
json.dump({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": HIDDEN,
           "intermediate_size": FFN, "num_hidden_layers": layers, "num_attention_heads": HEADS, "num_key_value_heads": KV,
           "vocab_size": VOCAB, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
           "tie_word_embeddings": False}, open(os.path.join(folder, "config.json"), "w"), indent=1)
