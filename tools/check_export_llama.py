#!/usr/bin/env python3
"""Exported GGUF files in llama.cpp: an adapter is trained for a few steps on a GGUF model, exported merged in every type and as
adapter file, and llama-cpp-python (cache in f32, no flash attention) must give the logits that our library gives for the same
file, on ten prompts:

  f32 and the adapter file on an f32 base    every logit within 1e-3
  f16, bf16                                  relative L2 at most 3e-3 and 2e-2: ggml rounds activations to these types, too
  block types                                relative L2 at most 8e-2: ggml rounds activations to 8 bits

The same ids, the same most probable token everywhere; greedy texts part only where our two best logits are nearer to each other
than the largest difference measured on that file. The Modelfile beside each file is read by check_modelfile.py. Needs
llama-cpp-python and numpy.

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
from logits_support import PROMPTS, Comparison
from your_ai_library import Model

TYPES = "f32 f16 bf16 q8_0 q6_k q5_k_m q5_1 q5_0 q4_k_m q4_1 q4_0".split()
BOUNDS = {"f32": {"absolute": 1e-3}, "f16": {"relative": 3e-3}, "bf16": {"relative": 2e-2}}
NEW = 16


class Llama:
    def __init__(self, path, lora=None):
        self.llama = llama_cpp.Llama(path, n_ctx=256, type_k=0, type_v=0, flash_attn=False, lora_path=lora, verbose=False,
                                     n_threads=int(os.environ.get("THREADS", "1")))

    def ids(self, text):
        return self.llama.tokenize(text.encode(), add_bos=False, special=False)

    def logits(self, ids, keep=0):
        """Of the token after the ids, the first `keep` of which were evaluated before."""
        if keep == 0:
            self.llama.reset()
        self.llama.eval(ids[keep:])
        values = llama_cpp.llama_get_logits_ith(self.llama.ctx, -1)
        return np.ctypeslib.as_array(ctypes.cast(values, ctypes.POINTER(ctypes.c_float)), (self.llama.n_vocab(),)).copy()


def check_greedy(what, ours, theirs, prompt, after, limit):
    """`after`: logits of theirs after the prompt. Returns whether both made the same tokens, up to the end of the text or NEW."""
    wanted = ours.greedy(prompt, NEW)
    for n, token in enumerate(wanted):
        other = int(after.argmax())
        if other != token:
            mine = ours.logits(prompt + wanted[:n])
            if not mine[token] - mine[other] <= limit:
                raise SystemExit(f"{what}: token {n} is {other}, not {token}, whose logit is {mine[token] - mine[other]:.2e} larger")
            return False
        after = theirs.logits(prompt + wanted[:n + 1], len(prompt) + n)
    return True


def check_file(what, path, adapter=None, lora=None, **bounds):
    ours, theirs, result = Model(path, adapter, compute="f32"), Llama(path, lora), Comparison(what, **bounds)
    prompts = [ours.ids(text) for text in PROMPTS]
    for text, ids in zip(PROMPTS, prompts):
        if theirs.ids(text) != ids:
            raise SystemExit(f"{what}: llama.cpp reads {text!r} as other ids")
    for ids in prompts:
        result.add(ours.logits(ids), theirs.logits(ids))
    same = [check_greedy(what, ours, theirs, ids, theirs.logits(ids), result.largest) for ids in prompts]
    result.finish(f"; {sum(same)} of {len(same)} greedy texts of at most {NEW} tokens equal")
    ours.close()


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
            check_file(f"gguf:{kind}", glob.glob(os.path.join(one, "*.gguf"))[0], **BOUNDS.get(kind, {"relative": 8e-2}))
            run("rm", "-rf", one)


if __name__ == "__main__":
    main(*sys.argv[1:])
