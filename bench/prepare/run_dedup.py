#!/usr/bin/env python3
"""`data dedup` beside datasketch (which pairs are found) and rensa (how fast), in one run on one corpus (bench/score/make_corpus.sh)
to which near copies were added, one of every fourth text: in the arm `copies` with 0.1 to 0.5 % of its words replaced, in the arm
`border` with 1 to 4 %, which with shingles of five words is a similarity on both sides of the threshold; in both, every fourth of
them with 30 %. Around the threshold all answers are chance, how
much so is measured by datasketch with another seed; `clear` is the agreement on pairs whose exact similarity is not within 0.15 of it.

Words and shingles are those of src/prepare/minhash.h in all three, and permutations and threshold are the same. Pairs: rows in one
connected group, where edges are candidates of the LSH whose estimated similarity reaches the threshold. Seconds are the
processor's, one thread each.

usage: run_dedup.py PROGRAM CORPUS.jsonl OUT.json [ROWS, default 3000]        needs datasketch, rensa and numpy"""
import importlib.metadata
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time

from datasketch import MinHash, MinHashLSH
from rensa import RMinHash, RMinHashLSH

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers"))
from machine_info import machine, spread  # noqa: E402

PERMUTATIONS, THRESHOLD, SHINGLE, RUNS = 128, 0.8, 5, 3
WORD = re.compile(r"[a-z0-9\u0080-\u2fff\ue000-\U0010ffff]+|[\u3000-\udfff]")


def shingles(text):
    words = WORD.findall("".join(chr(ord(c) | 32) if "A" <= c <= "Z" else c for c in text))
    return {" ".join(words[i:i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1))} if words else set()


ARMS = {"copies": (0.001, 0.002, 0.003, 0.005), "border": (0.01, 0.015, 0.02, 0.03, 0.04)}


def make_rows(corpus, rows, shares):
    random.seed(1)
    with open(corpus, encoding="utf-8") as f:
        texts = [json.loads(line)["text"] for line, _ in zip(f, range(rows))]
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
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = subprocess.run([program, "data", "dedup", path, "-o", out, "--groups", groups, "-t", "1", "--json", "--permutations", str(PERMUTATIONS),
                           "--threshold", str(THRESHOLD), "--shingle", str(SHINGLE)] + extra, check=True, stdout=subprocess.PIPE).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(groups, encoding="utf-8") as f:
        edges = [(g["rows"][0]["row"] - 1, r["row"] - 1) for g in map(json.loads, f) for r in g["rows"][1:]]
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, edges, json.loads(said)


def exact(sets, i, k):
    return len(sets[i] & sets[k]) / max(1, len(sets[i] | sets[k]))


def agreement(found, truth):
    both = len(found & truth)
    precision, recall = both / max(1, len(found)), both / max(1, len(truth))
    return {"pairs": len(found), "precision": round(precision, 4), "recall": round(recall, 4),
            "f1": round(2 * precision * recall / max(1e-9, precision + recall), 4)}


def write_rows(texts, path):
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in texts)
    return os.path.getsize(path)


def pairs(program, texts, path, folder):
    write_rows(texts, path)
    _, edges, said = by_program(program, path, folder, [])
    sets = [shingles(t) for t in texts]
    expected, again, found = (pairs_of(e, len(texts)) for e in (by_datasketch(sets), by_datasketch(sets, 2), edges))
    near = {(i, k) for i, k in expected | again | found if exact(sets, i, k) >= THRESHOLD}
    clear = {(i, k) for i, k in expected | found if abs(exact(sets, i, k) - THRESHOLD) >= 0.15}
    return {
        "said": said,
        "datasketch": len(expected),
        "your_ai_against_datasketch": agreement(found, expected),
        "clear": agreement(found & clear, expected & clear),
        "datasketch_with_another_seed_against_datasketch": agreement(again, expected),
        "recall_of_pairs_that_any_of_them_found_and_that_reach_the_threshold_exactly": {
            "pairs": len(near), "your_ai": agreement(found & near, near)["recall"], "datasketch": agreement(expected & near, near)["recall"]},
    }


def rates(program, texts, path, folder):
    size, ours, without, theirs = write_rows(texts, path), [], [], []
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
            "corpus": {"rows": len(arms["copies"]), "made_by": "bench/score/make_corpus.sh, the first rows, and copies made here"},
            "asked": {"permutations": PERMUTATIONS, "threshold": THRESHOLD, "shingle": SHINGLE},
            "pairs": {name: pairs(program, texts, path, folder) for name, texts in arms.items()},
            "MB_per_cpu_s": rates(program, arms["copies"], path, folder),
        }
    with open(out, "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
        f.write("\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
