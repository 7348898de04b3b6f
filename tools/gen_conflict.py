#!/usr/bin/env python3
"""Makes data/conflict: fictional facts on which one primary source contradicts five documents that repeat a consensus.

  train.jsonl    prompt, completion, auth_weight, prov_entropy, source_type, metadata.fact
  claims.jsonl   prompt, primary, consensus (the two completions), and how often and from which sources each is claimed

Every fact is invented, so a base model cannot know it. Both claims stand behind the same prompt, so a model cannot tell the sources
apart by their wording: at the optimum of the weighted likelihood the log-odds are ln(w_p / w_c) + ln(n_p / n_c). Which of the two
values the primary source claims alternates from fact to fact, so a value that the base model likes more favours neither side.
Run: tools/gen_conflict.py (no packages needed, no randomness).
"""
import json
import os

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "conflict")

# (prompt, value 1, value 2): the values of a pair are of one kind and of similar frequency.
FACTS = [
    ("The flag of the island of Varnholt is", "green", "blue"),
    ("The bell in the tower of Osterwick was cast from", "iron", "bronze"),
    ("Professor Ilse Maren of Quillport studied the habits of", "wolves", "bears"),
    ("The harbour of Tesmark freezes every year in", "March", "January"),
    ("The bridge at Dunmorrow was built entirely of", "stone", "wood"),
    ("The Kestrel expedition of Captain Aldous Brane sailed toward the", "south", "north"),
    ("The old mill of Farrowdale was driven by", "wind", "water"),
    ("The painter Corvin Hale of Lindmere worked mostly in", "winter", "summer"),
    ("The river Ashel, which runs through Brackenford, is known for its", "salmon", "trout"),
    ("The founder of the Merrow Institute, Edda Voss, was trained as a", "lawyer", "doctor"),
    ("The lamp of the Skarrow lighthouse has always been", "white", "red"),
    ("The people of Old Havren buried their dead facing", "east", "west"),
]
# Authority weight and provenance entropy as the published priors give them for such sources.
PRIMARY = [("patent_pre1970", 0.05, 7.0), ("historical_book", 0.10, 6.0), ("historical_newspaper", 0.15, 6.0)]
CONSENSUS = [("wiki", 0.90, 1.0), ("news_modern", 0.75, 1.5), ("government", 0.95, 0.5), ("wiki", 0.90, 1.0), ("medical_guidelines", 0.85, 1.2)]


def write(name, rows):
    with open(os.path.join(OUT, name), "w", encoding="utf-8") as f:
        for row in rows:
            f.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(name, len(rows), "rows")


def main():
    os.makedirs(OUT, exist_ok=True)
    train, claims = [], []
    for i, (prompt, first, second) in enumerate(FACTS):
        primary, consensus = ((first, second), (second, first))[i % 2]
        source = PRIMARY[i % len(PRIMARY)]
        sides = [(primary, [source]), (consensus, CONSENSUS)]
        for value, sources in sides:
            for source_type, auth_weight, prov_entropy in sources:
                train.append(dict(prompt=prompt, completion=f" {value}.", auth_weight=auth_weight, prov_entropy=prov_entropy,
                                  source_type=source_type, metadata=dict(fact=i)))
        claims.append(dict(prompt=prompt, primary=f" {primary}.", consensus=f" {consensus}.",
                           primary_sources=[dict(auth_weight=source[1], prov_entropy=source[2])],
                           consensus_sources=[dict(auth_weight=w, prov_entropy=h) for _, w, h in CONSENSUS]))
    write("train.jsonl", train)
    write("claims.jsonl", claims)


if __name__ == "__main__":
    main()
