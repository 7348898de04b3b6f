#!/usr/bin/env python3
"""Rates of `your_ai data score` beside the original's algorithm in Python, in one run on one corpus (make_corpus.sh). The peer gets
the first rows only, as it is slow, and its results for them are compared with --compat. Seconds of the processor are given
beside those of the clock: on a machine that others use, the former are the ones to compare.

usage: run_score.py PROGRAM CORPUS.jsonl OUT.json [ROWS of the peer, default 1000]"""
import hashlib
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "peers"))
from machine_info import machine, spread  # noqa: E402
from run_program import read_rows, record, timed  # noqa: E402

RUNS = 5


def rates(program, corpus, out, size, arguments):
    runs = []
    for _ in range(RUNS):
        for path in (out, out + ".manifest.json"):
            if os.path.exists(path):
                os.remove(path)
        runs.append(timed([program, "data", "score", "-q", corpus, "-o", out] + arguments))
    digest = hashlib.sha256()  # in pieces: a large process of ours would count as a child's peak before it becomes the program
    with open(out, "rb") as f:
        while piece := f.read(1 << 20):
            digest.update(piece)
    return {
        "arguments": " ".join(arguments),
        "MB_per_s": spread([round(size / wall / 1e6, 1) for wall, _, _, _ in runs]),
        "MB_per_cpu_s": spread([round(size / cpu / 1e6, 1) for _, cpu, _, _ in runs]),
        "peak_MB": round(runs[-1][2] / 1024, 1),
        "output_sha256": digest.hexdigest(),
    }


def peer(program, corpus, folder, rows):
    first, theirs, ours = (os.path.join(folder, name) for name in ("first.jsonl", "theirs.jsonl", "ours.jsonl"))
    with open(corpus, "rb") as f, open(first, "wb") as g:
        for _, line in zip(range(rows), f):
            g.write(line)
    result = subprocess.run([sys.executable, os.path.join(HERE, "..", "peers", "score_python.py"), first, theirs], check=True, stderr=subprocess.PIPE)
    subprocess.run([program, "data", "score", "-q", "--compat", first, "-o", ours], check=True)
    differ = 0
    for x, y in zip(read_rows(theirs), read_rows(ours)):
        differ += any(abs(x[k] - y[k]) > 1.01e-6 for k in ("auth_weight", "prov_entropy"))
    said = json.loads(result.stderr)
    return {
        "python": sys.version.split()[0],
        "rows": said["rows"],
        "MB": round(said["bytes"] / 1e6, 2),
        "MB_per_s": round(said["bytes"] / said["seconds"] / 1e6, 3),
        "MB_per_cpu_s": round(said["bytes"] / said["cpu_seconds"] / 1e6, 3),
        "rows_that_differ_from_compat": differ,
    }


def main():
    program, corpus, out = sys.argv[1:4]
    rows = int(sys.argv[4]) if len(sys.argv) > 4 else 1000
    size = os.path.getsize(corpus)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(corpus))) as folder:
        scored = os.path.join(folder, "scored.jsonl")
        result = {
            "machine": machine(),
            "load": os.getloadavg()[0],
            "corpus": {"MB": round(size / 1e6, 1), "made_by": "bench/score/make_corpus.sh, the first rows"},
            "citation": [rates(program, corpus, scored, size, a) for a in (["-t", "1"], ["-t", "2"], ["-t", "1", "--no-breakdown"])],
            "heuristic": rates(program, corpus, scored, size, ["-t", "1", "--scorer", "heuristic"]),
            "original_in_python": peer(program, corpus, folder, rows),
        }
    one = result["citation"][0]["MB_per_cpu_s"]["median"]
    result["times_the_original"] = round(one / result["original_in_python"]["MB_per_cpu_s"], 1)
    record(out, result)


if __name__ == "__main__":
    main()
