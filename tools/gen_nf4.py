#!/usr/bin/env python3
"""Writes tests/data/array/nf4.txt, known answers for array/codec/nf4.h, and prints the two tables of array/codec/nf4.c.

The 16 levels are those printed in appendix E of Dettmers et al. 2023 (QLoRA), checked against their definition: quantiles of
N(0, 1) for two halves, 8 + 1 and 7 + 1 of them from the offset 0.9677083 to 1/2, the zero once, divided by the largest. The quantiser below is written from
the layout that nf4.h documents, in NumPy; the nearest level is found by looking at all distances. Nothing of the project is
used. One vector a line:
  levels <16 f32 bit patterns>
  row <columns> <f32 bit patterns of the input> <bytes of the stored row> <f32 bit patterns of what it reads as>
  long <columns> <seed> <SHA-256 of the stored row> <SHA-256 of the f32 it reads as>
Input i of a long row: x_i is draw i of the generator x -> 1664525 x + 1013904223 (mod 2^32) that starts at the seed,
(x >> 8) / 2^23 - 1, times 1 + i // 4096.
"""
import hashlib
import statistics
import sys

import numpy as np

f32 = np.float32
BLOCK, GROUP = 64, 256 * 64


# Appendix E of the paper, digits as printed there.
LEVELS = np.array([-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
                   -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
                   0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023,
                   1.0]).astype(f32)


def check_levels():
    """The printed levels are those of the definition."""
    quantile = statistics.NormalDist().inv_cdf
    offset = 0.9677083
    up = [quantile(p) for p in np.linspace(offset, 0.5, 9)[:-1]]
    down = [-quantile(p) for p in np.linspace(offset, 0.5, 8)[:-1]]
    values = np.array(sorted(up + [0.0] + down))
    assert np.abs(values / values.max() - LEVELS).max() < 2e-7


def thresholds():
    """The largest f32 that is not above the middle of two neighbours: x is nearer to the upper one exactly when x > it."""
    middle = (LEVELS[:-1].astype(np.float64) + LEVELS[1:].astype(np.float64)) / 2
    rounded = middle.astype(f32)
    return np.where(rounded.astype(np.float64) > middle, np.nextafter(rounded, f32(-np.inf)), rounded)


def round_up_16(x):
    bits = np.array([x], f32).view(np.uint32)
    return ((bits + np.uint32(0xFF)) & np.uint32(0xFFFFFF00)).view(f32)[0]


def quantise(x):
    stored, read = b"", []
    for start in range(0, len(x), GROUP):
        group = x[start:start + GROUP]
        blocks = [group[i:i + BLOCK] for i in range(0, len(group), BLOCK)]
        scale = np.array([np.abs(b).max() for b in blocks], f32)
        low = scale.min()
        step = round_up_16(f32(scale.max() - low) / f32(255))
        stored += low.tobytes() + step.tobytes()
        for block, s in zip(blocks, scale):
            q = 0 if step == 0 else min(255, int(np.floor((s - low) / step + f32(0.5))))
            back = f32(low + f32(step * f32(q)))
            half = (len(block) + 1) // 2
            if back == 0:
                codes = np.full(len(block), 7)
            else:
                ratio = (block / back).astype(f32).astype(np.float64)
                codes = np.abs(ratio[:, None] - LEVELS.astype(np.float64)[None, :]).argmin(1)
            packed = codes[:half].copy()
            packed[:len(block) - half] |= codes[half:] << 4
            stored += bytes([q]) + packed.astype(np.uint8).tobytes()
            read.append((back * LEVELS[codes]).astype(f32))
    return stored, np.concatenate(read)


def words(x):
    return ",".join("%08x" % v for v in np.asarray(x, f32).view(np.uint32))


def draws(n, seed):
    x, out = seed, []
    for i in range(n):
        x = (1664525 * x + 1013904223) % 2**32
        out.append(f32(f32(x >> 8) / f32(2**23) - f32(1)) * f32(1 + i // 4096))
    return np.array(out, f32)


def main():
    check_levels()
    rng = np.random.default_rng(23051431)
    lines = ["levels " + words(LEVELS)]
    rows = [rng.standard_normal(n).astype(f32) * f32(0.02) for n in (1, 2, 5, 63, 64, 65, 128, 130, 192, 200)]
    rows += [np.zeros(70, f32), np.concatenate([np.zeros(64, f32), rng.standard_normal(64).astype(f32)])]
    rows += [np.full(66, f32(-0.0)), np.concatenate([f32(1e-42) * np.arange(64, dtype=f32), np.full(3, f32(1e30))])]
    rows += [f32(1e-40) * rng.standard_normal(130).astype(f32)]
    rows += [np.concatenate([LEVELS * f32(3), thresholds() * f32(3), rng.standard_normal(33).astype(f32)])]
    outlier = rng.standard_normal(320).astype(f32)
    outlier[100] = 300
    rows.append(outlier)
    for x in rows:
        stored, read = quantise(x)
        lines.append("row %d %s %s %s" % (len(x), words(x), stored.hex(), words(read)))
    for n, seed in ((16384, 1), (16385, 2), (16448, 3), (33000, 4)):
        stored, read = quantise(draws(n, seed))
        lines.append("long %d %d %s %s" % (n, seed, hashlib.sha256(stored).hexdigest(),
                                           hashlib.sha256(read.tobytes()).hexdigest()))
    with open(sys.argv[1], "w") as f:
        f.write("\n".join(lines) + "\n")
    x = rng.standard_normal(1 << 20)
    back = np.concatenate([quantise(r)[1] for r in x.astype(f32).reshape(-1, 4096)])
    print("levels:    ", ", ".join("%.9g" % v for v in LEVELS))
    print("thresholds:", ", ".join("%.9g" % v for v in thresholds()))
    print("N(0, 1), 2^20 numbers: mean error %.5f, RMS error %.5f" %
          (np.abs(back - x).mean(), np.sqrt(((back - x)**2).mean())))


main()
