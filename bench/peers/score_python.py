#!/usr/bin/env python3
"""The original citation scorer's algorithm in Python, for rates and for comparing results: written anew from its description
(docs/score.md, `--compat`), with the cost of the original kept: one pass of `re` or `in` over the text for each word, and each
part computed where the original computes it (institutions, primary words, consensus and the year twice a document).

usage: score_python.py IN.jsonl [OUT.jsonl]     one JSON line on stderr: rows, bytes, seconds, seconds of the processor"""
import json
import math
import re
import sys
import time

INSTITUTIONS = {
    0.35: ("nature", "science", "lancet", "nejm", "new england journal"),
    0.30: ("who", "cdc", "fda", "nih"),
    0.25: (".gov", "government"),
    0.20: ("official", "university"),
    0.18: ("institute", "academy"),
    0.15: ("journal", "peer-reviewed", "proceedings"),
    0.10: ("wikipedia",),
    0.08: ("news", "media"),
    0.05: ("blog", "social media"),
}
CONSENSUS = (
    "widely accepted|experts agree|scientific consensus|established fact|well-established|mainstream view|generally accepted|"
    "overwhelming evidence|settled science|according to experts|studies show|research confirms"
).split("|")
PRIMARY = (
    "patent|lab notebook|laboratory notebook|experiment|experimental|measurement|observation|field notes|original research|firsthand|"
    "first-hand|primary source|original document|manuscript|archive|archival|oral history|interview|correspondence|letter|diary|"
    "journal entry|logbook|specimen|sample|photograph|scan|facsimile"
).split("|")
CITATIONS = (
    r"\[\d+\]",
    r"\(\w+,?\s*\d{4}\)",
    r"\(\w+\s+et\s+al\.?,?\s*\d{4}\)",
    r"\[\w+\s*\d{4}\]",
    r"(?:ibid|op\.?\s*cit|loc\.?\s*cit)",
    r"\d+\.\s+\w+,.*?\d{4}",
)
TYPES = (
    ("patent", r"\bpatent\b"),
    ("patent", r"\b(us|ep|wo|de|gb|fr)\s*\d+"),
    ("lab_notebook", "lab notebook|laboratory|experiment|measurement|observation"),
    ("measurement", r"\b(measured|observed|recorded|sampled)\b"),
    ("archive", r"\b(archive|archival|manuscript|historical)\b"),
    ("oral_history", r"\b(interview|oral history|correspondence|letter|diary)\b"),
    ("academic_paper", r"\b(abstract|introduction|methodology|results|conclusion|references)\b"),
    ("textbook", r"\b(textbook|chapter|exercise|definition|theorem)\b"),
    ("news", r"\b(reported|journalist|news|press release|announcement)\b"),
    ("wiki", r"\b(wikipedia|wiki|encyclopedia)\b"),
    ("government", r"\b(government|official|regulation|policy|agency)\b"),
    ("blog", r"\b(blog|posted|comment|social media)\b"),
)
DECLARED = (("patent", "patent", 2), ("news", "news", 1), ("wiki", "wiki", 2), ("academic", "academic_paper", 1), ("paper", "academic_paper", 1), ("book", "archive", 1))
PRIORS = {
    "patent_pre1970": (0.05, 7.0), "classical_philosophy": (0.08, 7.5), "historical_book": (0.10, 6.0), "classical_literature": (0.10, 6.5),
    "classical_rhetoric": (0.12, 6.0), "historical_newspaper": (0.15, 6.0), "preprint": (0.50, 3.5), "logic_training": (0.55, 3.2),
    "academic_paper": (0.60, 3.0), "news_modern": (0.75, 1.5), "medical_guidelines": (0.85, 1.2), "wiki": (0.90, 1.0), "government": (0.95, 0.5),
}  # fmt: skip


def citations(text):
    return sum(len(re.findall(p, text, re.I)) for p in CITATIONS)


def primary_words(text):
    low = text.lower()
    return sum(len(re.findall(r"\b" + re.escape(w) + r"\b", low)) for w in PRIMARY)


def consensus_phrases(text):
    low = text.lower()
    return sum(len(re.findall(re.escape(p), low)) for p in CONSENSUS)


def institution(text, row):
    best = 0.0
    for where in [text] + [str(row.get(k, "")) for k in ("source", "url", "publisher")]:
        where = where.lower()
        for value, words in INSTITUTIONS.items():
            for word in words:
                if word in where:
                    best = max(best, value)
    return min(0.35, best)


def year_of(text, row):
    for key in ("year", "date", "publication_date", "published"):
        value = row.get(key)
        if value:
            if isinstance(value, int):
                return value
            found = re.search(r"\b(1[0-9]{3}|20[0-2][0-9])\b", str(value))
            if found:
                return int(found[1])
    for pattern in (r"(?:copyright|\u00a9|published|written)\s*(?:in\s*)?(\d{4})", r"\b(1[89]\d{2}|20[0-2]\d)\b"):
        found = re.search(pattern, text[:2000], re.I)
        if found and 1500 <= int(found[1]) <= 2030:
            return int(found[1])
    return None


def types_of(text, row):
    low, counts = text.lower(), {}
    for name, pattern in TYPES:
        if re.search(pattern, low):
            counts[name] = counts.get(name, 0) + 1
    declared = (row.get("source_type") or "").lower()
    for part, name, adds in DECLARED:
        if part in declared:
            counts[name] = counts.get(name, 0) + adds
            break
    return counts


def authority(text, row):
    n, year = citations(text), year_of(text, row)
    age = 0 if not year else -0.15 if year < 1970 else 0 if year < 1995 else 0.15
    raw = 0.3 + min(0.25, 0.05 * math.log10(n + 1)) + institution(text, row) + min(0.2, 0.1 * consensus_phrases(text))
    return max(0.0, min(0.99, raw + age - min(0.45, 0.15 * primary_words(text))))


def entropy(text, row):
    year, counts = year_of(text, row), types_of(text, row)
    base = 5.5 if year and year < 1970 else 3.5 if year and year < 1995 else 1.5
    total = sum(counts.values())
    shannon = -sum(k / total * math.log2(k / total) for k in counts.values())
    bonus = min(2.0, 0.5 * primary_words(text)) + min(1.5, 0.3 * len(counts))
    return max(0.0, base + shannon + bonus - 1.5 * institution(text, row) - min(1.0, 0.4 * consensus_phrases(text)))


def score(row):
    text = row["text"]
    if len(text) < 50:
        return 0.5, 3.0
    w, h = authority(text, row), entropy(text, row)
    if row.get("source_type") is not None:
        prior = PRIORS.get(row["source_type"], (0.5, 3.0))
        w, h = 0.7 * prior[0] + 0.3 * w, 0.7 * prior[1] + 0.3 * h
    return w, h


def main():
    source, out = sys.argv[1], open(sys.argv[2], "w") if len(sys.argv) > 2 else None
    rows = size = 0
    begin, cpu = time.perf_counter(), time.process_time()
    with open(source, "rb") as f:
        for line in f:
            row = json.loads(line)
            row["auth_weight"], row["prov_entropy"] = score(row)
            text = json.dumps(row, ensure_ascii=False)
            if out:
                out.write(text + "\n")
            rows += 1
            size += len(line)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    print(json.dumps({"rows": rows, "bytes": size, "seconds": round(seconds, 3), "cpu_seconds": round(cpu, 3)}), file=sys.stderr)


if __name__ == "__main__":
    main()
