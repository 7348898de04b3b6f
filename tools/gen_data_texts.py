#!/usr/bin/env python3
"""Writes data files as C strings, so that the program needs no file beside it: the rules of data/score, the sources of data/prepare.
tests/score/test_rules.c and tests/prepare/test_prepare.c fail when the two differ."""
import os

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
OUTPUTS = (
    ("score/rules_text.c", "score/rules.h", "data/score", (("rules_text_default", "rules.json"), ("rules_text_original", "rules_original.json"))),
    ("prepare/sources_text.c", "prepare/sources.h", "data/prepare", (("sources_text", "sources.json"),)),
)


def write(path, header, folder, files):
    name = os.path.basename(path)[:-2]
    out = [f"/* {name}: made by tools/gen_data_texts.py from {folder}; do not edit. */", f'#include "{header}"', "", "// clang-format off"]
    for name, file in files:
        with open(os.path.join(ROOT, folder, file), encoding="utf-8") as f:
            lines = f.read().split("\n")
        if lines[-1] == "":
            lines.pop()
        out.append(f"const char {name}[] =")
        out += ['    "' + line.replace("\\", "\\\\").replace('"', '\\"') + '\\n"' for line in lines]
        out[-1] += ";"
    with open(os.path.join(ROOT, "src", path), "w", encoding="utf-8") as f:
        f.write("\n".join(out) + "\n")


def main():
    for output in OUTPUTS:
        write(*output)


if __name__ == "__main__":
    main()
