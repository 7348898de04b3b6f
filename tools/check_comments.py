#!/usr/bin/env python3
"""Checks two rules about comments, in the folders of COVERED and HEADS:

- every function that a header declares or defines has a comment directly above it. A comment may serve a group: what follows it
  without a blank line between belongs to it, so that five prototypes of one kind need one comment; and where a name occurs twice
  in a file (two branches of an #if) one comment is enough. Headers without an include guard are left out: they are source text
  for the files that include them, and their functions are private to those;
- every file begins with a comment that says in at least one whole sentence what the file holds.

What a comment is worth no script can tell: shapes, dtypes, units, ownership, errors and the source of a formula are what to write
(docs/DESIGN.md). Prints each offence, exit 1 when there is one. usage: check_comments.py [ROOT]"""
import os
import re
import sys

from c_sources import sources

ROOT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
COVERED = ["src/base", "src/io", "src/score", "src/array", "src/backend", "src/model", "src/data", "src/prepare", "src/engine",
           "src/train"]
# Of these only the second rule is asked: a test's or benchmark's functions are private to it.
HEADS = ["bench", "tests/base", "tests/array", "tests/backend", "tests/engine", "tests/model", "tests/cuda"]
# A line in column 0 that begins a function: a type, a name and a bracket. Macros and typedefs of functions are none.
FUNCTION = re.compile(r"^(?!typedef|#|return|else)(?:[A-Za-z_][A-Za-z_0-9]*[ *]+)+\**([A-Za-z_][A-Za-z_0-9]*)\(")
GUARD = re.compile(r"^#ifndef \w+_(?:H|CUH)$", re.M)
SENTENCE = re.compile(r"(?:\S+\s+){4,}\S*[a-z0-9)\]\"'`][.:](?:\s|$)")


def comment_marks(lines):
    """For each line: whether a comment that stands alone (not behind code) covers it."""
    inside, marks = False, []
    for line in lines:
        text = line.strip()
        starts = text.startswith(("/*", "//"))
        marks.append(inside or starts)
        if inside or text.startswith("/*"):
            inside = "*/" not in text
    return marks


def bare_functions(text):
    """(line, name) of every function without a comment above its group of lines."""
    lines, explained = text.split("\n"), set()
    marks, commented, depth = comment_marks(lines), False, 0
    if not GUARD.search(text):
        return
    for i, line in enumerate(lines):
        if marks[i]:
            banner = line.startswith("/* ----")
            commented = not banner or commented
            continue
        if not line.strip() and depth == 0:
            commented = False
        match = FUNCTION.match(line)
        if match and depth == 0 and not commented and match.group(1) not in explained:
            yield i + 1, match.group(1)
        if match and depth == 0 and commented:
            explained.add(match.group(1))
        code = re.sub(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|/\*.*?\*/', "", line)
        depth += code.count("{") - code.count("}")


def head_comment(text):
    """The text of the comment that a file begins with, without its marks; "" when it begins with none."""
    match = re.match(r"\s*/\*(.*?)\*/", text, re.S)
    return re.sub(r"\n[ \t]*\*?", " ", match.group(1)).strip() if match else ""


def main():
    offences, files, functions = [], 0, 0
    for path, text in sources(ROOT, COVERED + HEADS):
        files += 1
        if not SENTENCE.search(head_comment(text)):
            offences.append(f"{path}: no head comment that says in a whole sentence what the file holds")
        if path.endswith((".h", ".cuh")) and path.startswith("src/"):
            functions += sum(1 for line in text.split("\n") if FUNCTION.match(line))
            offences += [f"{path}:{line}: {name} has no comment above it" for line, name in bare_functions(text)]
    print("\n".join(offences) or f"comments: {functions} functions of headers have one, and {files} files say what they hold")
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
