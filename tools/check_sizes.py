#!/usr/bin/env python3
"""Checks the size rules of docs/DESIGN.md: files <= 600 lines; functions <= 100 lines (150 in kernels under src/backend), 90 % of
them <= 45, median <= 15. Prints the figures; exit 1 with each offence. Functions are found by their braces: a definition starts
in column 0 and its body ends with a brace in column 0, which clang-format guarantees."""
import os
import statistics
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


def functions(lines):
    """(name line, length) of every function body that opens with '{' in column 0."""
    start = None
    for i, line in enumerate(lines):
        if line.startswith("{") and i and lines[i - 1].rstrip().endswith((")", ")\\")):
            start = i
        elif line.startswith("}") and start is not None:
            head = start - 1
            while head > 0 and lines[head].startswith((" ", "\t")):
                head -= 1
            yield head + 1, i - head + 1
            start = None


def main():
    offences, lengths, total = [], [], 0
    for top in ("src", "include"):
        for folder, _, files in os.walk(os.path.join(ROOT, top)):
            for name in sorted(files):
                if not name.endswith((".c", ".h", ".cu", ".cuh")):
                    continue
                path = os.path.relpath(os.path.join(folder, name), ROOT)
                with open(os.path.join(ROOT, path), encoding="utf-8") as f:
                    lines = f.read().split("\n")
                total += len(lines)
                if len(lines) > 601:
                    offences.append(f"{path}: {len(lines)} lines")
                limit = 150 if path.startswith("src/backend") else 100
                for line, length in functions(lines):
                    lengths.append(length)
                    if length > limit:
                        offences.append(f"{path}:{line}: function of {length} lines")
    lengths.sort()
    p90 = lengths[int(0.9 * len(lengths))] if lengths else 0
    median = statistics.median(lengths) if lengths else 0
    print(f"sizes: {total} lines, {len(lengths)} functions, median {median:.0f}, 90 % <= {p90}, longest {lengths[-1] if lengths else 0}")
    if median > 15 or p90 > 45:
        offences.append("the function sizes as a whole are over the limits (median 15, 90 % 45)")
    print("\n".join(offences), end="\n" if offences else "")
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
