#!/usr/bin/env python3
"""Makes one result file of the runs that compare_compute.sh made. usage: summarise_compute.py FOLDER OUT COMMIT"""
import datetime
import json
import sys

from machine_info import machine

RUNS = ("as-is", "bf16", "int8-f32", "int8-int8x2", "int8-int8")


def read(folder, name):
    with open("%s/%s/metrics.jsonl" % (folder, name)) as file:
        rows = [json.loads(line) for line in file]
    with open("%s/%s/config.json" % (folder, name)) as file:
        config = json.load(file)
    steps = [r for r in rows if "grad_norm" in r]
    evals = [r for r in rows if "grad_norm" not in r]
    return {"base": config["base-type"], "compute": config["compute"], "steps": len(steps),
            "first_loss": steps[0]["loss"], "first_grad_norm": steps[0]["grad_norm"],
            "last_20_losses_mean": sum(r["loss"] for r in steps[-20:]) / len(steps[-20:]),
            "validation_loss": evals[-1]["valid_loss"], "trained_tokens": sum(r["trained_tokens"] for r in steps),
            "validation_tokens": evals[-1]["valid_trained_tokens"]}


def main():
    folder, out, commit = sys.argv[1:]
    runs = {name: read(folder, name) for name in RUNS}
    for run in runs.values():
        for against in ("int8-f32", "as-is"):
            run["validation_relative_to_" + against] = run["validation_loss"] / runs[against]["validation_loss"] - 1
    with open(folder + "/step.json") as file:
        step = json.load(file)
    result = {"date": datetime.date.today().isoformat(), "commit": commit, "machine": machine(), "text": "README.md, docs/*.md",
              "training": runs, "one_step": step}
    with open(out, "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    for name in RUNS:
        r = runs[name]
        print("%-12s validation %.5f  against f32 on int8 %+.4f %%  against the file's weights %+.4f %%" % (
            name, r["validation_loss"], 100 * r["validation_relative_to_int8-f32"], 100 * r["validation_relative_to_as-is"]))


main()
