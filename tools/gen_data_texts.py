#!/usr/bin/env python3
"""Writes data files as C strings, so that the program needs no file beside it: the rules of data/score, the sources of data/prepare.
data/score/rules_original.json is a difference: what turns rules.json into the original's rules. With --check nothing is written, and
the exit code is 1 when a C file is not what would be written (tests/score/test_data_texts.sh)."""
import json
import os
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
OUTPUTS = (
    ("score/rules_text.c", "score/rules.h", "data/score", (("rules_text_default", "rules.json"), ("rules_text_original", "rules_original.json"))),
    ("prepare/sources_text.c", "prepare/sources.h", "data/prepare", (("sources_text", "sources.json"),)),
)


def wanted_set(section, path):
    """The sets of words at "part" or "part.name", as a list of objects with "match"."""
    part, _, name = path.partition(".")
    sets = section[part]
    return [test for item in sets if item["name"] == name for test in item["tests"]] if name else sets


def original_rules(rules, difference):
    """The text of the rules that the difference makes of `rules`, a line a set of words."""
    rules.update(difference["members"])
    for path in difference["anywhere"]:
        section, _, rest = path.partition(".")
        for words in wanted_set(rules[section], rest):
            words["match"] = "anywhere"
    for path, sets in difference["replace"].items():
        section, _, part = path.partition(".")
        rules[section][part] = sets
    return json.dumps(rules, ensure_ascii=False).replace("}, {", "},\n{") + "\n"


def text_of(folder, file):
    def read(name):
        with open(os.path.join(ROOT, folder, name), encoding="utf-8") as f:
            return f.read()
    text = read(file)
    return original_rules(json.loads(read("rules.json")), json.loads(text)) if file == "rules_original.json" else text


def render(path, header, folder, files):
    name = os.path.basename(path)[:-2]
    out = [f"/* {name}: made by tools/gen_data_texts.py from {folder}; do not edit. */", f'#include "{header}"', "", "// clang-format off"]
    for name, file in files:
        lines = text_of(folder, file).split("\n")
        if lines[-1] == "":
            lines.pop()
        out.append(f"const char {name}[] =")
        out += ['    "' + line.replace("\\", "\\\\").replace('"', '\\"') + '\\n"' for line in lines]
        out[-1] += ";"
    return "\n".join(out) + "\n"


def main():
    differ = 0
    for output in OUTPUTS:
        path, text = os.path.join(ROOT, "src", output[0]), render(*output)
        if "--check" in sys.argv:
            with open(path, encoding="utf-8") as f:
                if f.read() != text:
                    print(f"{output[0]} is not what tools/gen_data_texts.py writes")
                    differ = 1
        else:
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
    sys.exit(differ)


if __name__ == "__main__":
    main()
