#!/usr/bin/env python3
"""Two builds of bench_step against each other, in turns, so that a machine whose speed drifts moves both alike.

  compare_builds.py BEFORE AFTER MODEL_FOLDER [--pairs 10] [--steps 3] [--threads 2] [--libraries DIR]
                    [--modes f32,int8x2,recomputed,bf16]

For f32, int8x2, f32 with blocks recomputed and bf16 (or those of --modes): tokens a second by wall time and processor seconds a
token of each build, the ratio AFTER / BEFORE of every pair as mean and 95 % interval (Student's t), and the largest peak of resident
memory. Fails when an interval of the speed lies wholly below 0.98, or a peak is above 1.02 times the other. Losses of both builds are
printed: they must agree."""
import argparse
import json
import math
import os
import statistics
import subprocess
import sys

MODES = {"f32": ["f32"], "int8x2": ["int8x2"], "recomputed": ["checkpoint", "f32"], "bf16": ["bf16"]}
T95 = {9: 2.262, 10: 2.228, 11: 2.201, 14: 2.145, 19: 2.093}  # by degrees of freedom


def run(program, options, mode):
    env = dict(os.environ)
    if options.libraries:
        env["LD_LIBRARY_PATH"] = options.libraries
    command = [program, options.folder, str(options.steps), str(options.threads), *MODES[mode]]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout.strip().split("\n")[-1])
    return {"wall": result["tokens_per_second"], "cpu": min(result["cpu_seconds"]) / result["tokens_per_step"],
            "peak": result["peak_rss_bytes"], "loss": result.get("losses", result.get("loss"))}


def interval(ratios):
    mean, n = statistics.mean(ratios), len(ratios)
    half = T95.get(n - 1, 2.3) * statistics.stdev(ratios) / math.sqrt(n)
    return mean, mean - half, mean + half


def compare(mode, options):
    pairs = []
    for i in range(options.pairs):
        order = [options.before, options.after] if i % 2 == 0 else [options.after, options.before]
        by = {program: run(program, options, mode) for program in order}
        pairs.append((by[options.before], by[options.after]))
    speed = interval([a["wall"] / b["wall"] for b, a in pairs])
    cpu = interval([b["cpu"] / a["cpu"] for b, a in pairs])
    peak = max(a["peak"] for _, a in pairs) / max(b["peak"] for b, _ in pairs)
    record = {"mode": mode, "pairs": options.pairs, "threads": options.threads, "speed_ratio": speed, "cpu_ratio": cpu,
              "peak_ratio": peak, "before_tokens_per_second": statistics.median(b["wall"] for b, _ in pairs),
              "after_tokens_per_second": statistics.median(a["wall"] for _, a in pairs),
              "losses": [pairs[0][0]["loss"], pairs[0][1]["loss"]]}
    bad = speed[2] < 0.98 or cpu[2] < 0.98 or peak > 1.02
    print("%-24s speed %.3f (%.3f to %.3f), processor time %.3f (%.3f to %.3f), peak %.3f: %s" %
          (mode, *speed, *cpu, peak, "WORSE" if bad else "ok"), file=sys.stderr)
    return record, bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("folder")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--libraries")
    parser.add_argument("--modes", default=",".join(MODES))
    options = parser.parse_args()
    modes = options.modes.split(",")
    if unknown := [mode for mode in modes if mode not in MODES]:
        parser.error("no mode %s; there are %s" % (unknown[0], ", ".join(MODES)))
    done = [compare(mode, options) for mode in modes]
    print(json.dumps([record for record, _ in done], indent=1))
    return 1 if any(bad for _, bad in done) else 0


if __name__ == "__main__":
    sys.exit(main())
