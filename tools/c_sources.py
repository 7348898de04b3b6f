"""c_sources: what the tools that measure the sources share: the files of a folder and the functions of a file. Functions are found
by their braces, without parsing C: a definition starts in column 0 and its body is between a brace that opens and one that closes in
column 0, which clang-format guarantees."""
import os
import re

DEFINITION = re.compile(r"^(?:static |inline |const |unsigned |struct |enum )*[a-z_0-9]+[ *]+(?:const )?\*?([a-z_0-9]+)\(", re.M)


def sources(root, tops, endings=(".c", ".h", ".cu", ".cuh")):
    """(path from root, text) of every file below the folders `tops` whose name has one of the endings."""
    for top in tops:
        for folder, _, files in os.walk(os.path.join(root, top)):
            for name in sorted(files):
                if name.endswith(endings):
                    with open(os.path.join(folder, name), encoding="utf-8") as f:
                        yield os.path.relpath(os.path.join(folder, name), root), f.read()


def functions(text):
    """(name or "?", number of the first line, lines) of every function body of a file."""
    lines, start = text.split("\n"), None
    for i, line in enumerate(lines):
        if line.startswith("{") and i and lines[i - 1].rstrip().endswith((")", ")\\")):
            start = i
        elif line.startswith("}") and start is not None:
            head = start - 1
            while head > 0 and lines[head].startswith((" ", "\t")):
                head -= 1
            match = DEFINITION.match(lines[head])
            yield match.group(1) if match else "?", head + 1, i - head + 1
            start = None
