#!/usr/bin/env python3
"""GGUF files of random blocks with a model's shapes and the types that Q4_K_M gives them, or bf16: for timing, they know nothing.

    random_gguf.py tinyllama|llama-3.2-1b|llama-3.1-8b q4|bf16 TOKENIZER.gguf OUT.gguf       needs gguf, numpy

The tokenizer is that of TOKENIZER.gguf, cut or filled up to the vocabulary. Scales are small, so that activations stay finite.
"""
import sys

import gguf
import numpy as np

T = gguf.GGMLQuantizationType
# columns, of the feed-forward, layers, heads, key heads, vocabulary, whether the head is the embedding
SHAPES = {"tinyllama": (2048, 5632, 22, 32, 4, 32000, False), "llama-3.2-1b": (2048, 8192, 16, 32, 8, 128256, True),
          "llama-3.1-8b": (4096, 14336, 32, 32, 8, 128256, False)}


def blocks(kind, rows, cols, rng):
    block, size = gguf.GGML_QUANT_SIZES[kind]
    if kind == T.BF16:  # numbers of 0.002 to 0.016
        one = rng.integers(0, 2, 1 << 20, dtype=np.uint16) << 15 | rng.integers(0x3B00, 0x3C80, 1 << 20, dtype=np.uint16)
        return np.resize(one, rows * cols).view(np.uint8).reshape(rows, -1)
    one = rng.integers(0, 256, (4099, size), dtype=np.uint8)
    for at, scale in {T.Q4_K: ((0, 0.0004), (2, 0.003)), T.Q6_K: ((208, 0.00002),)}[kind]:
        one[:, at:at + 2] = np.full((4099, 1), scale, np.float16).view(np.uint8)
    return np.resize(one, (rows * cols // block, size)).reshape(rows, -1)


def add_tokenizer(w, path, vocab):
    for key, field in gguf.GGUFReader(path).fields.items():
        if not key.startswith("tokenizer."):
            continue
        value = field.contents()
        if key.endswith(".tokens"):
            value = (value + [f"<fill_{i}>" for i in range(vocab)])[:vocab]
            known = set(value)
        elif key.endswith(".token_type"):
            value = (value + [int(gguf.TokenType.UNUSED)] * vocab)[:vocab]
        elif key.endswith(".merges"):
            value = [m for m in value if m.replace(" ", "", 1) in known]
        w.add_key_value(key, value, field.types[0], field.types[-1] if len(field.types) > 1 else None)


def main(name, mix, tokenizer, out):
    hidden, ffn, layers, heads, kv, vocab, tied = SHAPES[name]
    rng, keys = np.random.default_rng(1), hidden * kv // heads
    few, many = (T.Q4_K, T.Q6_K) if mix == "q4" else (T.BF16, T.BF16)
    w = gguf.GGUFWriter(out, "llama")
    w.add_block_count(layers), w.add_context_length(4096), w.add_embedding_length(hidden), w.add_feed_forward_length(ffn)
    w.add_head_count(heads), w.add_head_count_kv(kv), w.add_layer_norm_rms_eps(1e-5), w.add_rope_freq_base(500000.0)
    w.add_rope_dimension_count(hidden // heads), w.add_vocab_size(vocab)
    add_tokenizer(w, tokenizer, vocab)

    def add(tensor, rows, cols, kind):
        w.add_tensor(f"{tensor}.weight", blocks(kind, rows, cols, rng), raw_dtype=kind)

    add("token_embd", vocab, hidden, many if tied else few)
    if not tied:
        add("output", vocab, hidden, many)
    w.add_tensor("output_norm.weight", np.ones(hidden, np.float32))
    for i in range(layers):
        more = many if i < layers // 8 or i >= 7 * layers // 8 or (i - layers // 8) % 3 == 2 else few  # as llama.cpp's mix
        for tensor, rows, cols, kind in (("attn_q", hidden, hidden, few), ("attn_k", keys, hidden, few), ("attn_v", keys, hidden, more),
                                         ("attn_output", hidden, hidden, few), ("ffn_gate", ffn, hidden, few),
                                         ("ffn_up", ffn, hidden, few), ("ffn_down", hidden, ffn, more)):
            add(f"blk.{i}.{tensor}", rows, cols, kind)
        for norm in ("attn_norm", "ffn_norm"):
            w.add_tensor(f"blk.{i}.{norm}.weight", np.ones(hidden, np.float32))
    w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
