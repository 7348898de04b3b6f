#!/usr/bin/env python3
"""`your_ai export` read by other programs: an adapter is trained for a few steps on a GGUF model and exported, and

  gguf         the package gguf opens every type of file and dequantises every tensor; transformers loads it (gguf_file=) with
               tokenizer and chat template, and gives the ids and log-probabilities that our program gives for the same file;
  gguf-lora    the package gguf opens it; both halves of each module are there, with one rank;
  peft         AutoPeftModelForCausalLM loads the folder with no other argument and gives our log-probabilities.

Every token within 1e-3. Needs torch, transformers, peft, gguf.

    tools/check_export.py build/your_ai models/smollm2-135m.gguf [TYPE ...]
"""
import glob
import os
import sys
import tempfile

import gguf
import torch
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM, AutoTokenizer

from check_merge import train
from check_support import TEXT, compare, ours, run, theirs

TYPES = "f32 f16 bf16 q8_0 q6_k q5_k_m q5_1 q5_0 q4_k_m q4_1 q4_0".split()


def check_gguf(program, folder, kind, ids, text_folder):
    path = glob.glob(os.path.join(folder, "*.gguf"))[0]
    for tensor in gguf.GGUFReader(path).tensors:
        if not bool((abs(gguf.quants.dequantize(tensor.data, tensor.tensor_type)) < 1e6).all()):
            raise SystemExit(f"{path}: {tensor.name} dequantises to no numbers")
    where = {"gguf_file": os.path.basename(path)}
    tokenizer = AutoTokenizer.from_pretrained(folder, **where)
    got = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    if got != ids[-len(got):] or not tokenizer.chat_template:
        raise SystemExit(f"{path}: transformers reads another tokenizer from it")
    _, mine = ours(program, path, text_folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **where).eval()
    compare(f"gguf:{kind}: transformers on the file, ours on it", theirs(model, ids), mine, 1e-3)


def check_lora(folder):
    tensors = {t.name: t.shape for t in gguf.GGUFReader(os.path.join(folder, "adapter.gguf")).tensors}
    for name, shape in tensors.items():
        other = name[:-1] + ("b" if name.endswith("a") else "a")
        rank = min(shape) if name.endswith("a") else min(tensors[other])
        if other not in tensors or rank not in shape:
            raise SystemExit(f"adapter.gguf: {name} has no other half of its rank")
    print(f"gguf-lora: {len(tensors)} tensors in pairs")


def check_peft(program, model, adapter, folder):
    base, out = os.path.join(folder, "base"), os.path.join(folder, "peft")
    run(program, "export", "-m", model, "--to", "safetensors:f32", "-o", base)
    run(program, "export", adapter, "-m", base, "--to", "peft", "-o", out)
    ids, wanted = ours(program, base, folder, out)
    compare("peft: AutoPeftModelForCausalLM, ours", theirs(AutoPeftModelForCausalLM.from_pretrained(out, dtype=torch.float32).eval(), ids),
            wanted, 1e-3)


def main(program, model, *types):
    with tempfile.TemporaryDirectory() as folder:
        adapter, out = train(program, model, folder), os.path.join(folder, "out")
        ids, _ = ours(program, model, folder, adapter)
        kinds = types or TYPES
        run(program, "export", adapter, "-m", model, "--to", ",".join(["gguf-lora", *(f"gguf:{k}" for k in kinds)]), "-o", out)
        check_lora(os.path.join(out, "gguf-lora"))
        for kind in kinds:
            check_gguf(program, os.path.join(out, f"gguf-{kind}"), kind, ids, folder)
        check_peft(program, model, adapter, folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
