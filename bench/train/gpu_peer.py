#!/usr/bin/env python3
"""The peer of training on a card: LoRA steps with PyTorch and Transformers, on a folder that `your_ai init` wrote.

  gpu_peer.py MODEL [--batch B] [--length T] [--steps N] [--compile] [--checkpoint] [--adapter PEFT_DIR] [--tokens FILE]
              [--dtype bf16|f32] [--gradients FILE] [--lr X] [--f32-adapter] [--wait FILE]

LoRA r=16, alpha=32 on all seven linear layers, AdamW on the adapter, no dropout, no clipping, mean loss over B * (T - 1) targets,
bf16 weights and activations. With the package peft the adapter is PEFT's (its adapters in f32 cast to bf16, as its users run it
for speed); without it the same math is written out here: y = W x + (alpha / r) B A x as three products. The line says which.

Prints one JSON line: tokens/s (median step), loss and gradient norm of each step, peak memory as the driver reports it (all that is
in use on the card, context included: run it alone) and as PyTorch has reserved it, the card's name. Tokens are random, the same for the same seed.
"""
import argparse
import json
import os
import statistics
import sys
import time

import torch

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
RANK, ALPHA = 16, 32
ADAMW = dict(betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)


class LoraLinear(torch.nn.Module):
    """A frozen linear layer with an adapter: the math of peft.tuners.lora.Linear without dropout."""

    def __init__(self, base):
        super().__init__()
        self.base = base
        options = dict(device=base.weight.device, dtype=base.weight.dtype)
        self.lora_A = torch.nn.Parameter(torch.empty(RANK, base.in_features, **options).normal_(0, 0.02))
        self.lora_B = torch.nn.Parameter(torch.empty(base.out_features, RANK, **options).normal_(0, 0.02))

    def forward(self, x):
        low = torch.nn.functional.linear(x, self.lora_A)
        return self.base(x) + (ALPHA / RANK) * torch.nn.functional.linear(low, self.lora_B)


def by_hand(model):
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if name in TARGETS:
                setattr(module, name, LoraLinear(child))
    return model


def with_adapter(model, adapter, dtype):
    """The model with an adapter whose B is not zero, and the words that say how it was made."""
    try:
        import peft
    except ImportError:
        if adapter:
            raise SystemExit("error: an adapter from a folder needs the package peft")
        return by_hand(model), "LoRA modules written out"
    if adapter:
        model = peft.PeftModel.from_pretrained(model, adapter, is_trainable=True)
    else:
        config = peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=TARGETS, task_type="CAUSAL_LM")
        model = peft.get_peft_model(model, config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.data = parameter.data.to(dtype)
                if "lora_B" in name and not adapter:
                    parameter.normal_(0.0, 0.02)
    return model, "peft " + peft.__version__


def batches(options, vocab):
    if options.tokens:
        import numpy

        flat = numpy.fromfile(options.tokens, dtype=numpy.int32).astype(numpy.int64)
        return torch.from_numpy(flat).reshape(-1, options.batch, options.length)[: options.steps]
    generator = torch.Generator().manual_seed(options.seed)
    return torch.randint(3, vocab, (options.steps, options.batch, options.length), generator=generator)


def driver_used():
    free, total = torch.cuda.mem_get_info()
    return total - free


def place(name):
    """Sorts parameters as our adapters do: by layer, linear layer, A before B."""
    layer = int(name.split("layers.")[1].split(".")[0])
    target = next(i for i, t in enumerate(TARGETS) if t in name)
    return layer, target, "lora_B" in name


def save_gradients(model, path):
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    with open(path, "wb") as f:
        for _, p in sorted(named, key=lambda item: place(item[0])):
            f.write(p.grad.float().cpu().numpy().tobytes())


def wait_for(path):
    """Lets several peers compile beside each other, and be timed alone."""
    print("ready", path, file=sys.stderr, flush=True)
    while not os.path.exists(path):
        time.sleep(0.02)


def train(model, forward, data, options):
    gradients = options.gradients
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, fused=True, lr=options.lr, **ADAMW)
    seconds, losses, norms, peak = [], [], [], 0
    for ids in data:
        ids = ids.cuda()
        torch.cuda.synchronize()
        start = time.perf_counter()
        loss = forward(input_ids=ids, labels=ids).loss
        loss.backward()
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm([p.grad for p in parameters])).float())
        if gradients and not losses:
            save_gradients(model, gradients)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
        losses.append(loss.item())
        norms.append(norm.item())
        peak = max(peak, driver_used())
        if options.wait and len(losses) == 1:
            wait_for(options.wait)
    return seconds, losses, norms, peak


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--length", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--checkpoint", action="store_true", help="recompute each layer's activations in backward")
    parser.add_argument("--adapter")
    parser.add_argument("--tokens", help="int32 ids, (steps, batch, length)")
    parser.add_argument("--dtype", choices=["bf16", "f32"], default="bf16")
    parser.add_argument("--gradients", help="writes those of the first step, f32, in the order of our adapter's parameters")
    parser.add_argument("--f32-adapter", action="store_true", help="as PEFT does by itself: steps that bf16 would round away count")
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--wait", help="after the first step, wait until there is this file")
    options = parser.parse_args()
    from transformers import AutoModelForCausalLM

    torch.manual_seed(options.seed)
    dtype = torch.bfloat16 if options.dtype == "bf16" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=dtype, attn_implementation="sdpa").cuda()
    model.config.use_cache = False
    model, made = with_adapter(model, options.adapter, torch.float32 if options.f32_adapter else dtype)
    if options.checkpoint:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    forward = torch.compile(model) if options.compile else model
    data = batches(options, model.config.vocab_size)
    seconds, losses, norms, peak = train(model, forward, data, options)
    steady = seconds[min(3, len(seconds) - 1):]
    print(json.dumps({
        "peer": ("compiled" if options.compile else "eager") + (", checkpointing" if options.checkpoint else ""),
        "dtype": options.dtype, "card": torch.cuda.get_device_name(), "torch": torch.__version__, "adapter": made,
        "batch": options.batch, "length": options.length,
        "tokens_per_second": options.batch * options.length / statistics.median(steady),
        "step_seconds": statistics.median(steady), "peak_gib": peak / 2**30,
        "reserved_gib": torch.cuda.max_memory_reserved() / 2**30, "seconds": seconds, "losses": losses, "grad_norms": norms,
    }))


if __name__ == "__main__":
    main()
