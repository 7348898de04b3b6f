#!/usr/bin/env python3
"""Writes a Llama folder of `your_ai init` as a GGUF file, and quantises it by llama.cpp's quantiser: what peers that read GGUF
files only are measured and checked on. Development tool: needs gguf, numpy, safetensors, and llama-cpp-python to quantise.

    tools/make_llama_gguf.py FOLDER TOKENIZER.gguf OUT.gguf          matrices in bf16 as they are in the folder
    tools/make_llama_gguf.py --quantise IN.gguf OUT.gguf Q4_K_M

The tokenizer is that of TOKENIZER.gguf (byte-level BPE), cut to the vocabulary of the folder: tokens of BPE are numbered in the
order in which they are merged, so the first of them are a tokenizer by themselves.
"""
import ctypes
import json
import os
import sys

import gguf
import numpy as np
from gguf_to_hf import NAMES

GGUF_NAMES = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
              "lm_head.weight": "output.weight"}


def permute(w, heads):
    """What gguf_to_hf.unpermute undoes: rows of a q or k head from (half, pair) to (pair, half)."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def read_bf16(path):
    """(name, array of the 16 bits of each number) of every tensor of a safetensors file of bf16."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        data = np.memmap(path, np.uint8, "r", offset=8 + size)
    for name, entry in header.items():
        if name != "__metadata__":
            assert entry["dtype"] == "BF16", (name, entry)
            first, last = entry["data_offsets"]
            yield name, data[first:last].view(np.uint16).reshape(entry["shape"])


def add_tokenizer(writer, path, vocab):
    """The tokenizer of a GGUF file, cut to `vocab` tokens."""
    fields = gguf.GGUFReader(path).fields
    value = {key: field.contents() for key, field in fields.items() if key.startswith("tokenizer.")}
    known = set(value["tokenizer.ggml.tokens"][:vocab])
    assert len(known) == vocab, f"{path} has {len(known)} tokens, {vocab} are needed"
    value["tokenizer.ggml.tokens"] = value["tokenizer.ggml.tokens"][:vocab]
    value["tokenizer.ggml.token_type"] = value["tokenizer.ggml.token_type"][:vocab]
    value["tokenizer.ggml.merges"] = [m for m in value["tokenizer.ggml.merges"] if m.replace(" ", "", 1) in known]
    for key, content in value.items():
        types = fields[key].types
        writer.add_key_value(key, content, types[0], types[-1] if len(types) > 1 else None)


def write(folder, tokenizer, out, layers=None):
    """The folder as a GGUF; its first `layers` layers where a number is given."""
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    heads, kv, layers = config["num_attention_heads"], config["num_key_value_heads"], layers or config["num_hidden_layers"]
    w = gguf.GGUFWriter(out, "llama")
    w.add_block_count(layers), w.add_context_length(config["max_position_embeddings"])
    w.add_embedding_length(config["hidden_size"]), w.add_feed_forward_length(config["intermediate_size"])
    w.add_head_count(heads), w.add_head_count_kv(kv), w.add_layer_norm_rms_eps(config["rms_norm_eps"])
    w.add_rope_freq_base(config["rope_theta"]), w.add_rope_dimension_count(config["head_dim"])
    w.add_vocab_size(config["vocab_size"])
    add_tokenizer(w, tokenizer, config["vocab_size"])
    short = {v: k for k, v in NAMES.items()}
    for name, bits in read_bf16(os.path.join(folder, "model.safetensors")):
        if name in GGUF_NAMES:
            to = GGUF_NAMES[name]
        else:
            _, _, layer, rest = name.split(".", 3)
            module, end = rest.rsplit(".", 1)
            if int(layer) >= layers:
                continue
            to = f"blk.{layer}.{short[module]}.{end}"
            if short[module] in ("attn_q", "attn_k"):
                bits = permute(bits, heads if short[module] == "attn_q" else kv)
        if bits.ndim == 1:
            w.add_tensor(to, (bits.astype(np.uint32) << 16).view(np.float32))
        else:
            bits = np.ascontiguousarray(bits)
            w.add_tensor(to, bits.view(np.uint8).reshape(bits.shape[0], -1), raw_dtype=gguf.GGMLQuantizationType.BF16)
    w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()


def quantise(source, target, mix):
    """A GGUF file again, in one of llama.cpp's mixes of types, by its own quantiser."""
    import llama_cpp
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread, params.allow_requantize = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{mix}"), 2, True
    assert llama_cpp.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params)) == 0, mix


if __name__ == "__main__":
    quantise(*sys.argv[2:]) if sys.argv[1] == "--quantise" else write(*sys.argv[1:])
