#!/usr/bin/env python3
"""Documentation trees to JSON Lines: see make_corpus.sh. usage: make_corpus.py TREE OUT"""
import gzip
import hashlib
import html.parser
import json
import os
import re
import subprocess
import sys

LONGEST = 20000  # characters of a row: longer documents become several
COMMON = re.compile(r"\b(?:the|of|and|to|is|in|a)\b", re.I)  # a text with fewer than one of them in 200 characters is no English prose


class Text(html.parser.HTMLParser):
    """The text of a page, one line a block."""

    BLOCKS = {"p", "div", "li", "tr", "br", "pre", "h1", "h2", "h3", "h4", "h5", "dt", "dd", "table", "section"}

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.parts, self.hidden = [], 0

    def handle_starttag(self, tag, attrs):
        if tag in ("script", "style", "head"):
            self.hidden += 1
        elif tag in self.BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag):
        if tag in ("script", "style", "head"):
            self.hidden = max(0, self.hidden - 1)

    def handle_data(self, data):
        if not self.hidden:
            self.parts.append(data)


def read(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rb") as f:
        return f.read(8 << 20).decode("utf-8", "replace")


def text_of(path):
    name = path[:-3] if path.endswith(".gz") else path
    if name.endswith((".html", ".htm", ".xhtml")):
        parser = Text()
        parser.feed(read(path))
        return re.sub(r"[ \t]*\n\s*\n+", "\n\n", "".join(parser.parts)).strip()
    if re.search(r"/man/man\d/[^/]*$", name):
        return re.sub(r"^\.\S*\s?|\\f.|\\-", "", read(path), flags=re.M).replace('\\"', "")
    if name.endswith((".txt", ".rst", ".info", ".md", ".org", ".pod")) or "/doc/" in name and "." not in os.path.basename(name):
        return read(path)
    return ""


def documents(tree):
    for package in sorted(os.listdir(tree)):
        for folder, dirs, files in os.walk(os.path.join(tree, package)):
            dirs.sort()
            for name in sorted(files):
                path = os.path.join(folder, name)
                if os.path.islink(path):
                    continue
                try:
                    yield package, path[len(tree):], text_of(path)
                except (OSError, EOFError, AssertionError):
                    continue
    for stanza in subprocess.run(["apt-cache", "dumpavail"], capture_output=True, check=True).stdout.decode("utf-8", "replace").split("\n\n"):
        name = re.search(r"^Package: (.*)", stanza, re.M)
        about = re.search(r"^Description(?:-en)?: (.*(?:\n .*)*)", stanza, re.M)
        if name and about:
            yield "descriptions", name[1], about[1]


def main():
    tree, out = sys.argv[1:]
    seen, rows, total = set(), 0, 0
    with open(out, "w", encoding="utf-8") as f:
        for package, path, text in documents(tree):
            for at in range(0, len(text), LONGEST):
                piece = text[at : at + LONGEST]
                digest = hashlib.sha1(re.sub(r"\s+", " ", piece).encode()).digest()
                if len(piece) < 100 or digest in seen or "\0" in piece or 200 * len(COMMON.findall(piece)) < len(piece):
                    continue
                seen.add(digest)
                line = json.dumps({"text": piece, "source": package, "url": path, "id": rows}, ensure_ascii=rows % 2 == 0) + "\n"
                f.write(line)
                rows += 1
                total += len(line)
    print(f"{rows} rows, {total / 1e6:.0f} MB of JSON Lines")


if __name__ == "__main__":
    main()
