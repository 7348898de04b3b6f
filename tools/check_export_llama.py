#!/usr/bin/env python3
"""Exported GGUF files in llama.cpp: an adapter is trained for a few steps on a GGUF model, exported merged in every type and as
adapter file, and llama-cpp-python (cache in f32, no flash attention) must give the logits that our library gives for the same
file, on ten prompts:

  f32 and the adapter file on an f32 base    every logit within 1e-3
  f16, bf16                                  relative L2 at most 3e-3 and 2e-2: ggml rounds activations to these types, too
  block types, widened by llama.cpp          its own quantiser makes an F32 file of ours (ggml's own reading of the blocks), which it
                                             computes without rounding: every logit within 1e-3 of ours on the file of blocks
  block types as they are                    ggml rounds activations to 8 bits in products with blocks (ggml_rounding.py). How much
                                             that costs is measured by a third computation, PyTorch on the same weights with and
                                             without that rounding, the latter within 1e-3 of ours. llama.cpp's relative L2, the mean
                                             of the ten prompts, may be 1.5 times what the rounding costs there: small differences grow
                                             through the layers, so two programs that round are no nearer to each other than to one that
                                             does not. The worst prompt says little: what it costs PyTorch itself is another number when
                                             its activations differ by 1e-6 (docs/peers.md)

The same ids and the same most probable token everywhere; with rounded activations another token may come first where our logits of
both are nearer to each other than the rounding changes a difference of two logits there in the third computation. Greedy texts part
only where our two best logits are nearer to each other than the largest difference measured on that file, or than the rounding
changes a difference there. The Modelfile beside each file is read by check_modelfile.py. Needs llama-cpp-python, numpy, torch, transformers, gguf.

    tools/check_export_llama.py build/your_ai models/smollm2-135m.gguf [TYPE ...]
"""
import ctypes
import glob
import os
import sys
import tempfile

import llama_cpp
import numpy as np

import check_modelfile
from check_merge import train
from check_support import run
from ggml_rounding import GgmlRounding
from logits_support import PROMPTS, Comparison
from your_ai_library import Model

TYPES = "f32 f16 bf16 q8_0 q6_k q5_k_m q5_1 q5_0 q4_k_m q4_1 q4_0".split()
BOUNDS = {"f32": {"absolute": 1e-3}, "f16": {"relative": 3e-3}, "bf16": {"relative": 2e-2}}
NEW = 16


class Llama:
    def __init__(self, path, lora=None):
        threads = int(os.environ.get("THREADS", "1")) # they spin while they wait, which is slow where other programs have the cores
        self.llama = llama_cpp.Llama(path, n_ctx=256, type_k=0, type_v=0, flash_attn=False, lora_path=lora, verbose=False,
                                     n_threads=threads, n_threads_batch=threads)

    def ids(self, text):
        return self.llama.tokenize(text.encode(), add_bos=False, special=False)

    def logits(self, ids, keep=0):
        """Of the token after the ids, the first `keep` of which were evaluated before."""
        if keep == 0:
            self.llama.reset()
        self.llama.eval(ids[keep:])
        values = llama_cpp.llama_get_logits_ith(self.llama.ctx, -1)
        return np.ctypeslib.as_array(ctypes.cast(values, ctypes.POINTER(ctypes.c_float)), (self.llama.n_vocab(),)).copy()


def check_greedy(what, ours, theirs, prompt, after, limit, third=None):
    """`after`: logits of theirs after the prompt. Returns whether both made the same tokens, up to the end of the text or NEW."""
    wanted = ours.greedy(prompt, NEW)
    for n, token in enumerate(wanted):
        other = int(after.argmax())
        if other != token:
            mine = ours.logits(prompt + wanted[:n])
            if third:
                limit = max(limit, third.moved(prompt + wanted[:n]))
            if not mine[token] - mine[other] <= limit:
                raise SystemExit(f"{what}: token {n} is {other}, not {token}, whose logit is {mine[token] - mine[other]:.2e} larger")
            return False
        after = theirs.logits(prompt + wanted[:n + 1], len(prompt) + n)
    return True


def ids_of_prompts(what, ours, theirs):
    prompts = [ours.ids(text) for text in PROMPTS]
    for text, ids in zip(PROMPTS, prompts):
        if theirs.ids(text) != ids:
            raise SystemExit(f"{what}: llama.cpp reads {text!r} as other ids")
    return prompts


def check_file(what, path, adapter=None, lora=None, foreign=None, third=None, **bounds):
    """`foreign`: what llama.cpp opens, where that is another file than ours. `third`: a GgmlRounding, which says how far the rounding of
    activations moves logits."""
    ours, theirs, result = Model(path, adapter, compute="f32"), Llama(foreign or path, lora), Comparison(what, **bounds)
    prompts = ids_of_prompts(what, ours, theirs)
    for ids in prompts:
        result.add(ours.logits(ids), theirs.logits(ids), third.moved(ids) if third else None)
    same = [check_greedy(what, ours, theirs, ids, theirs.logits(ids), result.largest, third) for ids in prompts]
    result.finish(f"; {sum(same)} of {len(same)} greedy texts of at most {NEW} tokens equal")
    ours.close()


def widen(path, out):
    """llama.cpp's own F32 file of a file of blocks."""
    how = llama_cpp.llama_model_quantize_default_params()
    how.ftype, how.allow_requantize, how.nthread = llama_cpp.LLAMA_FTYPE_ALL_F32, True, 1
    if llama_cpp.llama_model_quantize(path.encode(), out.encode(), how) != 0:
        raise SystemExit(f"llama.cpp does not widen {path}")


def cost_of_rounding(what, path, third):
    """Relative L2 that rounded activations cost PyTorch, the mean of the prompts. Stops where PyTorch without rounding is not near ours."""
    ours = Model(path, compute="f32")
    exact, rounded = Comparison(f"{what}, PyTorch", absolute=1e-3), Comparison(f"{what}, PyTorch, 8-bit activations")
    for text in PROMPTS:
        ids = ours.ids(text)
        plain, other = third.logits(ids), third.logits(ids, rounds=True)
        exact.add(ours.logits(ids), plain)
        rounded.add(plain, other, unsure=third.moved(ids))
    exact.finish()
    rounded.finish()
    ours.close()
    return rounded.mean()


def check_blocks(what, path):
    wide = path.removesuffix(".gguf") + "-wide.gguf"
    widen(path, wide)
    check_file(f"{what}, widened by llama.cpp", path, foreign=wide, absolute=1e-3)
    os.remove(wide)
    third = GgmlRounding(path)
    check_file(what, path, third=third, mean=1.5 * cost_of_rounding(what, path, third))


def main(program, model, *types):
    with tempfile.TemporaryDirectory() as folder:
        adapter, out = train(program, model, folder), os.path.join(folder, "out")
        run(program, "export", "-m", model, "--to", "gguf:f32", "-o", os.path.join(folder, "base"))
        base = glob.glob(os.path.join(folder, "base", "*.gguf"))[0]
        run(program, "export", adapter, "-m", base, "--to", "gguf-lora,peft", "--system", 'Say "yes".\nOr no.', "-o", out)
        check_modelfile.check(os.path.join(out, "gguf-lora"))
        check_file("gguf-lora on f32", base, os.path.join(out, "peft"), os.path.join(out, "gguf-lora", "adapter.gguf"), absolute=1e-3)
        for kind in types or TYPES:
            one = os.path.join(folder, kind)
            run(program, "export", adapter, "-m", model, "--to", f"gguf:{kind}", "--no-verify", "-o", one)
            check_modelfile.check(one)
            path = glob.glob(os.path.join(one, "*.gguf"))[0]
            if kind in BOUNDS:
                check_file(f"gguf:{kind}", path, **BOUNDS[kind])
            else:
                check_blocks(f"gguf:{kind}", path)
            run("rm", "-rf", one)


if __name__ == "__main__":
    main(*sys.argv[1:])
