#!/usr/bin/env python3
"""Checks that includes only point to the same layer or a lower one, that basenames are unique, that only the engine runs the
model's forward pass, and that only src/backend knows the kernels of a device. Exit 1 with each offence."""
import os
import re
import sys

LAYERS = ["base", "report", "io", "score", "array", "backend", "model", "data", "prepare", "engine", "train", "runs", "eval", "measure", "export", "api", "cli"]
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
SUFFIXES = (".c", ".h", ".def", ".cu", ".cuh")


def sources():
    for top in ("src", "include"):
        for folder, _, files in os.walk(os.path.join(ROOT, top)):
            for name in files:
                if name.endswith(SUFFIXES):
                    yield os.path.relpath(os.path.join(folder, name), ROOT)


def layer(path):
    parts = path.split(os.sep)
    return LAYERS.index(parts[1]) if parts[0] == "src" else LAYERS.index("api")


# Headers, or folders of headers, that only these folders may include, and what everything else uses.
PRIVATE = {
    "model/llama.h": (("src/model/", "src/engine/"), "engine/engine.h"),
    "backend/cpu/": (("src/backend/",), "array/backend.h, through the array functions"),
    "backend/cuda/": (("src/backend/",), "array/backend.h, through the array functions"),
}


def private_offences(where, path, target):
    return [f"{where}: {target} is for {' and '.join(folders)}; use {instead}" for private, (folders, instead) in PRIVATE.items()
            if target.startswith(private) and not path.startswith(folders)]


def internal_offences(path, targets, page):
    """A file of the program that calls below the public headers needs its reason in docs/cli.md."""
    below = [t for t in targets if t.split("/")[0] not in ("base", "cli", "your_ai.h", "your_ai_array.h")]
    if not path.startswith(os.path.join("src", "cli") + os.sep) or not path.endswith(".c") or not below:
        return []
    name = f"`{os.path.basename(path)}`"
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    return [] if any(name in row for row in rows) else [f"{path}: includes {below[0]}, and docs/cli.md gives no reason"]


def main():
    offences, seen = [], {}
    with open(os.path.join(ROOT, "docs", "cli.md"), encoding="utf-8") as f:
        page = f.read()
    for path in sorted(sources()):
        name = os.path.basename(path)
        if name in seen:
            offences.append(f"{path}: basename also used by {seen[name]}")
        seen[name] = path
        targets = []
        with open(os.path.join(ROOT, path), encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
                if not match:
                    continue
                target = match.group(1)
                targets.append(target)
                offences += private_offences(f"{path}:{number}", path, target)
                if target in ("your_ai.h", "your_ai_array.h"):
                    if layer(path) < LAYERS.index("api"):
                        offences.append(f"{path}:{number}: the public header belongs to the api layer and above")
                    continue
                if "/" not in target or target.split("/")[0] not in LAYERS:
                    offences.append(f"{path}:{number}: include \"{target}\" is not written from src/")
                elif LAYERS.index(target.split("/")[0]) > layer(path):
                    offences.append(f"{path}:{number}: include \"{target}\" points up")
        offences += internal_offences(path, targets, page)
    print("\n".join(offences) or f"layers: {len(seen)} files, every include points down")
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
