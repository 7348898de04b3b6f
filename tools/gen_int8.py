#!/usr/bin/env python3
"""Writes tests/data/array/int8.txt, known answers for array/codec/int8.h.

The quantiser below is written from the layout that int8.h documents, in NumPy; nothing of the project is used. One vector a
line:
  row <columns> <f32 bit patterns of the input> <bytes of the stored row> <f32 bit patterns of what it reads as>
  long <columns> <seed> <SHA-256 of the stored row> <SHA-256 of the f32 it reads as>
Input i of a long row: as in gen_nf4.py.
"""
import hashlib
import sys

import numpy as np

f32 = np.float32


def quantise(x):
    scale = f32(np.abs(x).max() / f32(127))
    with np.errstate(all="ignore"):
        ratio = np.rint(x / scale) if scale > 0 else np.zeros(len(x), f32)
    codes = np.clip(ratio, -127, 127).astype(np.int8)
    return scale.tobytes() + codes.tobytes(), scale * codes.astype(f32)


def words(x):
    return ",".join("%08x" % v for v in np.asarray(x, f32).view(np.uint32))


def draws(n, seed):
    x, out = seed, []
    for i in range(n):
        x = (1664525 * x + 1013904223) % 2**32
        out.append(f32(f32(x >> 8) / f32(2**23) - f32(1)) * f32(1 + i // 4096))
    return np.array(out, f32)


def main():
    rng = np.random.default_rng(20261124)
    rows = [rng.standard_normal(n).astype(f32) * f32(0.02) for n in (1, 2, 3, 31, 33, 64, 127, 130)]
    rows += [np.zeros(7, f32), np.full(5, f32(-0.0)), np.array([0, 3], f32), np.array([-2], f32)]
    rows.append(np.array([127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5, -126.5, -127], f32))  # halves go to even
    rows.append(np.array([1e30, -1e30, 1e29, 3.9e27, 1], f32))
    rows.append(f32(1e-45) * np.arange(-40, 41).astype(f32))  # the scale is 0: every code is
    rows.append(f32(1e-45) * np.arange(-300, 301, 3).astype(f32))  # a scale of few bits: quotients pass 127
    rows.append(f32(1e-40) * rng.standard_normal(65).astype(f32))
    rows.append(np.array([1.17549435e-38, -1e-38, 1e-40, 0], f32))
    outlier = rng.standard_normal(320).astype(f32)
    outlier[100] = -300
    rows.append(outlier)
    lines = []
    for x in rows:
        stored, read = quantise(x)
        lines.append("row %d %s %s %s" % (len(x), words(x), stored.hex(), words(read)))
    for n, seed in ((4097, 1), (16384, 2)):
        stored, read = quantise(draws(n, seed))
        lines.append("long %d %d %s %s" % (n, seed, hashlib.sha256(stored).hexdigest(),
                                           hashlib.sha256(read.tobytes()).hexdigest()))
    with open(sys.argv[1], "w") as f:
        f.write("\n".join(lines) + "\n")
    print("%d rows" % len(rows))


main()
