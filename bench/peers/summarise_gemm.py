#!/usr/bin/env python3
"""Makes OUT.json and a table OUT.md of what run_gemm.sh collected in a folder: result (of bench_gemm), loads.

usage: summarise_gemm.py FOLDER OUT. The table has the best rate of each cell and its share of the machine's multiply-adds of
that kind; the JSON has medians too. Exit 1 when OpenBLAS took a kernel that makes no use of AVX2.
"""
import datetime
import json
import os
import sys

from machine_info import machine

GOOD_CORES = {"Haswell", "Zen", "SkylakeX", "Cooperlake", "SapphireRapids"}
INTEGER = {"int8, int8x2", "int8, int8", "onednn gemm_u8s8s32"}


def ceiling(result, kind):
    """Of one thread and of all. One thread reaches at least its share of what all reached; a lower figure was disturbed."""
    one, everyone = result[kind]
    return max(one, everyone / result["threads"]), everyone


def table(result, threads, index):
    cells = [c for c in result["results"] if c["threads"] == threads]
    names = list(dict.fromkeys(c["name"] for c in cells))
    rates = {(c["k"], c["n"], c["result"], c["name"]): c["best"] for c in cells}
    ceilings = {kind: ceiling(result, kind) for kind in ("fma_gflops", "int_gops")}
    peaks = {name: ceilings["int_gops" if name in INTEGER else "fma_gflops"][index] for name in names}
    lines = ["| K, N | | " + " | ".join(names) + " |", "|---|---|" + "---|" * len(names)]
    for key in dict.fromkeys((c["k"], c["n"], c["result"]) for c in cells):
        row = [f"{rates[key + (name,)]:.0f} ({100 * rates[key + (name,)] / peaks[name]:.0f})" for name in names]
        lines.append(f"| {key[0]}, {key[1]} | {key[2]} | " + " | ".join(row) + " |")
    return lines


def page(result):
    ours = "of ours by the form of W and, for int8, how it is computed"
    fma, integer = ceiling(result, "fma_gflops"), ceiling(result, "int_gops")
    lines = [f"T = {result['tokens']}; y = x W^T, dx = dy W; {result['backend']}; {result['machine']['cpu']}, {result['date']}, load "
             f"average {result['load_average'][0]} before. Best rates in GFLOP/s, {ours}; in brackets percent of the measured "
             f"multiply-adds of f32 ({fma[0]:.0f} on one thread, {fma[1]:.0f} on all), of 16-bit "
             f"integers for integer products ({integer[0]:.0f}, {integer[1]:.0f}; onednn's u8s8 multiplies bytes, which can be faster). Peers: "
             + "; ".join(f"{p['name']} ({p['version']}, kernel {p['kernel']})" for p in result["peers"]) + "."]
    lines += ["", "One thread, processor time:", ""] + table(result, 1, 0)
    if result["threads"] > 1:
        lines += ["", f"{result['threads']} threads, wall time:", ""] + table(result, result["threads"], 1)
    return "\n".join(lines) + "\n"


def main():
    folder, out = sys.argv[1:]
    with open(os.path.join(folder, "result")) as file:
        result = json.load(file)
    with open(os.path.join(folder, "loads")) as file:
        loads = [float(line) for line in file]
    result = {"date": datetime.date.today().isoformat(), "machine": machine(), "load_average": loads, **result}
    with open(out + ".json", "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    with open(out + ".md", "w") as file:
        file.write(page(result))
    print(page(result))
    wrong = [p for p in result["peers"] if p["name"].startswith("openblas") and p["kernel"] not in GOOD_CORES]
    for peer in wrong:
        print(f"OpenBLAS took its {peer['kernel']} kernel: its rates say nothing", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
