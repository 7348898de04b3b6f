#!/usr/bin/env python3
"""Prints tests/data/array/quant.txt: blocks of every GGUF type and what the Python package gguf widens them to, for
tests/array/test_quant.c.

usage: tools/gen_quant_golden.py >tests/data/array/quant.txt     needs: pip install gguf

Lines:
    full TYPE BLOCK NUMBERS       a block in hex and its elements, the bits of f32 in hex
    block TYPE BLOCK SHA256       a block and the hash of its elements
    random TYPE SEED COUNT SHA256 COUNT blocks, byte i the top byte of the i-th number of a linear congruential generator
Elements are hashed as little-endian f32; NaNs, whose sign and payload depend on the processor, all as 0x7fc00000.
"""
import hashlib

import numpy as np
from gguf import GGMLQuantizationType as T, GGML_QUANT_SIZES, quants

TYPES = [t for t in T if t in quants._type_traits and t != T.BF16]
# Where a block keeps f16 numbers. IQ1_M's is cut in four: IQ1_M_BITS; MXFP4's and NVFP4's scales are bytes.
HALVES = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q2_K: [80, 82], T.Q3_K: [108],
          T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ2_XXS: [0], T.IQ2_XS: [0], T.IQ3_XXS: [0], T.IQ1_S: [0],
          T.IQ4_NL: [0], T.IQ3_S: [0], T.IQ2_S: [0], T.IQ4_XS: [0], T.IQ1_M: [], T.TQ1_0: [52], T.TQ2_0: [64],
          T.MXFP4: [], T.NVFP4: []}
# zeros, subnormals, the largest and smallest normal numbers, infinities, NaNs
STRANGE = [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x8400, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E00, 0xFC01]
rng = np.random.default_rng(9)


def widen(kind, blocks):
    with np.errstate(all="ignore"):
        out = quants.dequantize(blocks, kind)
    bits = out.astype(np.float32).view(np.uint32).copy()
    bits[np.isnan(out)] = 0x7FC00000
    return bits


def digest(bits):
    return hashlib.sha256(bits.astype("<u4").tobytes()).hexdigest()


def generator(seed, count):
    x, out = seed, bytearray()
    for _ in range(count):
        x = (x * 1664525 + 1013904223) & 0xFFFFFFFF
        out.append(x >> 24)
    return np.frombuffer(bytes(out), np.uint8)


def set_half(kind, block, index, bits):
    if kind == T.IQ1_M:
        for i in range(4):
            block[49 + 2 * i] = (block[49 + 2 * i] & 15) | (bits >> 4 * i & 15) << 4
    elif kind == T.MXFP4:
        block[0] = bits >> 8
    elif kind == T.NVFP4:
        block[index % 4] = bits >> 8
    else:
        block[HALVES[kind][index]] = bits & 255
        block[HALVES[kind][index] + 1] = bits >> 8


def halves(kind):
    return {T.IQ1_M: 1, T.MXFP4: 1, T.NVFP4: 4}.get(kind, len(HALVES[kind]))


def cases(kind, size):
    for value in (0x00, 0xFF, 0x7F, 0x80, 0x55, 0xAA, 0x0F, 0xF0):  # extreme codes, tame scales
        block = np.full(size, value, np.uint8)
        for i in range(halves(kind)):
            set_half(kind, block, i, 0x3C00 if value % 2 else 0xB555)
        yield block
    for i, bits in enumerate(STRANGE):  # strange scales, any codes; beside an offset a tame and a strange one
        block = rng.integers(0, 256, size, dtype=np.uint8)
        for j in range(halves(kind)):
            set_half(kind, block, j, bits if j == 0 else (0x2E66, STRANGE[-1 - i], bits, 0x3555)[i % 4])
        yield block


for kind in TYPES:
    _, size = GGML_QUANT_SIZES[kind]
    block = rng.integers(0, 256, size, dtype=np.uint8)
    for i in range(halves(kind)):
        set_half(kind, block, i, 0x2D3B + i)
    words = " ".join(f"{b:08x}" for b in widen(kind, block))
    print(f"full {kind.name} {block.tobytes().hex()} {words}")
    for block in cases(kind, size):
        print(f"block {kind.name} {block.tobytes().hex()} {digest(widen(kind, block))}")
    count = 2000
    blocks = generator(int(kind) + 1, count * size).reshape(count, size)
    print(f"random {kind.name} {int(kind) + 1} {count} {digest(widen(kind, blocks))}")
