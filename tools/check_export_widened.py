#!/usr/bin/env python3
"""K-quants of a model whose columns divide by 256, so that none falls back to another type: MODEL is exported in every TYPE, llama.cpp
loads each file, and its own quantiser widens it to F32; on that its logits for ten prompts, its most probable tokens and its greedy
texts are those of our library on the file of blocks (every logit within 1e-3). What llama.cpp computes on the file of blocks itself,
where it rounds activations to 8 bits, is printed beside it without a bound (check_export_llama.py has one, from a third computation
that takes too long on a larger model).

The F32 file takes 4 bytes a weight on the disk, beside the temporary folder's other files (TMPDIR). Needs llama-cpp-python, numpy.

    tools/check_export_widened.py build/your_ai models/qwen2.5-coder-1.5b.gguf [TYPE ...]
"""
import glob
import os
import sys
import tempfile

from check_export_llama import Llama, check_file, ids_of_prompts, widen
from check_support import run
from logits_support import Comparison
from your_ai_library import Model

TYPES = "q4_k_m q5_k_m q6_k".split()


def types_of(path):
    """How many tensors of each type a file has: no fallback type may be among them."""
    import gguf
    counts = {}
    for tensor in gguf.GGUFReader(path).tensors:
        counts[tensor.tensor_type.name] = counts.get(tensor.tensor_type.name, 0) + 1
    return counts


def as_it_is(what, path):
    ours, theirs, result = Model(path, compute="f32"), Llama(path), Comparison(f"{what}, as llama.cpp computes it")
    for ids in ids_of_prompts(what, ours, theirs):
        result.add(ours.logits(ids), theirs.logits(ids), unsure=float("inf"))
    result.finish()
    ours.close()


def main(program, model, *types):
    with tempfile.TemporaryDirectory() as folder:
        for kind in types or TYPES:
            out = os.path.join(folder, kind)
            run(program, "export", "-m", model, "--to", f"gguf:{kind}", "-o", out)
            path = glob.glob(os.path.join(out, "*.gguf"))[0]
            counts = types_of(path)
            print(f"gguf:{kind}: {os.path.getsize(path)} bytes, " + ", ".join(f"{n} {name}" for name, n in sorted(counts.items())))
            fallen = set(counts) - {"F32", "Q4_K", "Q5_K", "Q6_K"}
            if fallen:
                raise SystemExit(f"{model}: {', '.join(sorted(fallen))} in gguf:{kind}; columns do not divide by 256")
            as_it_is(f"gguf:{kind}", path)
            wide = os.path.join(out, "wide.gguf")
            widen(path, wide)
            check_file(f"gguf:{kind}, widened by llama.cpp", path, foreign=wide, absolute=1e-3)
            run("rm", "-rf", out)


if __name__ == "__main__":
    main(*sys.argv[1:])
