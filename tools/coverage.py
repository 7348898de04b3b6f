#!/usr/bin/env python3
"""Line coverage of src/ from a folder built with --coverage whose tests have run: files below 85 %, the total, and exit 1 when
that is below the limit. gcov's own JSON is added up here, because gcovr 5 stops at functions that one source line defines twice
(the kernels of f32 and f64 are one source).

    tools/coverage.py build-coverage 85
"""
import collections
import glob
import json
import os
import subprocess
import sys


def main(build, limit):
    root = os.getcwd()
    hits = collections.defaultdict(lambda: collections.defaultdict(int))
    for data in glob.glob(os.path.join(root, build, "CMakeFiles", "*", "**", "*.gcda"), recursive=True):
        out = subprocess.run(["gcov", "--json-format", "--stdout", data], check=True, capture_output=True, text=True,
                             cwd=os.path.join(root, build)).stdout
        for report in (json.loads(text) for text in out.splitlines() if text.startswith("{")):
            for source in report["files"]:
                name = os.path.relpath(os.path.join(root, build, source["file"]), root)
                for line in source["lines"] if name.startswith("src/") else ():
                    hits[name][line["line_number"]] += line["count"]
    counts = {name: (sum(map(bool, lines.values())), len(lines)) for name, lines in hits.items() if lines}
    for name, (hit, lines) in sorted(counts.items()):
        if hit < 0.85 * lines:
            print(f"{100 * hit / lines:5.1f} %  {hit}/{lines}  {name}")
    hit, lines = (sum(column) for column in zip(*counts.values()))
    print(f"{100 * hit / lines:5.1f} %  {hit}/{lines}  all of src/")
    return hit < limit / 100 * lines


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2])))
