#!/usr/bin/env python3
"""Writes src/io/tokenizer/unicode_table.c: the character classes of the reference implementation, code point by code point.

The classes are asked of Hugging Face `tokenizers` itself (pinned below) and not of a Unicode data file, because the
reference mixes versions: its regular expressions (Oniguruma), its Digits pre-tokenizer, the word boundary of added tokens
(Rust) and its NFC each follow the Unicode release that they were built with.

    pip install tokenizers==0.23.3 regex
    python tools/gen_unicode_table.py > src/io/tokenizer/unicode_table.c
"""
import sys
import unicodedata

import regex
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

PINNED = "0.23.3"
BITS = {"LETTER": 1, "NUMBER": 2, "SPACE": 4, "PUNCT": 8, "WORD": 16, "DIGIT": 32, "INERT": 64, "INERT_K": 128,
        "MARK": 256}


def code_points():
    return (cp for cp in range(0x110000) if not 0xD800 <= cp < 0xE000)


def by_regex(pattern):
    remove = normalizers.Replace(Regex(pattern), "")
    return {cp for cp in code_points() if remove.normalize_str(chr(cp)) == ""}


def by_digits():
    digits = pre_tokenizers.Digits(individual_digits=True)
    return {cp for cp in code_points() if len(digits.pre_tokenize_str("a" + chr(cp))) == 2}


def by_punctuation():
    """What the Punctuation pre-tokenizer sets apart."""
    punctuation = pre_tokenizers.Punctuation("isolated")
    return {cp for cp in code_points() if len(punctuation.pre_tokenize_str("a" + chr(cp))) == 2}


def by_word_boundary():
    """An added token with single_word is found beside a character exactly when that is not a word character."""
    t = Tokenizer(models.BPE())
    t.add_tokens([AddedToken("QZ", single_word=True, normalized=False)])
    return {cp for cp in code_points() if not t.encode("QZ" + chr(cp)).ids}


# Blocks of Unicode 16 with canonical compositions, for which no package here has the mappings.
COMPOSING_BLOCKS = [(0x11380, 0x113FF), (0x16100, 0x1613F), (0x16D40, 0x16D7F)]


def inert():
    """Characters that take part in normalisation today but do not in the reference, whose NFC follows an old Unicode."""
    nfc, nfd, found = normalizers.NFC(), normalizers.NFD(), set()
    ccc = {}
    for v in range(1, 255):
        try:
            ccc[v] = regex.compile(rf"\p{{ccc={v}}}")
        except regex.error:
            pass  # no character has this class
    not_starter, decomposes = regex.compile(r"\P{ccc=0}"), regex.compile(r"\p{Decomposition_Type=Canonical}")
    for cp in code_points():
        c = chr(cp)
        if not_starter.match(c):
            v = next(v for v in ccc if ccc[v].match(c))
            probe = "x" + c + "\u0323" if v == 230 else "x" + c + "\u0301" if v > 230 else "x\u0301" + c
            if nfc.normalize_str(probe) == probe:
                found.add(cp)
        elif decomposes.match(c) and nfd.normalize_str(c) == c:
            found.update([cp], (int(part, 16) for part in unicodedata.decomposition(c).split()))
    for first, last in COMPOSING_BLOCKS:
        found.update(range(first, last + 1))
    return found


def inert_compatibility():
    """Characters with a compatibility decomposition today that the reference's NFKC does not know."""
    nfkd, tagged = normalizers.NFKD(), regex.compile(r"\P{Decomposition_Type=None}")
    return {cp for cp in code_points() if tagged.match(chr(cp)) and nfkd.normalize_str(chr(cp)) == chr(cp)}


def main():
    if tokenizers.__version__ != PINNED:
        sys.exit(f"tokenizers {PINNED} is needed, this is {tokenizers.__version__}")
    sets = {
        "LETTER": by_regex(r"\p{L}"),
        "NUMBER": by_regex(r"\p{N}"),
        "SPACE": by_regex(r"\s"),
        "PUNCT": by_regex(r"\p{P}"),
        "WORD": by_word_boundary(),
        "DIGIT": by_digits(),
        "INERT": inert(),
        "INERT_K": inert_compatibility(),
        "MARK": by_punctuation(),
    }
    rows, last = [], None
    for cp in range(0x110000):
        value = sum(BITS[name] for name, members in sets.items() if cp in members)
        if value != last:
            rows.append((cp, value))
            last = value
    print("/* unicode_table: made by tools/gen_unicode_table.py from tokenizers " + PINNED + "; do not edit.")
    print(" * Each row is the first code point of a range and the UNICODE_* bits of all of it, up to the next row. */")
    print('#include "io/tokenizer/unicode.h"\n')
    print("// clang-format off")
    print("const struct unicode_range unicode_table[] = {")
    for i in range(0, len(rows), 7):
        print("    " + " ".join("{0x%05x, %d}," % row for row in rows[i : i + 7]))
    print("};")
    print("// clang-format on")
    print("const size_t unicode_table_rows = sizeof unicode_table / sizeof unicode_table[0];")
    counts = ", ".join(f"{name} {len(members)}" for name, members in sets.items())
    print(counts + f"; {len(rows)} ranges", file=sys.stderr)


if __name__ == "__main__":
    main()
