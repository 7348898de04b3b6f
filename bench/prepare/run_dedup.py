#!/usr/bin/env python3
"""`data dedup` beside datasketch (which pairs are found) and rensa (how fast), in one run on one corpus (bench/score/make_corpus.sh)
to which near copies were added, one of every fourth text: in the arm `copies` with 0.1 to 0.5 % of its words replaced, in the arm
`border` with 1 to 4 %, which with shingles of five words is a similarity on both sides of the threshold; in both, every fourth of
them with 30 %.

The truth are the pairs whose exact similarity, counted over all pairs of texts with their sets of shingles, reaches the threshold. Both
programs are held against it. datasketch judges by its estimate, so around the threshold its answers are chance: `datasketch with
another seed against datasketch` is the most that any other program can agree with it.

Words and shingles are those of src/prepare/minhash.h in all three, and permutations and threshold are the same. Pairs: rows in one
connected group, for the truth as well; datasketch's edges are candidates of its LSH whose estimate reaches the threshold. Seconds are
the processor's, one thread each.

usage: run_dedup.py PROGRAM CORPUS.jsonl OUT.json [ROWS, default 3000]        needs datasketch, rensa and numpy"""
import importlib.metadata
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time

import numpy
from datasketch import MinHash, MinHashLSH
from rensa import RMinHash, RMinHashLSH

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers"))
from machine_info import machine, spread  # noqa: E402
from run_program import read_rows, record, timed, write_rows  # noqa: E402

PERMUTATIONS, THRESHOLD, SHINGLE, RUNS = 128, 0.8, 5, 3
WORD = re.compile(r"[a-z0-9\u0080-\u2fff\ue000-\U0010ffff]+|[\u3000-\udfff]")


def shingles(text):
    words = WORD.findall("".join(chr(ord(c) | 32) if "A" <= c <= "Z" else c for c in text))
    return {" ".join(words[i:i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1))} if words else set()


ARMS = {"copies": (0.001, 0.002, 0.003, 0.005), "border": (0.01, 0.015, 0.02, 0.03, 0.04)}


def make_rows(corpus, rows, shares):
    random.seed(1)
    texts = [row["text"] for row, _ in zip(read_rows(corpus), range(rows))]
    for i in range(0, len(texts), 4):
        words, share = texts[i].split(" "), 0.3 if i % 16 == 4 else random.choice(shares)
        for _ in range(int(share * len(words)) + 1):
            words[random.randrange(len(words))] = f"other{random.randrange(10**6)}"
        texts.append(" ".join(words))
    random.shuffle(texts)
    return texts


def pairs_of(edges, n):
    parent = list(range(n))

    def find(i):
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, k in edges:
        parent[find(i)] = find(k)
    groups = {}
    for i in range(n):
        groups.setdefault(find(i), []).append(i)
    return {(g[a], g[b]) for g in groups.values() for a in range(len(g)) for b in range(a + 1, len(g))}


def by_datasketch(sets, seed=1):
    lsh, made, edges = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS), [], []
    for i, s in enumerate(sets):
        m = MinHash(num_perm=PERMUTATIONS, seed=seed)
        if s:
            m.update_batch([x.encode() for x in s])
            edges += [(i, k) for k in lsh.query(m) if m.jaccard(made[k]) >= THRESHOLD]
            lsh.insert(i, m)
        made.append(m)
    return edges


def by_rensa(texts):
    """Two rates: of everything that the program does (words, shingles, signatures, search), and of signatures from shingles
    that are ready, which is all that is compiled code there."""
    begin = time.process_time()
    ready = [sorted(shingles(t)) for t in texts]
    cut = time.process_time()
    made = []
    for s in ready:
        m = RMinHash(num_perm=PERMUTATIONS, seed=42)
        m.update(s)
        made.append(m)
    signed = time.process_time()
    lsh = RMinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS, num_bands=16)
    for i, m in enumerate(made):
        lsh.query(m)
        lsh.insert(i, m)
    return {"all": time.process_time() - begin, "signatures_only": signed - cut}


def by_program(program, path, folder, extra):
    groups, out = os.path.join(folder, "groups.jsonl"), os.path.join(folder, "out.jsonl")
    _, seconds, _, said = timed([program, "data", "dedup", path, "-o", out, "--groups", groups, "-t", "1", "--json", "--permutations", str(PERMUTATIONS),
                           "--threshold", str(THRESHOLD), "--shingle", str(SHINGLE)] + extra, stdout=subprocess.PIPE)
    edges = [(g["rows"][0]["row"] - 1, r["row"] - 1) for g in read_rows(groups) for r in g["rows"][1:]]
    return seconds, edges, json.loads(said)


def true_edges(sets):
    """All pairs whose similarity reaches the threshold: shingle after shingle, those that share it are counted."""
    n, holders = len(sets), {}
    for i, of in enumerate(sets):
        for shingle in of:
            holders.setdefault(shingle, []).append(i)
    both = numpy.zeros((n, n), dtype=numpy.int32)
    for rows in holders.values():
        if len(rows) > 1:
            both[numpy.ix_(rows, rows)] += 1
    size = numpy.array([len(of) for of in sets])
    share = both / numpy.maximum(1, size[:, None] + size[None, :] - both)
    return [(int(i), int(k)) for i, k in zip(*numpy.nonzero(share >= THRESHOLD)) if i < k]


def agreement(found, truth):
    both = len(found & truth)
    precision, recall = both / max(1, len(found)), both / max(1, len(truth))
    return {"pairs": len(found), "precision": round(precision, 4), "recall": round(recall, 4),
            "f1": round(2 * precision * recall / max(1e-9, precision + recall), 4)}


def pairs(program, texts, path, folder):
    write_rows(path, ({"text": t} for t in texts))
    _, edges, said = by_program(program, path, folder, [])
    sets = [shingles(t) for t in texts]
    edges_of = {"truth": true_edges(sets), "your_ai": edges, "datasketch": by_datasketch(sets), "again": by_datasketch(sets, 2)}
    found = {name: pairs_of(e, len(texts)) for name, e in edges_of.items()}
    return {
        "said": said,
        "true_pairs": len(found["truth"]),
        "your_ai": agreement(found["your_ai"], found["truth"]),
        "datasketch": agreement(found["datasketch"], found["truth"]),
        "your_ai_against_datasketch": agreement(found["your_ai"], found["datasketch"]),
        "datasketch_with_another_seed_against_datasketch": agreement(found["again"], found["datasketch"]),
    }


def rates(program, texts, path, folder):
    size, ours, without, theirs = write_rows(path, ({"text": t} for t in texts)), [], [], []
    for _ in range(RUNS):
        ours.append(by_program(program, path, folder, [])[0])
        without.append(by_program(program, path, folder, ["--no-near"])[0])
        theirs.append(by_rensa(texts))
    return {
        "MB": round(size / 1e6, 1),
        "your_ai, files read twice and written": spread([round(size / s / 1e6, 1) for s in ours]),
        "your_ai, what near copies add to equal ones": spread([round(size / max(1e-3, a - b) / 1e6, 1) for a, b in zip(ours, without)]),
        "rensa, from texts": spread([round(size / t["all"] / 1e6, 1) for t in theirs]),
        "rensa, signatures of shingles that are ready": spread([round(size / t["signatures_only"] / 1e6, 1) for t in theirs]),
    }


def main():
    program, corpus, out = sys.argv[1:4]
    rows = int(sys.argv[4]) if len(sys.argv) > 4 else 3000
    arms = {name: make_rows(corpus, rows, shares) for name, shares in ARMS.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "rows.jsonl")
        result = {
            "machine": machine(),
            "load": os.getloadavg()[0],
            "versions": {p: importlib.metadata.version(p) for p in ("datasketch", "rensa")},
            "corpus": {"rows": len(arms["copies"]), "made_by": "rows of bench/score/make_corpus.sh, and copies made here"},
            "asked": {"permutations": PERMUTATIONS, "threshold": THRESHOLD, "shingle": SHINGLE},
            "pairs": {name: pairs(program, texts, path, folder) for name, texts in arms.items()},
            "MB_per_cpu_s": rates(program, arms["copies"], path, folder),
        }
    record(out, result)


if __name__ == "__main__":
    main()
