#!/usr/bin/env python3
"""Writes src/io/template/jinja_case_table.c: the characters whose upper case in Python is more than one character."""
import os
import sys
import unicodedata

ROWS = [(cp, chr(cp).upper()) for cp in range(0x110000) if len(chr(cp).upper()) > 1]
OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "src", "io", "template", "jinja_case_table.c")

with open(OUT, "w", encoding="utf-8") as f:
    f.write("/* Made by tools/gen_case_table.py (Unicode %s): characters whose upper case is more than one character. */\n"
            '#include "io/template/jinja_internal.h"\n\nconst struct jinja_upper jinja_upper_table[] = {\n' % unicodedata.unidata_version)
    line = "   "
    for cp, upper in ROWS:
        entry = ' {0x%X, "%s"},' % (cp, "".join("\\x%02x" % b for b in upper.encode()))
        if len(line) + len(entry) > 120:
            f.write(line + "\n")
            line = "   "
        line += entry
    f.write(line + "\n};\nconst size_t jinja_upper_rows = sizeof jinja_upper_table / sizeof jinja_upper_table[0];\n")
print(len(ROWS), "rows", file=sys.stderr)
