#!/usr/bin/env python3
"""Writes tests/data/data/objective_golden.txt: what the objective must give, from an independent NumPy computation.

One case a block: `case MODE LAMBDA POWER RATIO ALPHA`, then `doc W H TOKENS OMEGA` for each document, then
`fit Q GBAR ESS D_MEAN`. The percentile is found by brute force: one copy of g for each trained token, sorted.
Run: python3 tools/objective_golden.py
"""
import pathlib

import numpy as np

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/data/data/objective_golden.txt"


def signed(w, h):
    return np.log(1 - w + 1e-8) + h


def case(mode, lam, power, ratio, alpha, docs):
    w, h, n = (np.array(x, dtype=np.float64) for x in zip(*docs))
    s = signed(w, h)
    g = np.logaddexp(0, s) ** power if mode == "monotone" else s**2
    tokens = np.sort(np.repeat(g, n.astype(int)))
    q = tokens[int(np.ceil(0.99 * len(tokens) - 1e-9)) - 1]
    clamped = np.clip(g, q / ratio, q)
    gbar = (clamped * n).sum() / n.sum()
    omega = (1 - lam) + lam * clamped / gbar
    per_token = np.repeat(omega, n.astype(int))
    ess = per_token.sum() ** 2 / (per_token**2).sum()
    d_mean = (alpha * s**2 * n).sum() / n.sum()
    assert abs(per_token.mean() - 1) < 1e-12
    lines = [f"case {mode} {lam!r} {power!r} {ratio!r} {alpha!r}"]
    lines += [f"doc {a!r} {b!r} {c} {o!r}" for (a, b, c), o in zip(docs, omega.tolist())]
    return lines + [f"fit {float(q)!r} {float(gbar)!r} {float(ess)!r} {float(d_mean)!r}"]


def main():
    # authority and entropy of the thirteen source types of the original system, with uneven lengths
    types = [(0.05, 7.0), (0.08, 7.5), (0.10, 6.0), (0.10, 6.5), (0.12, 6.0), (0.15, 6.0), (0.50, 3.5), (0.55, 3.2),
             (0.60, 3.0), (0.75, 1.5), (0.85, 1.2), (0.90, 1.0), (0.95, 0.5)]
    priors = [(w, h, 3 + 7 * i % 40) for i, (w, h) in enumerate(types)]
    rng = np.random.default_rng(1)
    many = [(round(float(rng.uniform(0, 0.99)), 3), round(float(rng.exponential(3)), 3), int(rng.integers(1, 60)))
            for _ in range(150)]
    two = [(0.99, 0.0, 99), (0.0, 8.0, 1)]  # exactly 99 % of the tokens lie at the lower value
    edge = [(0.99, 0.0, 98), (0.0, 8.0, 1)]  # 98.99 %: the upper one is needed
    lines = ["# written by tools/objective_golden.py"]
    for docs in (priors, many, two, edge, [(0.5, 2.0, 7)]):
        for mode, lam, power, ratio, alpha in (("monotone", 1.0, 2.0, 32.0, 2.7), ("monotone", 0.5, 2.0, 32.0, 2.3),
                                               ("monotone", 1.0, 1.0, 4.0, 3.0), ("monotone", 0.25, 3.5, 1000.0, 2.7),
                                               ("published", 1.0, 2.0, 32.0, 2.7), ("published", 0.7, 2.0, 8.0, 2.7),
                                               ("monotone", 0.0, 2.0, 32.0, 2.7), ("monotone", 1.0, 2.0, 1.0, 2.7)):
            lines += case(mode, lam, power, ratio, alpha, docs)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
