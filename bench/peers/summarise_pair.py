#!/usr/bin/env python3
"""Makes one result file of what run_generate.sh or run_mlx.sh collected in a folder: ours (or ours-COMPUTE, several), theirs (a JSON
line a run), loads.

usage: summarise_pair.py generate|train FOLDER OUT. Rates are medians over runs, with the lowest and highest beside them, and
ratios are medians of the ratio of each pair of neighbouring runs. train: exit 1 when the losses of the first step differ by
more than 1e-3 of their size.
"""
import datetime
import json
import os
import sys

from machine_info import machine, spread

PHASES = {"generate": ["prompt", "decode"], "train": ["train"]}
TOLERANCE = 1e-3


def read(folder, name):
    with open(os.path.join(folder, name)) as file:
        return [json.loads(line) for line in file if line.strip()]


def side(runs, phases):
    first = runs[0]
    out = {"version": first.get("version", first.get("backend"))}
    if "build" in first:
        out["build"] = first["build"]
    for name in phases:
        out[name] = {"tokens": first[name]["tokens"],
                     "tokens_per_second": spread([r[name]["tokens_per_second"] for r in runs]),
                     "cpu_seconds_per_token": spread([r[name]["cpu_seconds_per_token"] for r in runs])}
    return out


def ratios(pairs):
    return {"tokens_per_second": spread([a["tokens_per_second"] / b["tokens_per_second"] for a, b in pairs]),
            "tokens_per_cpu_second": spread([b["cpu_seconds_per_token"] / a["cpu_seconds_per_token"] for a, b in pairs])}


def same_start(a, b):
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return n


def main():
    kind, folder, out = sys.argv[1:]
    phases = PHASES[kind]
    theirs, loads = read(folder, "theirs"), read(folder, "loads")
    result = {"date": datetime.date.today().isoformat(), "machine": machine(), "load_average_before": loads,
              "theirs": side(theirs, phases)}
    agree = True
    for file in sorted(os.listdir(folder)):
        if not file.startswith("ours"):
            continue
        ours = read(folder, file)
        mine = result[file] = side(ours, phases)
        result["threads"] = ours[0]["threads"]
        for name in phases:
            mine[name + "_ratio"] = ratios([(a[name], b[name]) for a, b in zip(ours, theirs)])
        if kind == "generate":
            mine["read_gbps"] = spread([r["machine"]["read_gbps"] for r in ours])
            mine["decode_read_share"] = spread([r["decode"]["read_share"] for r in ours])
            mine["same_ids_from_the_start"] = same_start(ours[0]["decode"]["ids"], theirs[0]["ids"])
    if kind == "train":
        a, b = ours[0]["train"]["loss"], theirs[0]["train"]["loss"]
        result["loss"] = {"ours": a, "theirs": b, "difference": abs(a - b) / abs(b)}
        result["work"] = theirs[0]["work"]
        agree = result["loss"]["difference"] <= TOLERANCE
    with open(out, "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    print(json.dumps(result, indent=1))
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
