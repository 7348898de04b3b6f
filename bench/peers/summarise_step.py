#!/usr/bin/env python3
"""Makes one result file of the JSON lines that run_step.sh collected, and checks that both sides computed the same.

usage: summarise_step.py LINES OUT. Rates are medians over runs of each run's fastest step (the first is warm-up), with the
lowest and highest beside them. Exit 1 when losses or gradient norms differ by more than 1e-3 of their size.
"""
import datetime
import json
import os
import platform
import statistics
import sys

TOLERANCE = 1e-3


def cpu_name():
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "runs": len(values)}


def side(runs):
    tokens = runs[0]["tokens_per_step"]
    return {
        "tokens_per_second": spread([r["tokens_per_second"] for r in runs]),
        "tokens_per_cpu_second": spread([tokens / min(r["cpu_seconds"]) for r in runs]),
        "peak_rss_bytes": max(r["peak_rss_bytes"] for r in runs),
        "losses": runs[0]["losses"],
        "grad_norms": runs[0]["grad_norms"],
        "load_average_before": [r["load_average"] for r in runs],
        "version": runs[0].get("torch", runs[0].get("backend")),
    }


def worst(a, b):
    return max(abs(x - y) / abs(y) for x, y in zip(a, b))


def main():
    lines, out = sys.argv[1:]
    with open(lines) as file:
        runs = [json.loads(line) for line in file if line.strip()]
    names = sorted({r["peer"] for r in runs})
    sides = {name: side([r for r in runs if r["peer"] == name]) for name in names}
    ours = sides["your_ai"]
    peers = [name for name in names if name != "your_ai"]
    best = max(peers, key=lambda name: sides[name]["tokens_per_second"]["median"])
    leanest = min(peers, key=lambda name: sides[name]["peak_rss_bytes"])
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": {"cpu": cpu_name(), "cores": os.cpu_count(), "kernel": platform.release()},
        "shape": "SmolLM2-135M, LoRA r=16 on 7 linears, B=4, T=512, f32 compute, bf16 stored weights, 2 threads",
        "sides": sides,
        "fastest_peer": best,
        "speed_ratio": ours["tokens_per_second"]["median"] / sides[best]["tokens_per_second"]["median"],
        "cpu_time_ratio": ours["tokens_per_cpu_second"]["median"] / max(
            sides[p]["tokens_per_cpu_second"]["median"] for p in peers),
        "memory_ratio_to_fastest": ours["peak_rss_bytes"] / sides[best]["peak_rss_bytes"],
        "memory_ratio_to_leanest": ours["peak_rss_bytes"] / sides[leanest]["peak_rss_bytes"],
        "worst_loss_difference": max(worst(ours["losses"], sides[p]["losses"]) for p in peers),
        "worst_grad_norm_difference": max(worst(ours["grad_norms"], sides[p]["grad_norms"]) for p in peers),
    }
    with open(out, "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    print({k: v for k, v in result.items() if "ratio" in k or "worst" in k or k == "fastest_peer"})
    agree = max(result["worst_loss_difference"], result["worst_grad_norm_difference"]) <= TOLERANCE
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
