#!/usr/bin/env python3
"""Makes a Python wheel that carries the program: `pip install` puts your_ai on the PATH, with its manual pages and completions.
   scripts/package-wheel.py TREE PLATFORM FOLDER
TREE is what scripts/package-tree.sh laid out, PLATFORM the tag that the program was linked for (manylinux2014_x86_64 for glibc 2.17).
There is no Python code in it. It is written here, and not by a build backend, because the program is already compiled: a wheel of one
program is a zip file with three text files beside it. Its bytes depend on the tree alone."""
import base64
import hashlib
import os
import re
import sys
import zipfile

EPOCH = (1980, 1, 1, 0, 0, 0)

METADATA = """Metadata-Version: 2.1
Name: your-ai
Version: {version}
Summary: Fine-tunes language models of the Llama family and weighs documents by their provenance
License: {license}
Requires-Python: >=3.7
Classifier: Environment :: Console
Classifier: Programming Language :: C
Description-Content-Type: text/plain

The program your_ai, for the CPU alone: no Python code is in this package, and none is needed to run it. `your_ai --help` lists the
commands. Linked in: jansson (MIT), utf8proc (MIT), zlib (zlib), zstd (BSD), libyaml (MIT).
"""


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    tree, platform, folder = sys.argv[1:]
    top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    with open(os.path.join(top, "include/your_ai.h"), encoding="utf-8") as f:
        version = re.search(r'^#define YA_VERSION "(.*)"', f.read(), re.M).group(1)
    with open(os.path.join(top, "LICENSE"), encoding="utf-8") as f:
        license_text = f.read()
    info, data = f"your_ai-{version}.dist-info", f"your_ai-{version}.data"
    members = []  # name, bytes, mode
    for root, _, names in os.walk(tree):
        for name in names:
            path = os.path.join(root, name)
            inside = os.path.relpath(path, tree)
            place = f"{data}/scripts/{name}" if inside.startswith("bin/") else f"{data}/data/{inside}"
            if inside.startswith(("bin/", "share/")):
                with open(path, "rb") as f:
                    members.append((place, f.read(), 0o755 if inside.startswith("bin/") else 0o644))
    if not any(name.endswith("/scripts/your_ai") for name, _, _ in members):
        sys.exit(f"error: {tree} has no bin/your_ai")
    members.sort()
    name = license_text.strip().splitlines()[0].strip()
    members.append((f"{info}/LICENSE", license_text.encode(), 0o644))
    members.append((f"{info}/METADATA", METADATA.format(version=version, license=name).encode(), 0o644))
    wheel = f"Wheel-Version: 1.0\nGenerator: your_ai {version}\nRoot-Is-Purelib: false\nTag: py3-none-{platform}\n"
    members.append((f"{info}/WHEEL", wheel.encode(), 0o644))
    record = ""
    for member, content, _ in members:
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{member},sha256={digest},{len(content)}\n"
    members.append((f"{info}/RECORD", (record + f"{info}/RECORD,,\n").encode(), 0o644))
    out = os.path.join(folder, f"your_ai-{version}-py3-none-{platform}.whl")
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as z:
        for member, content, mode in members:
            entry = zipfile.ZipInfo(member, EPOCH)
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            z.writestr(entry, content)
    print(f"{out}: {os.path.getsize(out)} bytes")


if __name__ == "__main__":
    main()
