#!/usr/bin/env python3
"""Writes tests/data/array/vectors.txt: known answers for the array layer's number formats and dropout masks.

Conversions come from NumPy (f16) and PyTorch (bf16), block formats from their definition in NumPy, masks from a Philox
written here from the paper (Salmon et al. 2011) and checked against the Random123 known answer. Nothing of the project is
used. One vector a line:
  f16 <f32 bits> <f16 bits>          bf16 <f32 bits> <bf16 bits>          d16 <f64 bits> <f16 bits>
  block <type> <bytes of one block> <32 f64 bit patterns, exact>
  mask <seed> <step> <slot> <token> <p> <n> <0/1 string>
"""
import struct
import sys

import numpy as np
import torch

rng = np.random.default_rng(20261124)
out = []


def bits32(x):
    return struct.unpack("<I", struct.pack("<f", x))[0]


def floats():
    """Random bit patterns, and the neighbourhoods of every boundary of the half formats."""
    picked = rng.integers(0, 2**32, 300, dtype=np.uint64).astype(np.uint32)
    small = (rng.integers(0, 2**23, 300) | (rng.integers(96, 146, 300) << 23)).astype(np.uint32)  # f16's own range
    edges = [0.0, -0.0, 2**-24, 2**-25, 2**-26, 3 * 2**-25, 2**-14, 2**-15, 65504.0, 65519.0, 65520.0, 65536.0, 1.0, 2049.0,
             2051.0, float("inf"), float("-inf"), 3.3895313892515355e38, 3.4028234663852886e38, 1.00390625, 1.01171875]
    near = [(bits32(e) + d) & 0xFFFFFFFF for e in edges for d in (-1, 0, 1)]
    return [int(u) for u in list(picked) + list(small) + near]


def halves():
    for u in floats():
        f = np.uint32(u).view(np.float32)
        if np.isnan(f):
            continue
        with np.errstate(over="ignore"):
            out.append(f"f16 {u:08x} {np.float16(f).view(np.uint16):04x}")
        t = torch.tensor([f]).to(torch.bfloat16).view(torch.int16).item() & 0xFFFF
        out.append(f"bf16 {u:08x} {t:04x}")
    # doubles that round another way when they pass through f32 first: just above or below a tie of f16
    for k in range(200):
        base = np.float64(np.uint16(rng.integers(0x0001, 0x7BFE)).view(np.float16))
        ulp = float(np.spacing(np.float16(base)))
        d = base + ulp / 2 + (1 if k % 2 else -1) * base * 2.0**-40
        with np.errstate(over="ignore"):
            out.append(f"d16 {np.float64(d).view(np.uint64):016x} {np.float16(d).view(np.uint16):04x}")


def blocks():
    for name, size in (("Q4_0", 18), ("Q4_1", 20), ("Q8_0", 34)):
        for _ in range(6):
            raw = rng.integers(0, 256, size, dtype=np.uint8)
            raw[0:2] = np.array([rng.normal()], np.float16).view(np.uint8)
            if name == "Q4_1":
                raw[2:4] = np.array([rng.normal()], np.float16).view(np.uint8)
            d = np.float64(raw[0:2].view(np.float16)[0])
            if name == "Q8_0":
                values = d * raw[2:].view(np.int8).astype(np.float64)
            else:
                nibbles = raw[4:] if name == "Q4_1" else raw[2:]
                q = np.concatenate([nibbles & 15, nibbles >> 4]).astype(np.float64)
                values = d * q + np.float64(raw[2:4].view(np.float16)[0]) if name == "Q4_1" else d * (q - 8)
            words = " ".join(f"{v:016x}" for v in values.view(np.uint64))
            out.append(f"block {name} {raw.tobytes().hex()} {words}")


def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def masks():
    assert philox([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    purpose = 2  # RNG_DROPOUT
    low, high = (lambda x: x & 0xFFFFFFFF), (lambda x: x >> 32)
    for seed, step, slot, token, p, n in ((0, 0, 0, 0, 0.5, 40), (1, 0, 0, 0, 0.5, 40), (0, 1, 0, 0, 0.5, 40),
                                          (0, 0, 1, 0, 0.5, 40), (0, 0, 0, 1, 0.5, 40), (2**64 - 1, 2**40, 239, 2**33, 0.1, 101),
                                          (7, 3, 5, 11, 0.999, 64), (7, 3, 5, 11, 0.0, 9), (7, 3, 5, 11, 0.25, 1)):
        key = philox([low(seed), high(seed), low(step), high(step)], [purpose, 0])[:2]
        numbers = [x for j in range((n + 3) // 4) for x in philox([low(token), high(token), slot, j], key)]
        threshold = int(float(np.float32(p)) * 2**32)
        out.append(f"mask {seed} {step} {slot} {token} {p} {n} " + "".join("01"[x >= threshold] for x in numbers[:n]))


halves()
blocks()
masks()
path = sys.argv[1] if len(sys.argv) > 1 else "tests/data/array/vectors.txt"
with open(path, "w", encoding="ascii") as f:
    f.write("\n".join(out) + "\n")
