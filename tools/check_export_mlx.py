#!/usr/bin/env python3
"""Exported folders in mlx-lm, on MLX's CPU backend: an adapter is trained for a few steps on a model, exported, loaded by mlx-lm and
computed in f32; logits of ten prompts against our library:

  mlx-lora                            on an f32 folder of the base; ours: the same adapter on the same folder    each within 1e-3
  safetensors:f32, merged             ours on the same folder                                                    each within 1e-3
  safetensors:bf16, merged            mlx-lm's weights widened to f32; ours on the same folder                   each within 1e-3
  the same, computed in bf16          mlx-lm as its user would run it; ours in f32. relative L2 2e-2, or no more than 1.5 times what PyTorch
                                      (transformers, the same folder) loses by computing in bf16, where that is more
  mlx:4bit, mlx:8bit, merged          ours on a folder of the weights that mx.dequantize makes of it             each within 1e-3

The same most probable token everywhere. Needs mlx, mlx-lm, safetensors, torch, transformers.

    tools/check_export_mlx.py build/your_ai models/smollm2-135m.gguf
"""
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import mlx.core as mx
import numpy as np
import torch
from mlx_lm.tuner.utils import load_adapters
from mlx_lm.utils import load_model
from transformers import AutoModelForCausalLM

from check_merge import train
from check_support import run
from logits_support import PROMPTS, Comparison
from your_ai_library import Model


def dequantise(folder, out):
    """A folder in MLX's packing as one of plain f32 matrices, for our library."""
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
        config = json.load(f)
    how = config.pop("quantization")
    config.pop("quantization_config", None)
    config.update(dtype="float32", torch_dtype="float32")
    tensors = {}
    for path in sorted(Path(folder).glob("model*.safetensors")):
        tensors.update(mx.load(str(path)))
    plain = {}
    for name, w in tensors.items():
        stem = name.removesuffix(".weight")
        if f"{stem}.scales" in tensors and name.endswith(".weight"):
            scales, biases = (tensors[f"{stem}.{part}"].astype(mx.float32) for part in ("scales", "biases"))
            plain[name] = mx.dequantize(w, scales, biases, group_size=how["group_size"], bits=how["bits"])
        elif not name.endswith((".scales", ".biases")):
            plain[name] = w.astype(mx.float32)
    shutil.copytree(folder, out, ignore=shutil.ignore_patterns("model*.safetensors*", "config.json"))
    mx.save_safetensors(os.path.join(out, "model.safetensors"), plain, {"format": "pt"})
    with open(os.path.join(out, "config.json"), "w", encoding="utf-8") as f:
        json.dump(config, f)


def theirs(folder, adapter=None, dtype=mx.float32):
    model, _ = load_model(Path(folder))
    model.set_dtype(dtype)
    if adapter:
        model = load_adapters(model, adapter)
    model.eval()
    return model


def cost_of_bf16(folder):
    """Relative L2 of PyTorch's logits in bf16 from those in f32, the worst of the prompts."""
    result, ours = Comparison("safetensors:bf16 in PyTorch, bf16 beside f32"), Model(folder, compute="f32")
    models = [AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval() for dtype in (torch.float32, torch.bfloat16)]
    for text in PROMPTS:
        ids = torch.tensor([ours.ids(text)])
        with torch.no_grad():
            exact, rounded = (model(input_ids=ids).logits[0, -1].float().numpy() for model in models)
        result.add(exact, rounded, unsure=2 * float(abs(exact - rounded).max()))
    result.finish()
    ours.close()
    return result.worst


def compare(what, model, ours, **bounds):
    result = Comparison(what, **bounds)
    for text in PROMPTS:
        ids = ours.ids(text)
        result.add(ours.logits(ids), np.array(model(mx.array([ids]))[0, -1].astype(mx.float32)))
    result.finish()
    ours.close()


def main(program, model):
    mx.set_default_device(mx.cpu)
    with tempfile.TemporaryDirectory() as folder:
        adapter, base, plain = train(program, model, folder), os.path.join(folder, "base"), os.path.join(folder, "plain")
        run(program, "export", "-m", model, "--to", "safetensors:f32", "--no-verify", "-o", base)
        out = os.path.join(folder, "out")
        run(program, "export", adapter, "-m", base, "--to", "mlx-lora,peft,safetensors:f32,safetensors:bf16,mlx:4bit,mlx:8bit", "-o", out)
        at = {name: os.path.join(out, name) for name in os.listdir(out)}
        compare("mlx-lora", theirs(base, at["mlx-lora"]), Model(base, at["peft"], compute="f32"), absolute=1e-3)
        compare("safetensors:f32", theirs(at["safetensors-f32"]), Model(at["safetensors-f32"], compute="f32"), absolute=1e-3)
        bf16 = at["safetensors-bf16"]
        compare("safetensors:bf16, computed in f32", theirs(bf16), Model(bf16, compute="f32"), absolute=1e-3)
        compare("safetensors:bf16, computed in bf16", theirs(bf16, dtype=mx.bfloat16), Model(bf16, compute="f32"),
                relative=max(2e-2, 1.5 * cost_of_bf16(bf16)))
        for kind in "mlx-4bit", "mlx-8bit":
            dequantise(at[kind], plain)
            compare(kind.replace("-", ":"), theirs(at[kind]), Model(plain, compute="f32"), absolute=1e-3)
            shutil.rmtree(plain)


if __name__ == "__main__":
    main(*sys.argv[1:])
