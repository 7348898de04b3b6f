#!/usr/bin/env python3
"""One training step on quantised GGUF models against PyTorch on the dequantised weights: loss and the gradients of a LoRA
adapter, for every block type and for mixes as llama.cpp's quantiser makes them.

    tools/check_quantised.py build/your_ai models/smollm2-135m.gguf [RECORD.json]

A Llama with random weights whose columns divide by 256 is quantised to each type by ggml (the library inside PyPI's
llama-cpp-python), or by gguf where ggml cannot, with the tokenizer of the model given; that model itself, whose 576 columns do
not divide by 256, is quantised again by llama.cpp, which then falls back to other types. The loss must agree to 1e-4, each
gradient to 1e-3 of its largest element. Needs torch, transformers, peft, gguf, llama-cpp-python.
"""
import collections
import ctypes
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import gguf
import gguf_to_hf
import llama_cpp
import make_llama_gguf
import numpy as np
import peft
import torch
from check_support import load, run
from gguf import GGMLQuantizationType as T, quants
from safetensors.numpy import load_file

HIDDEN, FFN, LAYERS, HEADS, KV = 256, 512, 2, 4, 2
MIXES = ["Q4_K_M", "Q5_K_M", "Q6_K", "IQ4_XS"]
TEXTS = ["The capital of France is Paris. It lies on the Seine, and about 2,100,000 people live there.",
         "def fibonacci(n):\n    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)"]
BETA1 = 0.9
ggml = ctypes.CDLL(str(pathlib.Path(llama_cpp.__file__).parent / "lib" / "libggml-base.so"))
ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
ggml.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64,
                                     ctypes.c_int64, ctypes.c_void_p]


def quantise(x, kind):
    """(bytes of the rows of x in the type, who made them). Every column is equally important to ggml."""
    if kind == T.NVFP4:  # ggml of this version has no quantiser for it: bytes as they come, scales near 1/16
        rng = np.random.default_rng(5)
        block, size = gguf.GGML_QUANT_SIZES[kind]
        data = rng.integers(0, 256, (x.shape[0], x.shape[1] // block, size), dtype=np.uint8)
        data[..., :4] = rng.integers(0x10, 0x18, data[..., :4].shape, dtype=np.uint8)
        return data.reshape(x.shape[0], -1), "random bytes"
    if kind in (T.TQ1_0, T.TQ2_0, T.MXFP4):
        return quants.quantize(x, kind), "gguf"
    _, size = gguf.GGML_QUANT_SIZES[kind]
    block = gguf.GGML_QUANT_SIZES[kind][0]
    out = np.zeros((x.shape[0], x.shape[1] // block * size), np.uint8)
    importance = np.ones(x.shape[1], np.float32)
    x = np.ascontiguousarray(x, np.float32)
    n = ggml.ggml_quantize_chunk(int(kind), x.ctypes.data, out.ctypes.data, 0, x.shape[0], x.shape[1], importance.ctypes.data)
    assert n == out.nbytes, (kind, n, out.nbytes)
    return out, "ggml"


def weights(vocab):
    rng, kv = np.random.default_rng(3), KV * HIDDEN // HEADS
    shapes = {"token_embd": (vocab, HIDDEN), "output": (vocab, HIDDEN)}
    for i in range(LAYERS):
        for name, shape in (("attn_q", (HIDDEN, HIDDEN)), ("attn_k", (kv, HIDDEN)), ("attn_v", (kv, HIDDEN)),
                            ("attn_output", (HIDDEN, HIDDEN)), ("ffn_gate", (FFN, HIDDEN)), ("ffn_up", (FFN, HIDDEN)),
                            ("ffn_down", (HIDDEN, FFN))):
            shapes[f"blk.{i}.{name}"] = shape
    out = {f"{n}.weight": np.float32(0.08) * rng.standard_normal(s, np.float32) for n, s in shapes.items()}
    for name in ["output_norm"] + [f"blk.{i}.{n}" for i in range(LAYERS) for n in ("attn_norm", "ffn_norm")]:
        out[f"{name}.weight"] = 1 + np.float32(0.1) * rng.standard_normal(HIDDEN, np.float32)
    return out


def write(path, source, tensors, kind):
    """A GGUF with the tokenizer of the reader `source`; matrices in the type. Returns who quantised them."""
    w = gguf.GGUFWriter(path, "llama")
    w.add_block_count(LAYERS), w.add_context_length(2048), w.add_embedding_length(HIDDEN), w.add_feed_forward_length(FFN)
    w.add_head_count(HEADS), w.add_head_count_kv(KV), w.add_layer_norm_rms_eps(1e-5), w.add_rope_freq_base(10000.0)
    w.add_rope_dimension_count(HIDDEN // HEADS)
    for key, field in source.fields.items():
        if key.startswith("tokenizer."):
            w.add_key_value(key, field.contents(), field.types[0], field.types[-1] if len(field.types) > 1 else None)
    by = "numpy"
    for name, x in tensors.items():
        if x.ndim == 1 or kind == T.F32:
            w.add_tensor(name, x)
        elif kind == T.F16:
            w.add_tensor(name, x.astype(np.float16))
        else:
            slow = kind.name.startswith(("IQ1", "IQ2", "IQ3")) and len(x) > 4096  # as llama.cpp, which keeps these larger
            data, maker = quantise(x, T.Q8_0 if slow else kind)
            by = by if slow else maker
            w.add_tensor(name, data, raw_dtype=T.Q8_0 if slow else kind)
    w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()
    return by


def make_adapter(base, folder):
    """An adapter on every linear with B too away from 0, so that A has a gradient."""
    model = peft.get_peft_model(load(base), peft.LoraConfig(
        task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj",
                                                                  "down_proj"]))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_" in name:
                p.copy_(torch.randn(p.shape, generator=generator) * 0.05)
    model.save_pretrained(folder)
    return model


def ours(program, model, adapter, folder, rows):
    """(loss, gradients by PEFT's names) of one step: what AdamW's first moment is after it, over 1 - beta1."""
    target = os.path.join(folder, "run")
    run("rm", "-rf", target)
    run(program, "train", "-m", model, "-d", rows, "-o", target, "--adapter", adapter, "--max-steps", 1, "--clip-mode", "off",
        "--distrust", "off", "--schedule", "constant", "--warmup", 0, "--beta1", BETA1, "--compute", "f32")
    with open(os.path.join(target, "metrics.jsonl"), encoding="utf-8") as f:
        loss = json.loads(f.readline())["loss"]
    moments = load_file(os.path.join(target, "checkpoints", "step-000001", "adapter_optimizer.safetensors"))
    return loss, {k.removesuffix(".exp_avg"): v / (1 - BETA1) for k, v in moments.items() if k.endswith(".exp_avg")}


def ids_of(program, model, eos):
    out = []
    for text in TEXTS:
        done = subprocess.run([program, "tokenize", "-m", model], input=text, capture_output=True, text=True, check=True)
        out.append([int(x) for x in done.stdout.split()] + [eos])
    return out


def theirs(model, sequences):
    model.zero_grad()
    losses = []
    for ids in sequences:
        logp = model(input_ids=torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
        losses.append(-logp.gather(1, torch.tensor(ids[1:])[:, None]).sum())
    loss = sum(losses) / sum(len(ids) - 1 for ids in sequences)
    loss.backward()
    grads = {n.removeprefix("base_model.model.model.").replace(".default", "").removesuffix(".weight"): p.grad.numpy()
             for n, p in model.named_parameters() if "lora_" in n}
    return loss.item(), grads


def compare(what, program, model, folder, record, by):
    reader = gguf.GGUFReader(model)
    kinds = collections.Counter(t.tensor_type.name for t in reader.tensors)
    base, adapter, rows = (os.path.join(folder, n) for n in ("base", "adapter", "rows.jsonl"))
    gguf_to_hf.main(model, base)
    with open(rows, "w", encoding="utf-8") as f:
        f.writelines(json.dumps({"text": t}) + "\n" for t in TEXTS)
    reference = make_adapter(base, adapter)
    expected, expected_grads = theirs(reference, ids_of(program, model, int(gguf_to_hf.scalar(reader, "tokenizer.ggml.eos_token_id"))))
    loss, grads = ours(program, model, adapter, folder, rows)
    assert grads.keys() == expected_grads.keys(), sorted(grads.keys() ^ expected_grads.keys())[:4]
    worst = max(float(np.abs(grads[k] - g).max() / np.abs(g).max()) for k, g in expected_grads.items())
    off = abs(loss - expected) / expected
    print(f"{what}: loss {loss:.6f}, off by {off:.1e}; gradients off by {worst:.1e} at most; {dict(kinds)}", flush=True)
    record["models"].append(dict(model=what, quantised_by=by, types=dict(kinds), loss=loss, loss_of_torch=expected, loss_off=off,
                                 gradient_off=worst))
    if not (off <= 1e-4 and worst <= 1e-3):
        raise SystemExit(f"{what}: does not agree")


def main(program, model, path=None):
    record = dict(what="One training step on quantised GGUF models against PyTorch on the dequantised weights; "
                       "tools/check_quantised.py", commit=run("git", "describe", "--always", "--dirty").strip(),
                  llama_cpp_python=llama_cpp.__version__, torch=torch.__version__, limits=dict(loss=1e-4, gradient=1e-3), models=[])
    source = gguf.GGUFReader(model)
    tensors = weights(len(source.fields["tokenizer.ggml.tokens"].data))
    with tempfile.TemporaryDirectory() as folder:
        made, whole = os.path.join(folder, "made.gguf"), os.path.join(folder, "f16.gguf")
        for kind in sorted(quants._type_traits, key=int):
            if kind != T.BF16:
                by = write(made, source, tensors, kind)
                compare(f"256 columns, {kind.name}", program, made, folder, record, by)
        write(whole, source, tensors, T.F16)
        for mix in MIXES:
            for what, start in (("256 columns", whole), ("SmolLM2-135M", model)):
                make_llama_gguf.quantise(start, made, mix)
                compare(f"{what}, {mix}", program, made, folder, record, "llama.cpp")
    if path:
        with open(path, "w", encoding="utf-8") as f:
            json.dump(record, f, indent=1)
            f.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
