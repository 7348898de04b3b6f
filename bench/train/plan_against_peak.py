#!/usr/bin/env python3
"""The memory plan of `your_ai train` against what the system says that the run took, over shapes, lengths, batches, recomputation,
base types and target modules.

  plan_against_peak.py YOUR_AI FOLDER [--steps 2] [--threads 2]

FOLDER gets random models (`your_ai init`) and rows. Measured is the peak of anonymous memory (RssAnon, read every 2 ms) plus the
weights' bytes; planned is the "in all" of the page before step 1. Fails unless every plan is at least what was taken, and at most
5 % or 8 MiB above, whichever is larger. Prints one JSON line a combination."""
import argparse
import json
import os
import re
import subprocess
import sys
import time

MIB = 1 << 20
# model, max length, batch, further options
COMBINATIONS = [
    ("smollm2-135m", 256, 1, []),
    ("smollm2-135m", 512, 4, ["--grad-checkpoint", "off"]),
    ("smollm2-135m", 512, 4, ["--grad-checkpoint", "on"]),
    ("smollm2-135m", 1024, 1, ["--recomputed-blocks", "10"]),
    ("smollm2-135m", 512, 2, ["--base-type", "nf4"]),
    ("smollm2-135m", 512, 2, ["--base-type", "int8"]),
    ("smollm2-135m", 512, 2, ["--targets", "q_proj,v_proj"]),
    ("smollm2-135m", 512, 2, ["--last-layers", "8", "--rank", "32"]),
    ("smollm2-135m", 2048, 1, ["--grad-checkpoint", "on", "--targets", "gate_proj,up_proj,down_proj"]),
    ("qwen2.5-1.5b", 128, 1, ["--grad-checkpoint", "on", "--rank", "4"]),
    ("tinyllama", 128, 1, ["--grad-checkpoint", "on"]),
    ("tinyllama", 256, 1, ["--base-type", "nf4", "--last-layers", "4"]),
    ("tinyllama", 128, 2, ["--recomputed-blocks", "20", "--targets", "q_proj,k_proj,v_proj,o_proj"]),
]


def anonymous(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            found = re.search(r"RssAnon:\s+(\d+) kB", f.read())
            return int(found.group(1)) * 1024 if found else 0
    except (FileNotFoundError, ProcessLookupError):
        return 0


def item(text, name):  # bytes of a line of the page; it shows a tenth of a MiB
    found = re.search(r"^\s*%s\s+([0-9.]+) MiB" % re.escape(name), text, re.M)
    if not found:
        sys.exit(f"no line '{name}' on the page:\n{text}")
    return float(found.group(1)) * MIB


def measure(options, number, model, length, batch, extra):
    run = os.path.join(options.folder, f"run-{number}")
    command = [options.program, "train", "-m", os.path.join(options.folder, model), "-d", os.path.join(options.folder, "rows.jsonl"),
               "-o", run, "--max-length", str(length), "--batch", str(batch), "--max-steps", str(options.steps), "--threads",
               str(options.threads), *([] if "--rank" in extra else ["--rank", "16"]), *extra]
    with open(run + ".txt", "w+", encoding="utf-8") as page:
        process = subprocess.Popen(command, stdout=page, stderr=subprocess.STDOUT)
        peak = 0
        while process.poll() is None:
            peak = max(peak, anonymous(process.pid))
            time.sleep(0.002)
        page.seek(0)
        text = page.read()
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{text}")
    weights, planned = item(text, "base weights"), item(text, "in all")
    mapped = weights
    if "--base-type" in extra:  # prepared weights are anonymous memory; nf4 leaves embeddings and head in the file
        with open(os.path.join(options.folder, model, "config.json"), encoding="utf-8") as f:
            config = json.load(f)
        tables = 1 if config.get("tie_word_embeddings") else 2
        mapped = tables * config["vocab_size"] * config["hidden_size"] * 2 if "nf4" in extra else 0
    taken = peak + mapped
    return {"model": model, "length": length, "batch": batch, "options": " ".join(extra), "planned_mib": planned / MIB,
            "taken_mib": taken / MIB, "mapped_mib": mapped / MIB, "ratio": planned / taken,
            "ok": taken <= planned and planned - taken <= max(0.05 * taken, 8 * MIB)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("folder")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    with open(os.path.join(options.folder, "rows.jsonl"), "w", encoding="utf-8") as f:
        for i in range(200):
            f.write(json.dumps({"text": f"row {i} " + "abc defg " * 2500}) + "\n")
    bad = 0
    for number, (model, length, batch, extra) in enumerate(COMBINATIONS):
        if not os.path.isdir(os.path.join(options.folder, model)):
            subprocess.run([options.program, "init", "--like", model, "-o", os.path.join(options.folder, model)], check=True,
                           stdout=subprocess.DEVNULL)
        result = measure(options, number, model, length, batch, extra)
        print(json.dumps(result), flush=True)
        bad += not result["ok"]
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
