#!/usr/bin/env python3
"""Checks that README.md and the pages of docs/ and bench/ name things that exist:

- a source file in backquotes (`src/train/clip.c`, `clip.h`, `tools/check_docs.py`) is a file of the tree, by its whole path, by a
  path from src/ or tests/, or by its name alone;
- an option of the program (`--lora-rank`, "your_ai train ... --rank 8") is a row of some option table in src/;
- a command in "your_ai COMMAND" is a row of src/cli/commands.def.

Names with capitals in them stand for others (cmd_NAME.c) and are passed over. Options of other programs that the pages mention
are listed in FOREIGN. Prints each offence, exit 1 when there is one. usage: check_docs.py [ROOT]"""
import os
import re
import sys

ROOT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
FILE = re.compile(r"`([a-z0-9_./-]+\.(?:c|h|cu|cuh|cc|def|py|sh|cmake))[`: ]")
OPTION = re.compile(r"(?<![\w-])--([a-z][a-z0-9-]*)")
COMMAND = re.compile(r"\byour_ai ((?:data )?[a-z]+)\b(?= -|`|\n|$| [A-Z])")
ROW = re.compile(r'"([a-z][a-z0-9-]*)", (?:\'.\'|0), ')
# Options of CMake, CTest, pkg-config, mlx-lm, llama.cpp and Slurm, and the names that docs/cli.md uses for any option.
FOREIGN = {"preset", "build", "test-dir", "cflags", "libs", "name", "flag", "adapter-path", "lora", "array", "requeue"}


def walk(top, endings):
    """(path from ROOT, text) of the files below a folder."""
    for folder, folders, files in os.walk(os.path.join(ROOT, top)):
        folders[:] = [f for f in folders if not f.startswith((".", "build"))]
        for name in sorted(files):
            if name.endswith(endings):
                with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as f:
                    yield os.path.relpath(os.path.join(folder, name), ROOT), f.read()


def tree():
    """All files of the tree, as paths from ROOT."""
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [f for f in folders if not f.startswith((".git", "build", "models"))]
        found += [os.path.relpath(os.path.join(folder, name), ROOT) for name in files]
    return found


def pages():
    """(path, text) of every page that is checked."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        yield "README.md", f.read()
    yield from walk("docs", ".md")
    yield from walk("bench", ".md")


def options():
    """Names of all rows of option tables, and what the program knows without a row."""
    known = {"help", "version"}
    for _, text in walk("src", (".c", ".h")):
        known |= set(ROW.findall(text))
    known |= FOREIGN
    return known | {"no-" + name for name in known}


def commands():
    """Names of all commands, "data score" as its two words."""
    with open(os.path.join(ROOT, "src/cli/commands.def"), encoding="utf-8") as f:
        return {name.replace("_", " ") for name in re.findall(r"^COMMAND\((\w+)\)", f.read(), re.M)} | {"data", "help"}


def main():
    files, known, called, offences, n = tree(), options(), commands(), [], 0
    ends = {"/" + path for path in files}
    for page, text in pages():
        for name in FILE.findall(text):
            n += 1
            if not any(end.endswith("/" + name) for end in ends):
                offences.append(f"{page}: there is no file {name}")
        for name in OPTION.findall(text):
            n += 1
            if name not in known:
                offences.append(f"{page}: no command has an option --{name}")
        for name in COMMAND.findall(text):
            n += 1
            if name not in called:
                offences.append(f"{page}: there is no command {name}")
    print("\n".join(sorted(set(offences))) or f"docs: {n} files, options and commands that the pages name exist")
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
