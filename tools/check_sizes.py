#!/usr/bin/env python3
"""Checks the size rules of docs/DESIGN.md: files <= 600 lines; functions <= 100 lines (150 in kernels under src/backend), 90 % of
them <= 45, median <= 15. Prints the figures; exit 1 with each offence."""
import os
import statistics
import sys

from c_sources import functions, sources

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


def main():
    offences, lengths, total = [], [], 0
    for path, text in sources(ROOT, ["src", "include"]):
        total += text.count("\n") + 1
        if text.count("\n") > 600:
            offences.append(f"{path}: {text.count(chr(10))} lines")
        limit = 150 if path.startswith("src/backend") else 100
        for _, line, length in functions(text):
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
