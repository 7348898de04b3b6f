#!/usr/bin/env python3
"""Writes src/score/rules_text.c: the rule files of data/score as C strings, so that the program needs no file beside it.
tests/score/test_rules.c fails when the two differ."""
import os

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
FILES = (("rules_text_default", "rules.json"), ("rules_text_original", "rules_original.json"))


def main():
    out = ["/* rules_text: made by tools/gen_score_rules.py from data/score; do not edit. */", '#include "score/rules.h"', "", "// clang-format off"]
    for name, file in FILES:
        with open(os.path.join(ROOT, "data", "score", file), encoding="utf-8") as f:
            lines = f.read().split("\n")
        if lines[-1] == "":
            lines.pop()
        out.append(f"const char {name}[] =")
        out += ['    "' + line.replace("\\", "\\\\").replace('"', '\\"') + '\\n"' for line in lines]
        out[-1] += ";"
    with open(os.path.join(ROOT, "src", "score", "rules_text.c"), "w", encoding="utf-8") as f:
        f.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
