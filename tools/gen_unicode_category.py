#!/usr/bin/env python3
"""Writes src/io/tokenizer/unicode_category.c: general category and script of every code point, as the regular expressions of
the reference implementation see them (Oniguruma inside Hugging Face `tokenizers`, pinned below), so that \\p{Lu} or \\p{Han} in
a tokenizer.json means here what it means there.

    pip install tokenizers==0.23.3
    python tools/gen_unicode_category.py > src/io/tokenizer/unicode_category.c
"""
import sys

import tokenizers
from tokenizers import Regex, pre_tokenizers

PINNED = "0.23.3"
CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co Cn".split()
SCRIPTS = ("Han Hiragana Katakana Hangul Latin Cyrillic Greek Arabic Hebrew Thai Lao Khmer Myanmar Devanagari Bengali Tamil "
           "Telugu Armenian Georgian Bopomofo").split()
WORD = 1024
ALL = "".join(chr(cp) for cp in range(0x110000) if not 0xD800 <= cp < 0xE000)


def members(pattern):
    keep = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
    return [ord(s) for s, _ in keep.pre_tokenize_str(ALL)]


def main():
    if tokenizers.__version__ != PINNED:
        sys.exit(f"tokenizers {PINNED} is needed, this is {tokenizers.__version__}")
    table = [None] * 0x110000
    for i, name in enumerate(CATEGORIES):
        for cp in members(rf"\p{{{name}}}"):
            assert table[cp] is None, (name, cp)
            table[cp] = i
    for cp in range(0xD800, 0xE000):
        table[cp] = CATEGORIES.index("Cs")
    for i, name in enumerate(SCRIPTS):
        for cp in members(rf"\p{{{name}}}"):
            table[cp] += 32 * (i + 1)
    for cp in members(r"\w"):
        table[cp] += WORD
    rows = [(cp, v) for cp, v in enumerate(table) if cp == 0 or v != table[cp - 1]]
    print("/* unicode_category: made by tools/gen_unicode_category.py from tokenizers " + PINNED + "; do not edit.")
    print(" * Each row is the first code point of a range, and general category + 32 * script + 1024 for \\\\w of all of it. */")
    print('#include "io/tokenizer/unicode.h"\n')
    print("// clang-format off")
    for kind, names in (("category", CATEGORIES), ("script", SCRIPTS)):
        print(f"const char *const unicode_{kind}_names[] = {{" + ", ".join(f'"{n}"' for n in names) + ", NULL};")
    print("const struct unicode_row unicode_category_table[] = {")
    for i in range(0, len(rows), 9):
        print("    " + " ".join("{%d,%d}," % row for row in rows[i : i + 9]))
    print("};")
    print("// clang-format on")
    print("const size_t unicode_category_rows = sizeof unicode_category_table / sizeof unicode_category_table[0];")
    print(f"{len(rows)} ranges", file=sys.stderr)


if __name__ == "__main__":
    main()
