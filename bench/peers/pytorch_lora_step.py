#!/usr/bin/env python3
"""The peer of bench_step: LoRA training steps of known shapes (SmolLM2-135M unless said) with PyTorch, Transformers and PEFT on the CPU.

  prepare DIR   random weights (fixed seed), a PEFT adapter with B != 0, and the tokens of all steps, into DIR:
                DIR/model (bf16 safetensors, as such models are distributed), DIR/adapter, DIR/tokens.i32 (steps, B, T)
  run DIR       trains on them, in f32, with autocast to bf16, or on a base that bitsandbytes makes NF4, and prints one JSON line: tokens/s and losses and gradient norms by step, peak RSS

Both sides compute from the same bytes: AdamW, no clipping, no dropout, mean loss over B * (T - 1) targets.
"""
import argparse
import contextlib
import json
import os
import resource
import time

import torch

SHAPES = {
    "smollm2-135m": dict(hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
                         num_key_value_heads=3, vocab_size=49152, rope_theta=100000.0, tie_word_embeddings=True),
    "tinyllama": dict(hidden_size=2048, intermediate_size=5632, num_hidden_layers=22, num_attention_heads=32,
                      num_key_value_heads=4, vocab_size=32000, rope_theta=10000.0, tie_word_embeddings=False),
    "llama-3.2-1b": dict(hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32,
                         num_key_value_heads=8, vocab_size=128256, rope_theta=500000.0, tie_word_embeddings=True),
}
COMMON = dict(max_position_embeddings=8192, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2)
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
RANK, ALPHA = 16, 32
ADAMW = dict(lr=1e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)


def prepare(folder, steps, like, batch, length):
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1234)
    model = LlamaForCausalLM(LlamaConfig(**SHAPES[like], **COMMON)).to(torch.bfloat16)
    model.save_pretrained(os.path.join(folder, "model"))
    model = get_peft_model(model.float(), LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=TARGETS, task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0.0, 0.02)
    model.save_pretrained(os.path.join(folder, "adapter"))
    tokens = torch.randint(3, SHAPES[like]["vocab_size"], (steps, batch, length), dtype=torch.int32)
    tokens.numpy().tofile(os.path.join(folder, "tokens.i32"))


def load(folder, nf4):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    how = dict(dtype=torch.float32)
    if nf4:
        how = dict(dtype=torch.bfloat16, device_map="cpu", quantization_config=BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16))
    model = AutoModelForCausalLM.from_pretrained(os.path.join(folder, "model"), **how)
    model = PeftModel.from_pretrained(model, os.path.join(folder, "adapter"), is_trainable=True)
    model.config.use_cache = False
    return model.train()


def hold(folder, cores):
    """Gives all threads of this process all cores again, once FOLDER/go exists."""
    open(os.path.join(folder, "held"), "w").close()
    while not os.path.exists(os.path.join(folder, "go")):
        time.sleep(0.2)
    for thread in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(thread), cores)


def run(folder, steps, batch, length, compiled, bf16, nf4, held):
    import numpy

    cores = os.sched_getaffinity(0)
    if held:
        os.sched_setaffinity(0, sorted(cores)[-max(1, len(cores) // 2):])

    tokens = numpy.fromfile(os.path.join(folder, "tokens.i32"), dtype=numpy.int32).reshape(-1, batch, length)[:steps]
    model = load(folder, nf4)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, **ADAMW)
    forward = torch.compile(model) if compiled else model
    losses, norms, seconds, cpu = [], [], [], []
    for step in tokens:
        ids = torch.from_numpy(step.astype(numpy.int64))
        start, start_cpu = time.perf_counter(), time.process_time()
        with torch.autocast("cpu", torch.bfloat16) if bf16 else contextlib.nullcontext():
            loss = forward(input_ids=ids, labels=ids).loss
        loss.backward()
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(p.grad) for p in parameters]))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        norms.append(norm.item())
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
        if held and len(seconds) == 1:
            hold(held, cores)
    print(json.dumps({
        "peer": "pytorch-" + ("compile" if compiled else "eager") + ("-bf16" if bf16 else "") + ("-nf4" if nf4 else ""),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "tokens_per_step": batch * length,
        "seconds": seconds,
        "tokens_per_second": batch * length / min(seconds[1:] or seconds),
        "cpu_seconds": cpu[1:] or cpu,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "losses": losses,
        "grad_norms": norms,
    }))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["prepare", "run"])
    parser.add_argument("folder")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--like", choices=SHAPES, default="smollm2-135m", help="for prepare")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--bf16", action="store_true", help="torch.autocast")
    parser.add_argument("--nf4", action="store_true", help="the base in NF4 by bitsandbytes")
    parser.add_argument("--hold", metavar="FOLDER", help="for --compile, which takes minutes: the first step on half of the cores, then "
                        "a file FOLDER/held, and the other steps on all when FOLDER/go is there")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.what == "prepare":
        prepare(options.folder, options.steps, options.like, options.batch, options.length)
    else:
        run(options.folder, options.steps, options.batch, options.length, options.compile, options.bf16, options.nf4, options.hold)


if __name__ == "__main__":
    main()
