#!/usr/bin/env python3
"""Prints tests/data/array/quant_encode.txt: what the Python package gguf makes of numbers in the types that it writes, and the
squared error that ggml's own library leaves in Q4_K, Q5_K and Q6_K, for tests/array/test_quant_encode.c.

usage: tools/gen_quant_encode.py >tests/data/array/quant_encode.txt     needs: pip install gguf ggml-py

Lines:
    blocks TYPE SET SHA256    the bytes of all blocks of a set
    error TYPE SET NUMBER     sum of squares of what ggml's blocks read back as, less the numbers
The numbers of a set are made by numbers() here and by make_numbers() there, from the same generator with operations of f32 that
have one result only.
"""
import ctypes
import glob
import hashlib
import os

import ggml
import gguf
import numpy as np
from gguf import GGMLQuantizationType as T, quants

COUNT = 64 * 256
SETS = ["sum", "cube", "positive", "scaled", "sparse", "zeros", "repeated"]


class Generator:
    """The upper 24 bits of a linear congruential generator of 64 bits, as a number in [-1, 1)."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return np.float32((self.state >> 40) / 2**23 - 1)


def numbers(which):
    g, out = Generator(which + 1), np.zeros(COUNT, np.float32)
    scale = np.float32(1)
    for i in range(COUNT):
        u = g.next()
        name = SETS[which]
        if name == "sum":
            u = (u + g.next() + g.next() + g.next()) * np.float32(1 / 64)
        elif name == "cube":
            u = u * u * u
        elif name == "positive":
            u = u * np.float32(0.25) + np.float32(0.75)
        elif name == "scaled":
            if i % 32 == 0:
                scale = np.float32(2.0 ** int(g.next() * np.float32(12)))
            u = u * scale
        elif name == "sparse":
            u = u if g.next() > np.float32(0.875) else np.float32(0)
        elif name == "zeros":
            u = np.float32(0)
        else:
            scale = u if i % 256 == 0 else scale
            u = scale
        out[i] = u
    return out


def main():
    library = ctypes.CDLL(glob.glob(os.path.join(os.path.dirname(ggml.__file__), "lib", "libggml-base.so"))[0])
    for which, name in enumerate(SETS):
        x = numbers(which)
        for kind in T.Q8_0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1:
            print("blocks", kind.name, name, hashlib.sha256(quants.quantize(x, kind).tobytes()).hexdigest())
        for kind in T.Q4_K, T.Q5_K, T.Q6_K:
            quantise = getattr(library, f"quantize_{kind.name.lower().replace('_k', '_K')}")
            quantise.restype = ctypes.c_size_t
            quantise.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
            block, size = gguf.GGML_QUANT_SIZES[kind]
            out = np.zeros(COUNT // block * size, np.uint8)
            quantise(x.ctypes.data, out.ctypes.data, 1, COUNT, None)
            difference = quants.dequantize(out, kind).ravel().astype(np.float64) - x
            print("error", kind.name, name, repr(float((difference**2).sum())))


if __name__ == "__main__":
    main()
