#!/usr/bin/env python3
"""Writes tests/data/low_rank.txt, known answers for model/low_rank.h from NumPy's SVD of the whole product. Nothing of the project
is used. A case is

  case <kind> <out> <in> <rank> <seed> <scale>
  sigma <rank numbers, descending>        singular values of scale B A; 0 for dimensions that it does not have
  effective <exp of the entropy of sigma / sum sigma; 0 for a product that is zero>

Element i of B (out, rank), row-major, is draw i of the generator x -> 1664525 x + 1013904223 (mod 2^32) that starts at the seed,
(x >> 8) / 2^23 - 1; A (rank, in) likewise from seed + 1. Then by kind: `graded`: row k of A times 2^(-5 k); `dependent`: the
second half of the rows of A is the first half again; `zero`: B is 0.

    tools/gen_low_rank.py
"""
import os

import numpy as np

CASES = [("plain", 12, 9, 4, 1, 2.0), ("plain", 5, 40, 1, 2, 0.5), ("plain", 3, 7, 6, 3, 1.0), ("plain", 7, 3, 6, 4, -1.5),
         ("graded", 24, 40, 6, 5, 1.0), ("dependent", 24, 40, 8, 6, 1.0), ("zero", 6, 5, 3, 7, 1.0), ("plain", 200, 160, 96, 8, 0.25)]


def draws(n, seed):
    out, x = np.empty(n), seed
    for i in range(n):
        x = (1664525 * x + 1013904223) % 2**32
        out[i] = (x >> 8) / 2**23 - 1
    return out


def answers(kind, out, inner, rank, seed, scale):
    b, a = draws(out * rank, seed).reshape(out, rank), draws(rank * inner, seed + 1).reshape(rank, inner)
    if kind == "graded":
        a *= 2.0 ** (-5 * np.arange(rank))[:, None]
    if kind == "dependent":
        a[rank // 2:] = a[:rank // 2]
    if kind == "zero":
        b[:] = 0
    sigma = np.zeros(rank)
    found = np.linalg.svd(scale * (b @ a), compute_uv=False)[:rank]
    sigma[:len(found)] = found
    if kind == "dependent":
        sigma[rank // 2:] = 0  # what NumPy finds there is rounding
    share = sigma[sigma > 0] / max(sigma.sum(), 1e-300)
    return sigma, float(np.exp(-(share * np.log(share)).sum())) if len(share) else 0.0


def main():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "data", "low_rank.txt")
    with open(path, "w", encoding="utf-8") as f:
        for kind, out, inner, rank, seed, scale in CASES:
            sigma, effective = answers(kind, out, inner, rank, seed, scale)
            f.write(f"case {kind} {out} {inner} {rank} {seed} {scale}\nsigma {' '.join(f'{s:.17g}' for s in sigma)}\n")
            f.write(f"effective {effective:.17g}\n")


if __name__ == "__main__":
    main()
