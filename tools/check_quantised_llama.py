#!/usr/bin/env python3
"""One training step on a model of TinyLlama's shapes, whose columns all divide by 256, in llama.cpp's mixes of types: loss and the
gradients of a LoRA adapter against PyTorch on the dequantised weights. What check_quantised.py does with small models and with
SmolLM2, whose columns do not.

    your_ai init --like tinyllama -o FOLDER
    tools/check_quantised_llama.py build/your_ai FOLDER models/smollm2-135m.gguf [RECORD.json [LAYERS [MIX ...]]]

LAYERS: only the first so many of 22 (0: all, which takes 15 GB of memory and of disk). Needs what check_quantised.py needs.
"""
import json
import os
import sys
import tempfile

import check_quantised
import llama_cpp
import make_llama_gguf
import torch
from check_support import run


def main(program, folder, tokenizer, path=None, layers="0", *mixes):
    record = dict(what="One training step on TinyLlama's shapes in llama.cpp's mixes against PyTorch on the dequantised weights; "
                       "tools/check_quantised_llama.py", commit=run("git", "describe", "--always", "--dirty").strip(),
                  llama_cpp_python=llama_cpp.__version__, torch=torch.__version__, layers=int(layers) or 22,
                  limits=dict(loss=1e-4, gradient=1e-3), models=[])
    with tempfile.TemporaryDirectory() as scratch:
        whole, made = os.path.join(scratch, "bf16.gguf"), os.path.join(scratch, "made.gguf")
        make_llama_gguf.write(folder, tokenizer, whole, int(layers))
        for mix in mixes or check_quantised.MIXES:
            make_llama_gguf.quantise(whole, made, mix)
            check_quantised.compare(f"TinyLlama shapes, {mix}", program, made, scratch, record, "llama.cpp")
    if path:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(record, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
