#!/usr/bin/env python3
"""The speeds that `your_ai plan` tells against the steps of `your_ai train`, over models, arithmetics, lengths and recomputation.

  plan_against_time.py YOUR_AI FOLDER [--model FILE.gguf] [--setups 5] [--steps 5] [--threads 2] [--nice -15]

FOLDER gets random models (`your_ai init`), rows and a profile of this machine: medians of what --setups calls of `your_ai setup`
measured. For each combination: `predicted` is what plan says from that profile; `calibrated` what it measures on the run's own
micro-batches (median); `step` is the median of --steps steps of a real training behind its first, by the clock, and `quiet_step` the
processor time of those steps divided by the threads, which other work on the machine does not make longer. All are tokens a second.
Fails unless prediction and calibration are within 20 % of the quiet step in time. Prints one JSON line a combination."""
import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys

# model ("": --model), arithmetic, base type, max length, batch, gradient checkpointing
COMBINATIONS = [
    ("", "f32", "as-is", 256, 2, "off"),
    ("", "bf16", "as-is", 256, 2, "off"),
    ("", "int8x2", "int8", 256, 2, "off"),
    ("", "bf16", "as-is", 512, 4, "off"),
    ("", "bf16", "as-is", 512, 4, "on"),
    ("qwen2.5-0.5b", "f32", "as-is", 256, 1, "off"),
    ("qwen2.5-0.5b", "bf16", "as-is", 512, 1, "on"),
    ("qwen2.5-0.5b", "int8x2", "int8", 256, 2, "off"),
    ("tinyllama", "f32", "as-is", 128, 1, "off"),
    ("tinyllama", "bf16", "as-is", 256, 1, "on"),
    ("tinyllama", "int8x2", "int8", 256, 1, "off"),
]


def call(o, words, **more):
    command = ["nice", "-n", str(o.nice), o.program, *words]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "XDG_CONFIG_HOME": o.folder}, check=False, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def medians(values):  # of numbers, or of lists and objects of them, member by member; of anything else the first
    first = values[0]
    if isinstance(first, dict):
        return {k: medians([v[k] for v in values]) for k in first}
    if isinstance(first, list):
        return [medians(list(v)) for v in zip(*values)]
    return statistics.median(values) if isinstance(first, float) else first


def make_profile(o):
    path = os.path.join(o.folder, "your_ai", "machine.json")
    profiles = []
    for _ in range(o.setups):
        call(o, ["setup", "--threads", str(o.threads)])
        with open(path, encoding="utf-8") as f:
            profiles.append(json.load(f))
    with open(path, "w", encoding="utf-8") as f:
        json.dump(medians(profiles), f)
    return [p["step_f32"] / 1e9 for p in profiles]


def children_seconds():
    t = os.times()
    return t.children_user + t.children_system


def train(o, options, steps):  # processor seconds of the call, and what timing.jsonl says of each step
    run = os.path.join(o.folder, "run")
    shutil.rmtree(run, ignore_errors=True)
    before = children_seconds()
    call(o, ["train", *options, "-o", run, "--max-steps", str(steps), "--save-every", "0"])
    spent = children_seconds() - before
    with open(os.path.join(run, "timing.jsonl"), encoding="utf-8") as f:
        return spent, [json.loads(line) for line in f]


def measure(o, model, compute, base, length, batch, checkpoint):
    path = os.path.join(o.folder, model) if model else o.model
    options = ["-m", path, "-d", os.path.join(o.folder, "rows.jsonl"), "--compute", compute, "--base-type", base, "--max-length",
               str(length), "--batch", str(batch), "--rank", "16", "--grad-checkpoint", checkpoint, "--threads", str(o.threads)]
    page = call(o, ["plan", *options, "--max-steps", "5"])
    found = re.search(r"at (\d+) tokens/s \(measured.*?\n.*?: (\d+) tokens/s", page, re.S)
    if not found:
        sys.exit(f"no speeds on the page:\n{page}")
    calibrated, predicted = float(found.group(1)), float(found.group(2))
    few, _ = train(o, options, 1)
    many, timing = train(o, options, 1 + o.steps)
    tokens = length * batch
    quiet = tokens * o.steps * o.threads / (many - few)
    step = statistics.median(t["tokens_per_s"] for t in timing[1:])
    return {"model": model or os.path.basename(path), "compute": compute, "base": base, "length": length, "batch": batch,
            "checkpoint": checkpoint, "predicted": predicted, "calibrated": calibrated, "step": round(step, 1), "quiet_step": round(quiet, 1),
            "time_predicted_to_calibrated": round(calibrated / predicted, 3), "time_predicted_to_quiet_step": round(quiet / predicted, 3),
            "time_calibrated_to_quiet_step": round(quiet / calibrated, 3),
            "ok": 0.8 <= calibrated / predicted <= 1.2 and 0.8 <= quiet / predicted <= 1.2 and 0.8 <= quiet / calibrated <= 1.2}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("folder")
    parser.add_argument("--model")
    parser.add_argument("--setups", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--nice", type=int, default=0)
    o = parser.parse_args()
    os.makedirs(o.folder, exist_ok=True)
    with open(os.path.join(o.folder, "rows.jsonl"), "w", encoding="utf-8") as f:
        for i in range(100):
            f.write(json.dumps({"text": f"row {i} " + "abc defg " * 2500}) + "\n")
    print(json.dumps({"setups_step_f32_gflops": make_profile(o)}), flush=True)
    bad = 0
    for combination in COMBINATIONS:
        model = combination[0]
        if not model and not o.model:
            continue
        if model and not os.path.isdir(os.path.join(o.folder, model)):
            call(o, ["init", "--like", model, "-o", os.path.join(o.folder, model)])
        result = measure(o, *combination)
        print(json.dumps(result), flush=True)
        bad += not result["ok"]
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
