#!/usr/bin/env python3
"""The peer of `your_ai bench-kernels --only train`: LoRA training steps with mlx-lm on MLX's CPU backend.

  mlx_lora_step.py HF_FOLDER IDS.txt [--documents 1] [--length 64] [--rank 16] [--steps 2]

HF_FOLDER is what tools/gguf_to_hf.py makes of the GGUF: the same numbers in f32. IDS.txt holds the ids of the text, which is
repeated and cut into documents as bench does. AdamW without decay, adapters on all seven linear layers of all layers, B = 0, so the
loss of the first step is the base model's on both sides whatever A is. Prints one JSON line with the fastest step. mlx-lm drops
the last token of a document from the input: one position less than we compute.
"""
import argparse
import json
import pathlib
import resource
import time

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import mlx_lm
from mlx_lm.tuner.trainer import default_loss
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.utils import load_model

PLACES = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
          "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]


def documents(path, n, length):
    ids = [int(word) for word in pathlib.Path(path).read_text().split()]
    return mx.array([[ids[(d * length + j) % len(ids)] for j in range(length)] for d in range(n)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("ids")
    parser.add_argument("--documents", type=int, default=1)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--steps", type=int, default=2)
    options = parser.parse_args()
    mx.set_default_device(mx.cpu)
    mx.random.seed(1)

    model, _ = load_model(pathlib.Path(options.model))
    model.freeze()
    linear_to_lora_layers(model, len(model.layers),
                          {"rank": options.rank, "scale": 2.0, "dropout": 0.0, "keys": PLACES})
    model.train()
    optimizer = optim.AdamW(learning_rate=1e-4, weight_decay=0.0)
    step = nn.value_and_grad(model, default_loss)
    batch = documents(options.ids, options.documents, options.length)
    lengths = mx.array([[1, options.length]] * options.documents)

    losses, runs = [], []
    for _ in range(options.steps):
        start = (time.perf_counter(), time.process_time())
        (loss, _), grads = step(model, batch, lengths)
        optimizer.update(model, grads)
        mx.eval(model.parameters(), optimizer.state, loss)
        runs.append((time.perf_counter() - start[0], time.process_time() - start[1]))
        losses.append(loss.item())
    seconds, cpu = min(runs)
    tokens = options.documents * options.length
    print(json.dumps({
        "peer": "mlx-lm",
        "version": f"mlx-lm {mlx_lm.__version__}, mlx {mx.__version__} on the CPU",
        "work": f"LoRA r={options.rank} on 7 linear layers, {options.documents} x {options.length} tokens a step, AdamW, f32 compute",
        "train": {"tokens": tokens, "seconds": seconds, "cpu_seconds": cpu, "tokens_per_second": tokens / seconds,
                  "cpu_seconds_per_token": cpu / tokens, "loss": losses[0]},
        "losses": losses,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }))


if __name__ == "__main__":
    main()
