#!/usr/bin/env python3
"""Runs the commands of docs/guide.md and holds what they print against the page; numbers may differ, words may not.

  check_guide.py PROGRAM MODEL            fails when a command fails or prints something else
  check_guide.py --update PROGRAM MODEL   writes what they print into the page instead

Commands stand in blocks that begin with ```console, each after "$ "; what follows, up to the next command, is what it prints, on
standard output and standard error in the order in which it comes. A line "..." stands for any lines. Blocks that begin with
```console not-run are only shown: they need a network, a card or minutes. All run in one scratch folder, in order, where build/,
models/ and data/ are those of the project."""
import difflib
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
PAGE = os.path.join(ROOT, "docs", "guide.md")
SECONDS = 600
HOME = "/home/you" # stands on the page for the scratch folder
NUMBER = re.compile(r"[-+]?\d[\d.,]*(e[-+]?\d+)?")
UNIT = re.compile(r"\b0 ?(kB|MB|GB|KiB|MiB|GiB|ms|s)\b")


def blocks(lines):
    """(first, end) of the lines inside each block that is run."""
    start = None
    for i, line in enumerate(lines):
        if start is None and line.rstrip() == "```console":
            start = i + 1
        elif start is not None and line.rstrip() == "```":
            yield start, i
            start = None


def commands(lines, first, end):
    """(line of the command, first and last line of what it prints)"""
    starts = [i for i in range(first, end) if lines[i].startswith("$ ")]
    for i, nxt in zip(starts, starts[1:] + [end]):
        yield i, i + 1, nxt


def plain(line):
    """A line without what may differ: numbers, their units, bars and the spaces of columns."""
    line = UNIT.sub("0 U", NUMBER.sub("0", line))
    return " ".join(re.sub("##+", "", line).split())


def run(command, folder):
    env = dict(os.environ, COLUMNS="120", NO_COLOR="1", HOME=folder)
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=SECONDS, stdin=subprocess.DEVNULL)
    # a line that is written again and again in a terminal keeps its last form
    printed = [part.split("\r")[-1].replace("\033[K", "") for part in done.stdout.split("\n")]
    while printed and not printed[-1].strip():
        printed.pop()
    return done.returncode, [line.replace(folder, HOME).rstrip() for line in printed]


def differs(shown, printed):
    """None, or what is wrong."""
    want = "".join("(?:.*\n)*?" if line.strip() == "..." else re.escape(plain(line) + "\n") for line in shown)
    if re.fullmatch(want, "".join(plain(line) + "\n" for line in printed)):
        return None
    return "\n".join(difflib.unified_diff(shown, printed, "guide.md", "printed", lineterm="", n=1))


def updated(shown, printed):
    """What was printed, with "..." where it stood: as many lines before the first and after the last are kept."""
    dots = [i for i, line in enumerate(shown) if line.strip() == "..."]
    if not dots:
        return printed
    tail = len(shown) - 1 - dots[-1]
    return printed[:dots[0]] + ["..."] + printed[len(printed) - tail:]


def main():
    arguments = sys.argv[1:]
    update = arguments[:1] == ["--update"]
    program, model = (os.path.abspath(a) for a in arguments[update:])
    lines = open(PAGE, encoding="utf-8").read().split("\n")
    if not os.path.exists(model):
        sys.exit(f"{model} is missing: run scripts/get-model.sh smollm2-135m")
    faults, changes, n = [], [], 0
    with tempfile.TemporaryDirectory(prefix="guide") as folder:
        os.mkdir(os.path.join(folder, "build"))
        os.symlink(program, os.path.join(folder, "build", "your_ai"))
        os.symlink(os.path.dirname(model), os.path.join(folder, "models"))
        os.symlink(os.path.join(ROOT, "data"), os.path.join(folder, "data"))
        for first, end in blocks(lines):
            for at, a, b in commands(lines, first, end):
                command = lines[at][2:]
                expected = 0
                if command.endswith("]") and " # [exit " in command:
                    expected = int(command[command.rindex(" # [exit ") + 9:-1])
                code, printed = run(command, folder)
                n += 1
                if code != expected:
                    faults.append(f"guide.md:{at + 1}: {command}\nexit code {code}, not {expected}:\n" + "\n".join(printed[-20:]))
                elif update:
                    changes.append((a, b, updated(lines[a:b], printed)))
                elif fault := differs(lines[a:b], printed):
                    faults.append(f"guide.md:{at + 1}: {command}\n{fault}")
    for a, b, new in reversed(changes):
        lines[a:b] = new
    if update and not faults:
        open(PAGE, "w", encoding="utf-8").write("\n".join(lines))
    for fault in faults:
        print(fault + "\n")
    if faults or n == 0:
        sys.exit(f"{len(faults)} of {n} commands of the guide do not do what it shows (tools/check_guide.py --update writes anew)")
    print(f"guide: {n} commands do what the page shows")


if __name__ == "__main__":
    main()
