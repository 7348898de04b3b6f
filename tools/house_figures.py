#!/usr/bin/env python3
"""Figures about the sources: sizes of files and functions, share of comments, names that several files define, BUG_ON per thousand
lines, test lines per source line. usage: house_figures.py [--names] [ROOT]. Prints one line each; never fails: figures to compare,
not a rule. With --names it also prints each name that several files define, and those files."""
import collections
import os
import re
import statistics
import sys

from c_sources import functions, sources

ARGUMENTS = [a for a in sys.argv[1:] if a != "--names"]
ROOT = ARGUMENTS[0] if ARGUMENTS else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
STRUCT = re.compile(r"^struct ([a-z_0-9]+) \{", re.M)


def comment_lines(text):
    """Lines that hold a comment, alone or behind code."""
    inside, n = False, 0
    for line in text.split("\n"):
        if inside or "/*" in line or "//" in line:
            n += 1
        inside = (inside or "/*" in line) and "*/" not in line[line.rfind("/*") if "/*" in line else 0:]
    return n


def main():
    code = [(p, t) for p, t in sources(ROOT, ["src", "include"]) if not p.endswith(("_table.c", "_tables.c"))]
    tests = sum(text.count("\n") for _, text in sources(ROOT, ["tests"], (".c", ".h", ".sh")))
    lines = sum(text.count("\n") for _, text in code)
    filled = sum(1 for _, text in code for line in text.split("\n") if line.strip())
    sizes, where = [], collections.defaultdict(set)
    for path, text in code:
        rows = text.split("\n")
        for name, line, size in functions(text):
            sizes.append(size)
            if rows[line - 1].startswith(("static ", "INLINE ")): # a public name twice is one function, of which a build takes one
                where[name].add(path)
        for name in STRUCT.findall(text):
            where["struct " + name].add(path)
    sizes.sort()
    twice = {name: paths for name, paths in where.items() if len(paths) > 1 and name not in ("?", "main", "__attribute__")}
    files = sorted(text.count("\n") for _, text in code)
    print(f"lines {lines}, files {len(files)}: median {statistics.median(files):.0f}, longest {files[-1]}")
    print(f"functions {len(sizes)}: median {statistics.median(sizes):.0f}, 90 % {sizes[int(0.9 * len(sizes))]}, longest {sizes[-1]}")
    print(f"comments {100 * sum(comment_lines(t) for _, t in code) / filled:.1f} % of the lines that are not empty")
    print(f"names in several files {len(twice)}, their definitions {sum(len(p) for p in twice.values())}")
    for name in sorted(twice) if "--names" in sys.argv else ():
        print(f"  {name}: {' '.join(sorted(twice[name]))}")
    print(f"BUG_ON {1000 * sum(t.count('BUG_ON(') for _, t in code) / lines:.1f} per 1,000 lines")
    print(f"tests {tests / lines:.2f} lines per source line")


if __name__ == "__main__":
    main()
