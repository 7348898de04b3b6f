#!/usr/bin/env python3
"""Adapters between PEFT and us, both ways, on the weights of a GGUF model (transformers sees them dequantised in f32):

  1. adapters with random A and B that PEFT writes (plain; rank and alpha patterns; rsLoRA on chosen layers; a regular
     expression as target) give PEFT's log-probabilities in our program;
  2. adapters that our program trains (all linears; rsLoRA, two linears, last layers) give our log-probabilities in PEFT.

Every token's log-probability must agree within 1e-3. Needs torch, transformers, peft, gguf.

    tools/check_peft.py build/your_ai models/smollm2-135m.gguf
"""
import json
import os
import sys
import tempfile

import peft
import torch

import gguf_to_hf
from check_support import TEXT, compare, load, ours, run, theirs

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
FROM_PEFT = {
    "plain": dict(r=8, lora_alpha=16, target_modules=ALL),
    "patterns": dict(r=4, lora_alpha=8, target_modules=ALL, rank_pattern={"q_proj": 2, r"layers\.(0|10|2)\.mlp\.down_proj": 6},
                     alpha_pattern={"v_proj": 5, "layers.1.mlp.up_proj": 3, r"^model\.layers\.\d\.self_attn\.o_proj": 20}),
    "rslora_layers": dict(r=9, lora_alpha=4, use_rslora=True, target_modules=["k_proj", "up_proj"], layers_to_transform=[3, 29]),
    "expression": dict(r=3, lora_alpha=6, target_modules=r".*\.self_attn\.(q|v)_proj"),
}
FROM_US = {
    "all": ["--rank", 8],
    "rslora_last": ["--rank", 5, "--alpha", 7, "--rslora", "--targets", "q_proj,down_proj", "--last-layers", 4],
}


def from_peft(program, model, folder, base):
    for i, (name, options) in enumerate(FROM_PEFT.items()):
        generator = torch.Generator().manual_seed(i)
        wrapped = peft.get_peft_model(load(base), peft.LoraConfig(task_type="CAUSAL_LM", **options)).eval()
        with torch.no_grad():
            for parameter, p in wrapped.named_parameters():
                if "lora_" in parameter:
                    p.copy_(torch.randn(p.shape, generator=generator) * 0.03)
        path = os.path.join(folder, "peft_" + name)
        wrapped.save_pretrained(path)
        ids, mine = ours(program, model, folder, path)
        compare(f"written by PEFT ({name})", mine, theirs(wrapped, ids), 1e-3)


def from_us(program, model, folder, base):
    data = os.path.join(folder, "train.jsonl")
    with open(data, "w", encoding="utf-8") as f:
        for line in TEXT.splitlines():
            f.write(json.dumps({"text": line}) + "\n")
    for name, options in FROM_US.items():
        path = os.path.join(folder, "run_" + name)
        run(program, "train", "-m", model, "-d", data, "-o", path, "--max-steps", 5, "--lr", 2e-3, *options)
        adapter = os.path.join(path, "adapter")
        ids, before = ours(program, model, folder)
        ids, mine = ours(program, model, folder, adapter)
        if not (mine - before).abs().max() > 0.1:
            raise SystemExit(f"{name}: training changed nothing, so this would prove nothing")
        wrapped = peft.PeftModel.from_pretrained(load(base), adapter).eval()
        compare(f"trained by us ({name})", mine, theirs(wrapped, ids), 1e-3)


def main(program, model):
    with tempfile.TemporaryDirectory() as folder:
        base = os.path.join(folder, "base")
        gguf_to_hf.main(model, base)
        from_peft(program, model, folder, base)
        from_us(program, model, folder, base)


if __name__ == "__main__":
    main(*sys.argv[1:])
