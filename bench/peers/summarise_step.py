#!/usr/bin/env python3
"""Makes one result file of the JSON lines that run_step.sh collected, and checks that both sides computed the same.

usage: summarise_step.py LINES OUT. Rates are medians over runs of each run's fastest step (the first is warm-up), with the
lowest and highest beside them. Exit 1 when losses or gradient norms of what should be the same computation differ by more than
1e-3 of their size: ours in f32 and the peers' in f32; int8x2 and f32 on the same int8 weights. The int8 base is another model than the
file's, so its losses are only reported.
"""
import datetime
import json
import sys

from machine_info import machine, spread

TOLERANCE = 1e-3


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
    ours = [name for name in names if name.startswith("your_ai")]
    peers = [name for name in names if name not in ours]
    best = max(peers, key=lambda name: sides[name]["tokens_per_second"]["median"])
    pairs = [(sides[a], sides[b]) for a in ours if a.split()[1] == "f32" for b in peers if not b.endswith("-bf16")]
    pairs += [(sides[a], sides["your_ai f32-on-int8"]) for a in ours if a.split()[1] == "int8x2"]
    file_f32 = sides["your_ai f32"]
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "shape": "SmolLM2-135M, LoRA r=16 on 7 linear layers, B=4, T=512, bf16 stored weights, %d threads; the int8 base is made from them at "
                 "load" % runs[0]["threads"],
        "sides": sides,
        "fastest_peer": best,
        "worst_loss_difference": max(worst(a["losses"], b["losses"]) for a, b in pairs),
        "worst_grad_norm_difference": max(worst(a["grad_norms"], b["grad_norms"]) for a, b in pairs),
    }
    for name in ours:
        result[name] = {
            "loss_difference_to_f32": worst(sides[name]["losses"], file_f32["losses"]),
            "grad_norm_difference_to_f32": worst(sides[name]["grad_norms"], file_f32["grad_norms"]),
            "tokens_per_second_to_fastest_peer":
                sides[name]["tokens_per_second"]["median"] / sides[best]["tokens_per_second"]["median"],
            "tokens_per_cpu_second_to_fastest_peer":
                sides[name]["tokens_per_cpu_second"]["median"] / sides[best]["tokens_per_cpu_second"]["median"],
            "peak_rss_to_fastest_peer": sides[name]["peak_rss_bytes"] / sides[best]["peak_rss_bytes"],
        }
    with open(out, "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    print(json.dumps({k: v for k, v in result.items() if k not in ("sides", "machine")}, indent=1))
    agree = max(result["worst_loss_difference"], result["worst_grad_norm_difference"]) <= TOLERANCE
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
