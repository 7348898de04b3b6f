#!/usr/bin/env python3
"""Makes a Python wheel that carries the program: `pip install` puts your_ai on the PATH, with its manual pages and completions.
   scripts/package-wheel.py TREE PLATFORM FOLDER
   scripts/package-wheel.py --model models/smollm2-135m.gguf FOLDER
The second makes the wheel your_ai_smollm2, which carries that model for `your_ai demo` and nothing else; `your-ai[model]` asks for it.
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
Provides-Extra: model
Requires-Dist: your-ai-smollm2; extra == "model"
Description-Content-Type: text/plain

The program your_ai, for the CPU alone: no Python code is in this package, and none is needed to run it. `your_ai --help` lists the
commands. Linked in: jansson (MIT), utf8proc (MIT), zlib (zlib), zstd (BSD), libyaml (MIT).
"""

MODEL_METADATA = """Metadata-Version: 2.1
Name: your-ai-smollm2
Version: {version}
Summary: SmolLM2-135M-Instruct as one file, for `your_ai demo`
License: Apache-2.0
Requires-Python: >=3.7
Description-Content-Type: text/plain

SmolLM2-135M-Instruct by HuggingFaceTB, in GGUF's Q4_1, 98 MB, put where the program your_ai of the same environment finds it.
"""


def write_wheel(folder, name, version, platform, metadata, members):
    """Members are (path in the wheel, bytes, mode); the files that make it a wheel are added. A model does not get smaller by deflate."""
    info = f"{name}-{version}.dist-info"
    members = members + [(f"{info}/METADATA", metadata.encode(), 0o644)]
    wheel = f"Wheel-Version: 1.0\nGenerator: your_ai {version}\nRoot-Is-Purelib: false\nTag: py3-none-{platform}\n"
    members.append((f"{info}/WHEEL", wheel.encode(), 0o644))
    record = ""
    for member, content, _ in members:
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{member},sha256={digest},{len(content)}\n"
    members.append((f"{info}/RECORD", (record + f"{info}/RECORD,,\n").encode(), 0o644))
    out = os.path.join(folder, f"{name}-{version}-py3-none-{platform}.whl")
    with zipfile.ZipFile(out, "w") as z:
        for member, content, mode in members:
            entry = zipfile.ZipInfo(member, EPOCH)
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_STORED if member.endswith(".gguf") else zipfile.ZIP_DEFLATED
            z.writestr(entry, content, compresslevel=9)
    print(f"{out}: {os.path.getsize(out)} bytes")


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    tree, platform, folder = sys.argv[1:]
    top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    with open(os.path.join(top, "include/your_ai.h"), encoding="utf-8") as f:
        version = re.search(r'^#define YA_VERSION "(.*)"', f.read(), re.M).group(1)
    with open(os.path.join(top, "LICENSE"), encoding="utf-8") as f:
        license_text = f.read()
    if tree == "--model":
        with open(platform, "rb") as f:
            place = f"your_ai_smollm2-{version}.data/data/share/your_ai/models/{os.path.basename(platform)}"
            return write_wheel(folder, "your_ai_smollm2", version, "any", MODEL_METADATA.format(version=version), [(place, f.read(), 0o644)])
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
    write_wheel(folder, "your_ai", version, platform, METADATA.format(version=version, license=name), members)


if __name__ == "__main__":
    main()
