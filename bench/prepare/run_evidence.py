#!/usr/bin/env python3
"""What `data score --evidence corpus` is worth, on a generated corpus whose truth is known: topics told by independent accounts against
topics in which one account was multiplied. AUC of each part and of the whole, per arm, over topics; 0.5 is chance.

A topic is an invented event of twelve facts. An independent account chooses seven of them, in its own order, each in one of several
phrasings, between remarks of its own. The arms multiply one account:
  copied        the same text with a few words changed
  reworded      each known word replaced by a synonym with a probability of one half, the order kept
  retold        the adversary: each fact in another phrasing, other remarks, sentences shuffled; the choice of facts stays
  one_kind      the same, all under one kind of source
  disguised     the same, each under another kind of source
Phrasings and synonyms are a few hundred lists below; a language model would have more, so `retold` is a lower bound of what an adversary
can do. Six rows a topic in all arms; kinds of source are drawn alike in all arms but the last two.

usage: run_evidence.py PROGRAM OUT.json [TOPICS an arm, default 150]"""
import os
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers"))
from run_program import read_rows, record, write_rows  # noqa: E402

KINDS = ["diary", "newspaper", "patent", "letter", "report", "parish_register"]
SYLLABLES = "ar bel cor dan el fen gar hol is jor kel lan mor nev or pel quin ros sal tor ul ven wil yor zan".split()
PHRASINGS = [  # {p} person, {q} another, {c} place, {d} second place, {n} {m} numbers, {y} year
    ["The mill at {c} burned down in {y}", "In {y} fire destroyed the mill of {c}", "{c} lost its mill to the flames in {y}", "A blaze in {y} left nothing of the mill at {c}"],
    ["{p} owned it", "It belonged to {p}", "Its proprietor was {p}", "The owner, {p}, was away that week"],
    ["{n} people worked there", "It gave work to {n} hands", "The payroll had {n} names on it", "Some {n} labourers lost their place"],
    ["The loss was put at {m} crowns", "Damage came to {m} crowns", "An assessor wrote down {m} crowns", "{m} crowns would not have rebuilt it"],
    ["{q} saw smoke before dawn", "Before sunrise {q} noticed the smoke", "It was {q} who first gave the alarm", "Smoke was seen early by {q}"],
    ["Carts came from {d} with water", "Water had to be hauled from {d}", "{d} sent carts and barrels", "Help with water arrived from {d}"],
    ["The river was low that summer", "There had been no rain for weeks", "A drought had lowered the river", "Nothing could be drawn from the dry river"],
    ["{p} blamed a lantern", "A lantern was at fault, said {p}", "In the opinion of {p} a lantern had fallen", "{p} spoke of a lantern left burning"],
    ["{q} thought of arson", "Arson was what {q} suspected", "{q} told the magistrate that it was set", "According to {q} somebody had set it"],
    ["The church bell at {d} was rung", "They rang the bell in {d}", "At {d} the bell called people out", "The bell of {d} could be heard for an hour"],
    ["It was rebuilt in brick", "A brick building took its place", "Later they raised it again, in brick", "The new mill was of brick"],
    ["Nobody was hurt", "There were no injuries", "All escaped unharmed", "Every man got out safely"],
]
REMARKS = [f"{a} {b} {c}" for a in ("I write this", "We noted", "It is recorded here", "One recalls", "My neighbour holds", "The clerk adds", "As was usual then", "For what it is worth")
           for b in ("with a cold hand", "after supper", "from memory", "on the back of a bill", "without much hope", "in some haste", "at the request of a cousin")
           for c in ("and shall say no more of it", "since the weather kept us in", "though few will read it", "as the harvest was poor", "while the roads are bad", "before the fair opens")]
SYNONYMS = {"burned": "went", "fire": "flames", "destroyed": "ruined", "mill": "works", "owned": "held", "people": "persons", "work": "employment", "loss": "damage", "put": "set",
            "saw": "noticed", "smoke": "fumes", "before": "ahead of", "dawn": "daybreak", "carts": "wagons", "water": "buckets", "river": "stream", "low": "shallow", "summer": "season",
            "blamed": "accused", "lantern": "lamp", "thought": "spoke", "church": "parish", "bell": "alarm bell", "rung": "sounded", "rebuilt": "raised again", "brick": "stone",
            "hurt": "injured", "write": "set down", "noted": "remarked", "supper": "dinner", "memory": "recollection", "haste": "hurry", "weather": "rain", "few": "not many", "roads": "ways",
            "harvest": "crop", "poor": "meagre", "fair": "market", "sent": "dispatched", "came": "arrived", "lost": "forfeited", "names": "entries", "owner": "holder", "away": "absent"}


def word():
    return "".join(random.sample(SYLLABLES, 2)).capitalize()


def facts():
    return {"p": f"{word()} {word()}", "q": f"{word()} {word()}", "c": word(), "d": word(), "n": random.randrange(12, 400), "m": random.randrange(1000, 90000), "y": random.randrange(1700, 1940)}


def remark():
    return random.choice(REMARKS)


def account(topic, choice=None, avoid=None):
    """Sentences of one account: (fact or None, text). `avoid`: phrasings that another one used."""
    choice = choice or random.sample(range(len(PHRASINGS)), 7)
    out = []
    for i in choice:
        options = [p for p in PHRASINGS[i] if p not in (avoid or ())]
        out.append((i, random.choice(options)))
        if random.random() < 0.6:
            out.append((None, remark()))
    return out


def text(sentences, topic):
    return ". ".join(s.format(**topic) for _, s in sentences) + "."


def copied(first):
    words = first.split(" ")
    words[random.randrange(len(words))] = random.choice(("indeed", "also", "then"))
    return " ".join(words)


def reworded(first):
    return " ".join(SYNONYMS[w] if w in SYNONYMS and random.random() < 0.5 else w for w in first.split(" "))


def retold(sentences, topic):
    again = account(topic, [i for i, _ in sentences if i is not None], {s for i, s in sentences if i is not None})
    random.shuffle(again)
    return text(again, topic)


def rows_of(arm, size=6):
    topic, kinds = facts(), [random.choice(KINDS) for _ in range(size)]
    first = account(topic)
    if arm == "independent":
        return [(text(account(topic), topic), k) for k in kinds]
    one = text(first, topic)
    make = {"copied": lambda: copied(one), "reworded": lambda: reworded(one)}.get(arm, lambda: retold(first, topic))
    if arm == "one_kind":
        kinds = [kinds[0]] * size
    if arm == "disguised":
        kinds = random.sample(KINDS, size)
    return [(one, kinds[0])] + [(make(), k) for k in kinds[1:]]


def auc(good, bad):
    wins = sum((g > b) + 0.5 * (g == b) for g in good for b in bad)
    return round(wins / (len(good) * len(bad)), 3)


def main():
    program, out = sys.argv[1:3]
    topics = int(sys.argv[3]) if len(sys.argv) > 3 else 150
    arms = ["independent", "copied", "reworded", "retold", "one_kind", "disguised"]
    random.seed(11)
    rows = [(arm, t, row, kind) for arm in arms for t in range(topics) for row, kind in rows_of(arm)]
    random.shuffle(rows)
    with tempfile.TemporaryDirectory() as folder:
        path, scored, plain = (os.path.join(folder, n) for n in ("rows.jsonl", "scored.jsonl", "plain.jsonl"))
        write_rows(path, ({"text": r, "source_type": k, "arm": a, "topic": t} for a, t, r, k in rows))
        subprocess.run([program, "data", "score", path, "-o", scored, "--evidence", "corpus", "-q"], check=True)
        subprocess.run([program, "data", "score", path, "-o", plain, "-q"], check=True)
        result = {}
        for name, file in (("with", scored), ("without", plain)):
            for row in read_rows(file):
                result.setdefault((row["arm"], row["topic"]), {}).setdefault(name, []).append(row)
    values, found = {}, {"one_topic": 0, "topics": 0}
    for (arm, _), both in result.items():
        rows = both["with"]
        mean = lambda f: sum(map(f, rows)) / len(rows)  # noqa: E731
        e = lambda k: mean(lambda r: r["provenance_score"]["evidence"][k])  # noqa: E731
        v = values.setdefault(arm, {})
        for k, x in (("entropy", e("entropy")), ("copies", -e("copies")), ("compression", -e("compression")), ("coordination", -e("coordination")),
                     ("whole: (1 - coordination) entropy", mean(lambda r: (1 - r["provenance_score"]["evidence"]["coordination"]) * r["provenance_score"]["evidence"]["entropy"])),
                     ("prov_entropy with evidence", mean(lambda r: r["prov_entropy"])),
                     ("prov_entropy without", sum(r["prov_entropy"] for r in both["without"]) / len(rows))):
            v.setdefault(k, []).append(x)
        found["topics"] += 1
        found["one_topic"] += all(r["provenance_score"]["evidence"]["rows"] == len(rows) for r in rows)
    report = {
        "topics_an_arm": topics,
        "topics_found_whole_and_alone": round(found["one_topic"] / found["topics"], 3),
        "auc_independent_against": {arm: {k: auc(values["independent"][k], values[arm][k]) for k in values[arm]} for arm in arms[1:]},
        "means": {arm: {k: round(abs(sum(x) / len(x)), 3) for k, x in v.items()} for arm, v in values.items()},
    }
    record(out, report)


if __name__ == "__main__":
    main()
