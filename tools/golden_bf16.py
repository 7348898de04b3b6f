#!/usr/bin/env python3
"""How far bf16 takes PyTorch itself from f32 on the models of tests/data/golden: for each family, the cosine of all adapter gradients
in bf16 (weights, activations and adapter in bf16) with those in f32. tests/model/test_golden.c holds ours to these figures.

Needs: torch, transformers, peft, safetensors. Run: tools/golden_bf16.py"""
import os

import peft
import safetensors.torch
import torch
from transformers import AutoModelForCausalLM

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "data", "golden")


def gradient(path, tokens, dtype):
    model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype)
    model = peft.PeftModel.from_pretrained(model, os.path.join(path, "adapter"), is_trainable=True)
    logits = model(input_ids=tokens).logits[0, :-1].float()
    torch.nn.functional.cross_entropy(logits, tokens[0, 1:]).backward()
    parts = sorted((name, p.grad) for name, p in model.named_parameters() if p.grad is not None)
    return torch.cat([grad.flatten().double() for _, grad in parts])


for family in ("llama2", "llama32", "mistral", "qwen2", "qwen3"):
    path = os.path.join(ROOT, family)
    tokens = safetensors.torch.load_file(os.path.join(path, "golden.safetensors"))["tokens"].long()[None]
    exact, rounded = gradient(path, tokens, torch.float32), gradient(path, tokens, torch.bfloat16)
    print(f"{family}: {torch.nn.functional.cosine_similarity(exact, rounded, dim=0).item():.6f}")
