#!/usr/bin/env python3
"""Makes tests/data/families/<name>: tiny random models of more families and configurations than tests/data/golden holds (windows
on some layers, layers without positions, factors, fused projections, norms behind, yarn, dynamic, longrope), each with a PEFT
adapter and what transformers and PEFT compute. The files are those of tools/gen_golden.py without the curve of a training:
tokens, base_logits, logits, loss and a gradient for every matrix of the adapter.

Needs: torch, transformers, peft, safetensors (versions are written to tests/data/families/versions.json).
Run: tools/gen_golden_families.py [NAME...]
"""
import json
import os
import shutil
import sys

import peft
import safetensors.torch
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

from gen_golden import ALL, randomise

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "data", "families")
VOCAB, T = 48, 48

COMMON = dict(vocab_size=VOCAB, hidden_size=24, intermediate_size=32, num_hidden_layers=3, num_attention_heads=4,
              num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5, initializer_range=0.2, bos_token_id=1,
              eos_token_id=2, pad_token_id=0, attention_dropout=0.0)
PLAIN = {"rope_type": "default", "rope_theta": 10000.0}
# Phi-3: heads of 8, of which 6 or all 8 elements are turned.
PHI3 = {**COMMON, "hidden_size": 32, "tie_word_embeddings": False}
FACTORS = {"short_factor": [1.0, 1.3, 2.0, 2.5], "long_factor": [1.5, 4.0, 12.0, 30.0]}


def longrope(pairs, partial):
    return {"rope_type": "longrope", "rope_theta": 10000.0, "partial_rotary_factor": partial,
            **{k: v[:pairs] for k, v in FACTORS.items()}}


FAMILIES = {
    "ministral": dict(model_type="ministral", **COMMON, head_dim=8, sliding_window=7, rope_parameters=PLAIN,
                      layer_types=["sliding_attention", "full_attention", "sliding_attention"]),
    "ministral3": dict(model_type="ministral3", **COMMON, head_dim=8,
                       rope_parameters={"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "beta_fast": 32.0,
                                        "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0,
                                        "original_max_position_embeddings": 16, "llama_4_scaling_beta": 0.3}),
    "qwen2_windows_yarn": dict(model_type="qwen2", **COMMON, use_sliding_window=True, sliding_window=6, max_window_layers=1,
                               rope_parameters={"rope_type": "yarn", "rope_theta": 1000000.0, "factor": 4.0,
                                                "original_max_position_embeddings": 64}),
    "llama_yarn": dict(model_type="llama", **COMMON, head_dim=16,
                       rope_parameters={"rope_type": "yarn", "rope_theta": 500.0, "factor": 8.0, "attention_factor": 1.4,
                                        "beta_fast": 8.0, "beta_slow": 2.0, "truncate": False,
                                        "original_max_position_embeddings": 64}),
    "llama_dynamic": dict(model_type="llama", **COMMON,
                          rope_parameters={"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}),
    "smollm3": dict(model_type="smollm3", **COMMON, no_rope_layer_interval=2, use_sliding_window=True, sliding_window=9,
                    tie_word_embeddings=True, rope_parameters=PLAIN),
    "granite": dict(model_type="granite", **COMMON, tie_word_embeddings=True, embedding_multiplier=3.0,
                    residual_multiplier=0.6, attention_multiplier=0.3, logits_scaling=4.0, rope_parameters=PLAIN),
    "phi3_short": dict(model_type="phi3", **PHI3, original_max_position_embeddings=64, rope_parameters=longrope(3, 0.75)),
    "phi3_long": dict(model_type="phi3", **PHI3, original_max_position_embeddings=16, sliding_window=20,
                      rope_parameters=longrope(4, 1.0)),
    "olmo2": dict(model_type="olmo2", **COMMON, rope_parameters=PLAIN),
}
FUSED = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
ADAPTERS = {
    "phi3_short": dict(target_modules=FUSED, rank_pattern={"gate_up_proj": 2}, alpha_pattern={"qkv_proj": 5}),
    "phi3_long": dict(target_modules=FUSED, use_rslora=True),
}


def make(name, seed):
    path = os.path.join(ROOT, name)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    options = dict(FAMILIES[name])
    config = AutoConfig.for_model(options.pop("model_type"), **options)
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    randomise(model, generator)
    model.save_pretrained(path)

    tokens = torch.randint(3, VOCAB, (1, T), generator=generator)
    out = dict(tokens=tokens[0].to(torch.int32))
    with torch.no_grad():
        out["base_logits"] = model(input_ids=tokens, use_cache=False).logits[0].float()

    lora = dict(r=3, lora_alpha=6, target_modules=ALL, lora_dropout=0.0, task_type="CAUSAL_LM")
    lora.update(ADAPTERS.get(name, {}))
    wrapped = peft.get_peft_model(model, peft.LoraConfig(**lora))
    matrices = {n: p for n, p in wrapped.named_parameters() if "lora_" in n}
    with torch.no_grad():
        for p in matrices.values():
            p.copy_(torch.randn(p.shape, generator=generator) * 0.2)
    wrapped.save_pretrained(os.path.join(path, "adapter"))
    os.remove(os.path.join(path, "adapter", "README.md"))
    os.remove(os.path.join(path, "generation_config.json"))

    logits = wrapped(input_ids=tokens, use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(logits[0, :-1], tokens[0, 1:])
    loss.backward()
    out["logits"] = logits[0].detach().float()
    out["loss"] = loss.detach().double().reshape(1)
    for n, p in matrices.items():
        out["grad." + n.replace(".default", "")] = p.grad.clone()
    safetensors.torch.save_file({k: v.contiguous() for k, v in out.items()}, os.path.join(path, "golden.safetensors"))
    print(name, "loss", loss.item(), "adapter moves logits by", (out["logits"] - out["base_logits"]).abs().max().item())


def main():
    os.makedirs(ROOT, exist_ok=True)
    torch.set_num_threads(1)
    names = list(FAMILIES)
    for name in sys.argv[1:] or names:
        make(name, 2000 + names.index(name))
    with open(os.path.join(ROOT, "versions.json"), "w") as f:
        json.dump(dict(torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__), f, indent=2)
        f.write("\n")


if __name__ == "__main__":
    main()
