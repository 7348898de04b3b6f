#!/usr/bin/env python3
"""The MLX engine on the real MLX, beside the native engine and beside mlx-lm's own trainer, written as a record in Markdown:

  parity   tests/engine/test_engine_mlx.c on libmlxc: losses, gradients, 30 steps for every family
  bases    the same training by both engines on a folder of f32, a GGUF file of Q4_1 and MLX's own 4-bit and 8-bit folders, with weighted
           rows: losses and gradient norms of each step within 1e-3; of the packed folders also mlx-lm's loss and gradient of a step
  memory   what the plan says that a step takes beside what MLX's counter of its peak says
  speed    rows of different lengths by mlx-lm's trainer (padded batches) and by `train --engine mlx` (packed), in turns

Needs mlx and mlx-lm of the MLX that libmlxc was built with, and numpy.

    tools/check_mlx_engine.py --library LIBMLXC [--program build/your_ai] [--test build/tests/test_engine_mlx] [--parts parity,bases,memory,speed]
"""
import argparse
import importlib.metadata
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from your_ai_library import Model

LIMIT = 1e-3
WORDS = "a river stone the of under light moves slowly between old towers and nobody there remembers why it was built by whom".split()


def run(command, **environment):
    """(stdout, processor seconds, peak resident bytes) of a command; stops with its output when it fails."""
    done = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env=os.environ | environment)
    text = done.stdout.read()
    _, status, used = os.wait4(done.pid, 0)
    if status != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: status {status}:\n{text[-3000:]}")
    return text, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


def write_rows(path, n, seed, longest, weighted):
    """n rows of 1 to `longest` words."""
    rng = random.Random(seed)
    with open(path, "w", encoding="utf-8") as f:
        for i in range(n):
            row = {"text": " ".join(rng.choice(WORDS) for _ in range(rng.randint(2, longest)))}
            if weighted:
                row["loss_weight"] = [0.5, 1, 2][i % 3]
            f.write(json.dumps(row) + "\n")


def lines_of(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


class Ours:
    """What is asked of the program."""

    def __init__(self, program, library):
        self.program, self.library = program, library

    def __call__(self, *words):
        return run([self.program, *words], YA_LIBMLXC=self.library)

    def train(self, out, model, rows, engine, steps, *more):
        """metrics.jsonl, timing.jsonl, processor seconds and resident peak of a run."""
        _, seconds, peak = self("train", "-m", model, "-d", rows, "-o", out, "--engine", engine, "--max-steps", steps, "--threads", 2,
                                "--compute", "f32", "--schedule", "constant", "--warmup", 0, "--eval-every", 0, "--save-every", 0,
                                *([] if "--adapter" in more else ["--rank", 8]), *more)
        return lines_of(out / "metrics.jsonl"), lines_of(out / "timing.jsonl"), seconds, peak


def parity(args, out):
    text, _, _ = run([args.test], YA_TEST_MLX=args.library)
    rows = {}
    for name, how, apart in re.findall(r"(\S+), (kept|recomputed): gradients within (\S+),", text):
        rows.setdefault(name.split("/")[1], {})[how] = apart
    out.append("**Losses and gradients.** `YA_TEST_MLX=LIBMLXC build/tests/test_engine_mlx`: 40 tokens in three packed documents, a third of the "
               "rows masked, the others weighted between 0.25 and 1.75, two micro-batches. Losses agree to 1e-5 and log-probabilities to 1e-4 (the "
               "test's limits); gradients as ||a - b|| / ||b||:\n\n| Model | blocks kept | recomputed, a step later |\n|---|---|---|")
    out.extend(f"| {name} | {r['kept']} | {r['recomputed']} |" for name, r in rows.items())
    out.append("\n| 30 steps | loss | largest difference of a loss | of the adapters |\n|---|---|---|---|")
    out.extend(f"| {name} | {first} to {last} | {curve} | {adapter} |" for name, first, last, curve, adapter in
               re.findall(r"golden/(\w+): loss (\S+) to (\S+), curves within (\S+), adapters within (\S+)", text))


def step_of_peer(folder, adapter, documents):
    """Loss, gradient norm and tokens of one batch by mlx-lm, and the logits after its first row; its loss is told each row's length without the pad that its trainer counts."""
    import mlx.core as mx
    import mlx.nn as nn
    from mlx.utils import tree_flatten
    from mlx_lm.tuner.trainer import default_loss
    from mlx_lm.tuner.utils import load_adapters
    from mlx_lm.utils import load_model

    mx.set_default_device(mx.cpu)
    model, _ = load_model(Path(folder))
    model.set_dtype(mx.float32)  # it would compute in the folder's bf16
    model.freeze()  # all but what load_adapters adds
    model = load_adapters(model, str(adapter))
    model.train()
    width = max(map(len, documents))
    batch = mx.array([ids + [0] * (width - len(ids)) for ids in documents])
    lengths = mx.array([[0, len(ids) - 1] for ids in documents])
    logits = np.array(model(mx.array([documents[0]]))[0, -1])
    (loss, tokens), gradient = nn.value_and_grad(model, default_loss)(model, batch, lengths)
    norm = sum(mx.sum(mx.square(g.astype(mx.float32))).item() for _, g in tree_flatten(gradient)) ** 0.5
    return loss.item(), norm, tokens.item(), logits


def documents_of(ours, model, rows, length):
    text, _, _ = ours("tokenize", "-m", model, "-d", rows, "--json", "--max-length", length)
    return [json.loads(line)["ids"] for line in text.splitlines() if line.startswith("{")]


def curve(ours, folder, name, model, rows, steps, out):
    """30 steps by both engines; a line of the table."""
    runs = [ours.train(folder / f"{name}-{engine}", model, rows, engine, steps, "--lr", 1e-3, "--batch", 2, "--max-length", 64)[0]
            for engine in ("native", "mlx")]
    apart = [max(abs(a[key] / b[key] - 1) for a, b in zip(*runs)) for key in ("loss", "weighted_loss", "grad_norm")]
    native = runs[0]
    out.append(f"| {name} | {native[0]['loss']:.4f} to {native[-1]['loss']:.4f} | " + " | ".join(f"{x:.1e}" for x in apart) + " |")
    if len(native) != steps or not max(apart) < LIMIT:
        raise SystemExit(f"{name}: {len(native)} steps, the engines differ by {apart}")


def beside_peer(ours, folder, name, model, rows, out):
    """One step of four rows by the program with MLX and by mlx-lm from the same adapter, and mlx-lm's logits with it."""
    first = folder / f"{name}-start"
    ours.train(first, model, rows, "mlx", 6, "--lr", 5e-3, "--batch", 2, "--max-length", 64)
    ours("export", first, "--to", "mlx-lora", "-o", folder / f"{name}-lora", "--no-verify")
    four = folder / f"{name}-four.jsonl"
    write_rows(four, 4, 77, 9, False)
    mine = ours.train(folder / f"{name}-step", model, four, "mlx", 1, "--adapter", first / "adapter", "--batch", 4, "--max-length", 256,
                      "--no-packing")[0][0]
    documents = documents_of(ours, model, four, 256)
    loss, norm, tokens, logits = step_of_peer(model, folder / f"{name}-lora", documents)
    native = Model(model, first / "adapter", compute="f32")
    apart = np.abs(native.logits(documents[0]) - logits).max()
    native.close()
    out.append(f"| {name} | {mine['loss']:.6f} | {loss:.6f} | {mine['grad_norm']:.6f} | {norm:.6f} | {tokens} | {apart:.1e} |")
    if not apart < LIMIT:
        raise SystemExit(f"{name}: logits under the adapter differ from mlx-lm's by {apart}")
    if mine["trained_tokens"] != tokens or not max(abs(mine["loss"] / loss - 1), abs(mine["grad_norm"] / norm - 1)) < LIMIT:
        raise SystemExit(f"{name}: {mine}, mlx-lm {loss}, {norm}, {tokens} tokens")


def bases(args, out, folder):
    ours, rows = Ours(args.program, args.library), folder / "weighted.jsonl"
    write_rows(rows, 40, 5, 9, True)
    plain, models = folder / "base-bf16", {}
    ours("init", "--like", "tiny", "-o", plain)
    for name, form in (("f32", "safetensors:f32"), ("MLX-4bit", "mlx:4bit"), ("MLX-8bit", "mlx:8bit"), ("GGUF-Q4_1", "gguf:q4_1")):
        models[name] = folder / f"base-{name}"
        ours("export", "-m", plain, "--to", form, "-o", models[name], "--no-verify")
    models["GGUF-Q4_1"] = next(models["GGUF-Q4_1"].glob("*.gguf"))
    out.append("\n**Bases.** `init --like tiny`, exported; 30 steps with rows of loss_weight 0.5, 1 and 2 by both engines; the largest relative "
               "difference of a step:\n\n| Base | loss | of losses | of weighted losses | of gradient norms |\n|---|---|---|---|---|")
    for name, model in models.items():
        curve(ours, folder, name, model, rows, 30, out)
    out.append("\n**A step beside mlx-lm's**, from the same adapter on the same four rows of different lengths (mlx-lm's loss is told their lengths "
               "without the pad token that its trainer counts as one more):\n\n| Base | loss | mlx-lm | gradient norm | mlx-lm | tokens | logits apart |\n"
               "|---|---|---|---|---|---|---|")
    for name in ("f32", "MLX-4bit", "MLX-8bit"):
        beside_peer(ours, folder, name, models[name], rows, out)


def make_model(ours, folder):
    """A random model between the test's tiny one and a real one, in f32: 5 million parameters in 4 layers."""
    import mlx.core as mx

    ours("init", "--like", "tiny", "-o", folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    layers, hidden, ffn, heads, kv, vocab = 4, 256, 704, 4, 2, 4096
    config.update(hidden_size=hidden, intermediate_size=ffn, num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv, head_dim=64,
                  vocab_size=vocab, tie_word_embeddings=False, torch_dtype="float32", max_position_embeddings=4096)
    config.pop("dtype", None)
    path.write_text(json.dumps(config))
    mx.random.seed(1)
    shapes = {"model.embed_tokens": (vocab, hidden), "lm_head": (vocab, hidden)}
    tensors = {"model.norm.weight": mx.ones((hidden,))}
    for layer in range(layers):
        at = f"model.layers.{layer}"
        shapes |= {f"{at}.self_attn.q_proj": (heads * 64, hidden), f"{at}.self_attn.k_proj": (kv * 64, hidden),
                   f"{at}.self_attn.v_proj": (kv * 64, hidden), f"{at}.self_attn.o_proj": (hidden, heads * 64),
                   f"{at}.mlp.gate_proj": (ffn, hidden), f"{at}.mlp.up_proj": (ffn, hidden), f"{at}.mlp.down_proj": (hidden, ffn)}
        for norm in "input", "post_attention":
            tensors[f"{at}.{norm}_layernorm.weight"] = mx.ones((hidden,))
    for name, shape in shapes.items():
        tensors[f"{name}.weight"] = mx.random.normal(shape) * 0.02
    mx.save_safetensors(str(folder / "model.safetensors"), tensors, {"format": "pt"})


def mebibytes(page, item):
    return float(re.search(rf"^  {item} +(\S+) MiB", page, re.M).group(1))


def memory(args, out, folder):
    ours, rows, base = Ours(args.program, args.library), folder / "memory.jsonl", folder / "memory-base"
    make_model(ours, base)
    bases_of = {"f32": base}
    for name, form in (("bf16", "safetensors:bf16"), ("MLX 4-bit", "mlx:4bit")):
        bases_of[name] = folder / f"memory-{form.split(':')[1]}"
        ours("export", "-m", base, "--to", form, "-o", bases_of[name], "--no-verify")
    write_rows(rows, 200, 11, 40, False)
    out.append("\n**Memory of a step**: planned (`activations and loss`) and taken (MLX's peak less weights and what is trained), MiB:\n\n"
               "| Base | sequences | recomputed | planned | taken | planned / taken |\n|---|---|---|---|---|---|")
    for name, batch, length, checkpoint, targets in (("f32", 2, 256, "off", "all"), ("f32", 2, 256, "on", "all"), ("f32", 1, 1024, "off", "all"),
                                                     ("f32", 1, 1024, "on", "all"), ("f32", 4, 128, "off", "q_proj,v_proj"),
                                                     ("bf16", 2, 256, "off", "all"), ("bf16", 2, 256, "on", "all"), ("MLX 4-bit", 1, 64, "off", "all"),
                                                     ("MLX 4-bit", 1, 64, "on", "all")):
        words = ["--batch", batch, "--max-length", length, "--grad-checkpoint", checkpoint, "--targets", targets, "--rank", 8, "--max-steps", 2,
                 "--compute", "f32", "--eval-every", 0, "--save-every", 0, "--engine", "mlx", "-m", bases_of[name], "-d", rows]
        run_folder = folder / f"memory-run-{len(out)}"
        page, _, _ = ours("train", "-o", run_folder, *words)
        planned = mebibytes(page, "activations and loss")
        peak = max(t["peak_bytes"] for t in lines_of(run_folder / "timing.jsonl")) / 2 ** 20
        taken = peak - mebibytes(page, "base weights") - 4 * mebibytes(page, "adapter")
        out.append(f"| {name} | {batch} x {length}, {targets} | {checkpoint} | {planned:.1f} | {taken:.1f} | {planned / taken:.2f} |")
        print(out[-1], flush=True)


def train_peer(folder, documents, steps, length, out):
    """mlx-lm's trainer; seconds, tokens and MLX's peak of each step to the file `out`."""
    import mlx.core as mx
    import mlx.optimizers as optim
    from mlx_lm.tuner import trainer
    from mlx_lm.tuner.utils import linear_to_lora_layers
    from mlx_lm.utils import load_model

    mx.set_default_device(mx.cpu)
    model, _ = load_model(Path(folder))
    model.freeze()
    keys = [f"{part}.{name}_proj" for part, names in (("self_attn", "qkvo"), ("mlp", ("gate", "up", "down"))) for name in names]
    linear_to_lora_layers(model, len(model.layers), {"rank": 8, "scale": 4.0, "dropout": 0.0, "keys": keys})
    steps_seen = []

    class Callback(trainer.TrainingCallback):
        def on_train_loss_report(self, info):
            steps_seen.append({"processor": time.process_time(), "seconds": 1 / info["iterations_per_second"], "tokens": info["trained_tokens"], "peak": mx.get_peak_memory()})

    args = trainer.TrainingArgs(batch_size=4, iters=steps, steps_per_report=1, steps_per_save=10 ** 6, max_seq_length=length,
                                adapter_file=str(out) + ".safetensors")
    trainer.train(model, optim.AdamW(learning_rate=2e-4), [(ids, 0) for ids in documents], args=args, training_callback=Callback())
    for before, step in zip([{"tokens": 0}] + [dict(s) for s in steps_seen], steps_seen):
        step["tokens"] -= before["tokens"]
    out.write_text(json.dumps(steps_seen))


def rate(steps):
    """Tokens per second over all steps but the first two, in which things are compiled and paged in."""
    return sum(s["tokens"] for s in steps[2:]) / sum(s["seconds"] for s in steps[2:])


def speed(args, out, folder):
    ours, rows, base = Ours(args.program, args.library), folder / "speed.jsonl", folder / "speed-base"
    make_model(ours, base)
    write_rows(rows, 400, 9, 40, False)
    documents = documents_of(ours, base, rows, 256)
    (folder / "documents.json").write_text(json.dumps(documents))
    pairs = []
    for turn in range(args.turns):
        result = folder / f"peer-{turn}.json"
        _, _, resident_theirs = run([sys.executable, __file__, "--peer", base, folder / "documents.json", args.speed_steps, 256, result])
        theirs = json.loads(result.read_text())
        metrics, timing, cpu, resident = ours.train(folder / f"speed-{turn}", base, rows, "mlx", args.speed_steps, "--batch", 2, "--max-length",
                                                    256, "--grad-checkpoint", "off")
        _, _, start, _ = ours.train(folder / f"speed-start-{turn}", base, rows, "mlx", 2, "--batch", 2, "--max-length", 256, "--grad-checkpoint", "off")
        mine = [{"seconds": t["seconds"], "tokens": m["trained_tokens"], "peak": t["peak_bytes"]} for t, m in zip(timing, metrics)]
        pairs.append((rate(mine), rate(theirs), sum(s["tokens"] for s in mine[2:]) / (cpu - start),
                      sum(s["tokens"] for s in theirs[2:]) / (theirs[-1]["processor"] - theirs[1]["processor"]),
                      max(s["peak"] for s in mine), max(s["peak"] for s in theirs), resident, resident_theirs))
        print(f"turn {turn}: {pairs[-1]}", flush=True)
    out.append(f"\n**Speed and memory** beside mlx-lm's trainer (a random model of 5 million parameters in f32, {args.speed_steps} steps a run, rows of "
               f"{min(map(len, documents))} to {max(map(len, documents))} tokens; mlx-lm: batches of 4 rows sorted by length; ours: 2 sequences of up to 256 "
               "packed tokens), in turns:\n\n| Turn | tokens/s | mlx-lm | ratio | tokens per processor second | mlx-lm | ratio |\n|---|---|---|---|---|---|---|")
    for i, p in enumerate(pairs):
        out.append(f"| {i + 1} | {p[0]:.0f} | {p[1]:.0f} | {p[0] / p[1]:.2f} | {p[2]:.0f} | {p[3]:.0f} | {p[2] / p[3]:.2f} |")
    mib = [statistics.median(p[k] for p in pairs) / 2 ** 20 for k in range(4, 8)]
    out.append(f"\nMedian ratio {statistics.median(p[0] / p[1] for p in pairs):.2f}, by processor time {statistics.median(p[2] / p[3] for p in pairs):.2f}. "
               f"Peaks: ours {mib[0]:.0f} MiB (MLX's counter and our allocations; resident {mib[2]:.0f}), mlx-lm {mib[1]:.0f} MiB (MLX's counter; resident "
               f"{mib[3]:.0f}).")


def main():
    if sys.argv[1:2] == ["--peer"]:
        base, documents, steps, length, out = sys.argv[2:]
        train_peer(base, json.loads(Path(documents).read_text()), int(steps), int(length), Path(out))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", required=True)
    parser.add_argument("--program", default="build/your_ai")
    parser.add_argument("--test", default="build/tests/test_engine_mlx")
    parser.add_argument("--parts", default="parity,bases,memory,speed")
    parser.add_argument("--speed-steps", type=int, default=12)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--record")
    args = parser.parse_args()
    versions = {name: importlib.metadata.version(name) for name in ("mlx", "mlx-lm")}
    out = [f"# The MLX engine beside the native one and mlx-lm, {time.strftime('%Y-%m-%d')}\n",
           f"MLX {versions['mlx']}, mlx-lm {versions['mlx-lm']}, {os.cpu_count()} processors, MLX on the CPU; by `tools/check_mlx_engine.py`.\n"]
    with tempfile.TemporaryDirectory() as folder:
        for part in args.parts.split(","):
            if part == "parity":
                parity(args, out)
            else:
                {"bases": bases, "memory": memory, "speed": speed}[part](args, out, Path(folder))
    text = "\n".join(out) + "\n"
    print(text)
    if args.record:
        Path(args.record).write_text(text)


if __name__ == "__main__":
    main()
