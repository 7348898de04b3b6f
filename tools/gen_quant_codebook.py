#!/usr/bin/env python3
"""Prints the tables of the GGUF types that choose from a codebook (src/array/codec/quant_codebook_table.c), from the Python
package gguf, and its notice (quant_codebook_notice.txt beside it).

usage: tools/gen_quant_codebook.py [FOLDER]     needs: pip install gguf
"""
import importlib.metadata
import pathlib
import sys

import gguf
import numpy as np
from gguf import quants

folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "src/array/codec")
version = importlib.metadata.version("gguf")

# The lines that the MIT licence asks to be kept with copies. Wheels carry them as a file.
notice = next(f for f in importlib.metadata.files("gguf") if f.name.upper().startswith("LICENSE"))


def grid_rows(kind, bits):
    """The rows of a grid as integers of 16 bits: positions in grid_map, `bits` an element, the first one lowest."""
    kind.init_grid()
    levels = [float(x) for x in kind.grid_map]
    rows = kind.grid.reshape(kind.grid_shape)
    return [sum(levels.index(float(x)) << bits * i for i, x in enumerate(row)) for row in rows]


def array(kind, name, values, form):
    lines, line = [], ""
    for value in values:
        item = format(value, form) + ", "
        if len(line + item) > 120:
            lines.append(line.rstrip())
            line = ""
        line += item
    lines.append(line.rstrip(", "))
    body = "\n".join("    " + line for line in lines)
    return f"const {kind} {name}[{len(values)}] = {{\n{body}}};\n" if len(lines) > 1 else \
        f"const {kind} {name}[{len(values)}] = {{{lines[0]}}};\n"


q = quants
parts = [
    f"/* quant_codebook_table: printed by tools/gen_quant_codebook.py from the Python package gguf {version}, whose notice is in\n"
    " * quant_codebook_notice.txt. What rows mean stands in quant_codebook.h. */\n"
    '#include "array/codec/quant_codebook.h"\n\n// clang-format off\n',
    array("int8_t", "quant_level_iq4", q.IQ4_NL.kvalues, "d"),
    array("int8_t", "quant_level_iq2", q.IQ2_XXS.grid_map, "d"),
    array("int8_t", "quant_level_iq3_xxs", q.IQ3_XXS.grid_map, "d"),
    array("int8_t", "quant_level_iq3_s", q.IQ3_S.grid_map, "d"),
]
assert q.IQ2_XXS.grid_map == q.IQ2_XS.grid_map == q.IQ2_S.grid_map and q.IQ1_S.grid_map == (-1, 0, 1)
for name, kind, bits in (("iq2_xxs", q.IQ2_XXS, 2), ("iq2_xs", q.IQ2_XS, 2), ("iq2_s", q.IQ2_S, 2), ("iq1", q.IQ1_S, 2),
                         ("iq3_xxs", q.IQ3_XXS, 4), ("iq3_s", q.IQ3_S, 4)):
    parts.append(array("uint16_t", f"quant_grid_{name}", grid_rows(kind, bits), "#06x"))
signs = np.frombuffer(q.IQ2_XXS.ksigns, dtype=np.uint8)
assert all(signs[i] == i | (bin(i).count("1") & 1) << 7 for i in range(128))  # computed, so not printed
parts.append("// clang-format on\n")
(folder / "quant_codebook_table.c").write_text("\n".join(parts[:1]) + "".join(parts[1:]))
text = notice.read_text() if hasattr(notice, "read_text") else open(notice.locate()).read()
(folder / "quant_codebook_notice.txt").write_text(
    f"quant_codebook_table.c holds tables of the Python package gguf {version}, which has this notice:\n\n{text}")
