"""Reference numbers of schedule, clipping and AdamW for tests/train, from numpy and torch.

usage: python tools/gen_train_golden.py > tests/data/train/golden_train.json

The schedule and the clipping are written down here once more from their definitions in docs/train.md, in the plainest form;
AdamW is torch.optim.AdamW in float32 (torch 2.x), so it is independent of the program in every respect.
"""

import json
import math

import numpy as np
import torch


def schedule(kind, peak, ratio, warmup, total):
    rates = []
    for step in range(1, total + 1):
        if step <= warmup:
            rates.append(peak * step / warmup)
            continue
        span = total - warmup - 1
        p = (step - warmup - 1) / span if span > 0 else 0.0
        low = peak * ratio
        if kind == "cosine":
            rates.append(low + (peak - low) * (1 + math.cos(math.pi * p)) / 2)
        elif kind == "linear":
            rates.append(peak * (1 - p) + low * p)
        else:
            rates.append(peak)
    return {"kind": kind, "peak": peak, "ratio": ratio, "warmup": warmup, "total": total, "rates": rates}


def clipping(rng, steps, c):
    """Log-normal norms with outliers, weights between 0.1 and 10."""
    norms = np.exp(rng.normal(0.0, 0.7, steps)) * np.where(rng.random(steps) < 0.05, 50.0, 1.0)
    omegas = np.exp(rng.uniform(math.log(0.1), math.log(10.0), steps))
    norms = norms * omegas
    seen, thresholds, scales = [], [], []
    for norm, omega in zip(norms, omegas):
        median = float(np.median(seen[-100:])) if seen else 0.0
        threshold = omega * max(c, 4 * median)
        thresholds.append(threshold)
        scales.append(min(1.0, threshold / norm))
        seen.append(norm / omega)
    return {"c": c, "norms": norms.tolist(), "omegas": omegas.tolist(), "thresholds": thresholds, "scales": scales}


def adamw(rng, n, steps):
    options = {"lr": 1e-2, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.05}
    start = rng.normal(0, 1, n).astype(np.float32)
    grads = rng.normal(0, 1, (steps, n)).astype(np.float32) * np.float32(0.1)
    p = torch.nn.Parameter(torch.tensor(start.copy()))
    optimizer = torch.optim.AdamW([p], **options, foreach=False)
    path = []
    for g in grads:
        p.grad = torch.tensor(g)
        optimizer.step()
        path.append(p.detach().numpy().astype(float).tolist())
    return {
        "lr": options["lr"],
        "beta1": 0.9,
        "beta2": 0.99,
        "eps": 1e-8,
        "weight_decay": 0.05,
        "start": start.astype(float).tolist(),
        "grads": grads.astype(float).tolist(),
        "params": path,
    }


rng = np.random.default_rng(7)
print(
    json.dumps(
        {
            "schedules": [
                schedule("cosine", 2e-4, 0.1, 3, 30),
                schedule("linear", 1e-3, 0.0, 0, 10),
                schedule("constant", 0.5, 0.1, 4, 9),
                schedule("cosine", 1.0, 0.0, 5, 5),
                schedule("cosine", 1.0, 0.0, 0, 1),
            ],
            "clip": clipping(rng, 260, 1.0),
            "adamw": adamw(rng, 37, 12),
        }
    )
)
