#!/usr/bin/env python3
"""Writes the random model of check_quantised.py, two layers whose 256 columns hold whole blocks of every type, as a GGUF file in f32
with the tokenizer of the file given: what exports are checked on where a real model takes too long.

    tools/make_small_gguf.py TOKENIZER.gguf OUT.gguf

Needs what check_quantised.py needs.
"""
import sys

import gguf
from check_quantised import weights, write


def main(tokenizer, out):
    source = gguf.GGUFReader(tokenizer)
    write(out, source, weights(len(source.fields["tokenizer.ggml.tokens"].data)), gguf.GGMLQuantizationType.F32)


if __name__ == "__main__":
    main(*sys.argv[1:])
