#!/usr/bin/env python3
"""Makes tests/data/golden/<family>: tiny random Llama-family models with what transformers and PEFT compute for them.

Each folder is a Hugging Face model (config.json, model.safetensors in f32) with a PEFT adapter (adapter/, random non-zero A and
B) and golden.safetensors:
  tokens i32 (T)            one sequence
  base_logits f32 (T, V)    without the adapter
  logits f32 (T, V)         with it
  loss f64 (1)              mean cross-entropy of tokens[1:] with the adapter
  grad.<PEFT name>          d loss / d A, d loss / d B
  curve_tokens i32 (20, 2, 2, L)   optimizer steps x micro-batches x sequences
  curve_loss f64 (20), curve_norm f64 (20)   loss before and gradient norm (before clipping) of each AdamW step
The curve: loss of a step = sum of nll / number of predicted tokens of the whole step; clip_grad_norm_(1.0); torch AdamW with
lr 0.001, betas (0.9, 0.999), eps 1e-8, weight decay 0.01, constant rate, starting from the adapter in adapter/. It is computed in
f64, and in f32 as well: the two must agree within 5e-4, or the curve is chaotic and no reference (lr 0.01 is).

Needs: torch, transformers, peft, safetensors (versions are written to tests/data/golden/versions.json). Run: tools/gen_golden.py
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

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "data", "golden")
VOCAB, T, L, STEPS = 160, 48, 12, 20

COMMON = dict(vocab_size=VOCAB, hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4,
              num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5, initializer_range=0.15,
              bos_token_id=1, eos_token_id=2, attention_dropout=0.0)

FAMILIES = {
    "llama2": dict(model_type="llama", **{**COMMON, "num_key_value_heads": 4}, tie_word_embeddings=False,
                   rope_parameters={"rope_type": "default", "rope_theta": 10000.0}),
    "llama32": dict(model_type="llama", **COMMON, head_dim=12, tie_word_embeddings=True,
                    rope_parameters={"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
                                     "high_freq_factor": 4.0, "original_max_position_embeddings": 32}),
    "mistral": dict(model_type="mistral", **COMMON, head_dim=16, sliding_window=None, tie_word_embeddings=False,
                    rope_parameters={"rope_type": "default", "rope_theta": 10000.0}),
    "qwen2": dict(model_type="qwen2", **COMMON, tie_word_embeddings=True, use_sliding_window=False,
                  rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}),
    "qwen3": dict(model_type="qwen3", **COMMON, head_dim=20, tie_word_embeddings=False, use_sliding_window=False,
                  rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}),
}
# One family checks every variation of scale and rank at once.
ADAPTERS = {
    "llama2": dict(r=4, lora_alpha=8),
    "llama32": dict(r=4, lora_alpha=8, use_rslora=True),
    "mistral": dict(r=4, lora_alpha=8, rank_pattern={"q_proj": 2, "down_proj": 6}, alpha_pattern={"v_proj": 5, "layers.1.mlp.up_proj": 3}),
    "qwen2": dict(r=3, lora_alpha=6, target_modules=["q_proj", "v_proj"]),
    "qwen3": dict(r=5, lora_alpha=10, layers_to_transform=[1]),
}
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def randomise(module, generator):
    """Norm gains near 1, biases and adapters that matter."""
    with torch.no_grad():
        for name, p in module.named_parameters():
            if "lora_" in name:
                p.copy_(torch.randn(p.shape, generator=generator) * 0.2)
            elif "norm" in name:
                p.copy_(1 + 0.3 * torch.randn(p.shape, generator=generator))
            elif name.endswith("bias"):
                p.copy_(0.3 * torch.randn(p.shape, generator=generator))


def nll_sum(model, tokens):
    logits = model(input_ids=tokens).logits
    return torch.nn.functional.cross_entropy(logits[:, :-1].reshape(-1, VOCAB), tokens[:, 1:].reshape(-1), reduction="sum")


def train(model, curve):
    """Losses and gradient norms of the twenty steps."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=0.001, weight_decay=0.01)
    losses, norms = [], []
    for step in range(STEPS):
        optimizer.zero_grad()
        total = 0.0
        for micro in range(2):
            part = nll_sum(model, curve[step, micro].long()) / (2 * 2 * (L - 1))
            part.backward()
            total += part.item()
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, 1.0).item())
        losses.append(total)
        optimizer.step()
    return losses, norms


def make(family, seed):
    path = os.path.join(ROOT, family)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    options = dict(FAMILIES[family])
    config = AutoConfig.for_model(options.pop("model_type"), **options)
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    randomise(model, generator)
    model.save_pretrained(path)

    out = {}
    tokens = torch.randint(3, VOCAB, (1, T), generator=generator)
    with torch.no_grad():
        out["base_logits"] = model(input_ids=tokens).logits[0].float()

    lora = dict(target_modules=ALL, lora_dropout=0.0, task_type="CAUSAL_LM")
    lora.update(ADAPTERS[family])
    wrapped = peft.get_peft_model(model, peft.LoraConfig(**lora))
    randomise_adapter = {n: p for n, p in wrapped.named_parameters() if "lora_" in n}
    with torch.no_grad():
        for p in randomise_adapter.values():
            p.copy_(torch.randn(p.shape, generator=generator) * 0.2)
    wrapped.save_pretrained(os.path.join(path, "adapter"))
    os.remove(os.path.join(path, "adapter", "README.md"))

    loss = nll_sum(wrapped, tokens) / (T - 1)
    loss.backward()
    with torch.no_grad():
        out["logits"] = wrapped(input_ids=tokens).logits[0].float()
    out["tokens"] = tokens[0].to(torch.int32)
    out["loss"] = loss.detach().double().reshape(1)
    for name, p in randomise_adapter.items():
        out["grad." + name.replace(".default", "")] = p.grad.clone()

    # Every step shows the same sequences with a third of the tokens replaced, so that there is something to learn.
    curve = torch.randint(3, VOCAB, (STEPS, 2, 2, L), generator=generator)
    curve = torch.where(torch.rand(curve.shape, generator=generator) < 0.67, curve[:1], curve)
    start = {n: p.detach().clone() for n, p in randomise_adapter.items()}
    single = train(wrapped, curve)
    wrapped.double()
    with torch.no_grad():
        for n, p in randomise_adapter.items():
            p.copy_(start[n])
    losses, norms = train(wrapped, curve)
    worst = max(abs(a / b - 1) for x, y in zip(single, (losses, norms)) for a, b in zip(x, y))
    assert worst < 5e-4, f"{family}: f32 and f64 curves differ by {worst}"
    out["curve_tokens"] = curve.to(torch.int32)
    out["curve_loss"] = torch.tensor(losses, dtype=torch.float64)
    out["curve_norm"] = torch.tensor(norms, dtype=torch.float64)
    safetensors.torch.save_file({k: v.contiguous() for k, v in out.items()}, os.path.join(path, "golden.safetensors"))
    print(family, "loss", loss.item(), "curve", losses[0], losses[-1], "norm", norms[0])


def main():
    os.makedirs(ROOT, exist_ok=True)
    torch.set_num_threads(1)
    for i, family in enumerate(sys.argv[1:] or FAMILIES):
        make(family, 1000 + i)
    with open(os.path.join(ROOT, "versions.json"), "w") as f:
        json.dump(dict(torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__), f, indent=2)
        f.write("\n")


if __name__ == "__main__":
    main()
