#!/usr/bin/env python3
"""`your_ai export --to coreml`: what coremltools makes of the packages of every family (the tiny models of tests/data/golden and
tests/data/families) and of `your_ai init --like tiny` in every stored form, with one length of calls and with several. There is no
Core ML runtime on Linux, so nothing is computed here; coremltools
- opens the package (its own library reads the manifest and the weights file),
- turns the program back into its own form, which works out the type of every result from the definitions of the ops and refuses
  what does not go together,
- decodes the weights, which must be those of the merged model: in f16 bit for bit, int8 within half a step, tables' values.
Five programs with a fault each must be refused. The digests of what passed are written to tests/data/coreml/golden.json, which
tests/export/test_coreml.c holds the program against. Each line says how far the logits of our interpreter, in f16 arithmetic, are from
the engine's. With MODEL.gguf the packages of that model too, and bench_coreml (beside the program) computes them: in f32
arithmetic each logit within 2e-3 of the engine's on the same f16 weights (`ane` 5e-3), in f16 arithmetic relative L2 1e-2 and the same most
probable token wherever the engine's logits of the two are further apart than neighbouring f16 numbers are there: Core ML's logits are f16,
with steps of 1/32 from 32 to 64, and where the engine's two are nearer than that it is a tie, which is counted. 32 tokens through the cache
as the engine's. Needs coremltools, numpy.

    tools/check_coreml.py build/your_ai [MODEL.gguf] [--write]
"""
import glob
import hashlib
import json
import os
import subprocess
import sys
import tempfile

import coremltools as ct
import numpy as np
from coremltools.converters.mil.frontend.milproto.load import load as load_program
from coremltools.models.utils import load_spec

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "data")
GOLDEN = os.path.join(DATA, "coreml", "golden.json")
CONTEXT = 64


NO_TOKENIZER = ("warning: the tokenizer cannot be read", "warning: stop tokens are those of the config only") # of the tiny models


def export(program, model, kind, lengths, out):
    done = subprocess.run([program, "export", "-m", model, "--to", f"coreml:{kind}", "-o", out, "--coreml-context", str(CONTEXT),
                           "--coreml-lengths", lengths], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if not line.startswith(NO_TOKENIZER)]
    print("".join(line + "\n" for line in said), end="", file=sys.stderr)
    if done.returncode != 0:
        sys.exit(f"export of {model} as coreml:{kind}: exit {done.returncode}")
    return os.path.join(out, "Model.mlpackage")


def program_of(spec, package):
    weights = os.path.join(package, "Data", "com.apple.CoreML", "weights")
    return load_program(spec, specification_version=spec.specificationVersion, file_weights_dir=weights)


def read_tensors(path):
    """A safetensors file of f32, bf16 or f16 as f32."""
    out = {}
    for name in glob.glob(os.path.join(path, "model*.safetensors")):
        raw = open(name, "rb").read()
        n = int.from_bytes(raw[:8], "little")
        for key, t in json.loads(raw[8:8 + n]).items():
            if key == "__metadata__":
                continue
            data = raw[8 + n + t["data_offsets"][0]:8 + n + t["data_offsets"][1]]
            if t["dtype"] == "BF16":
                flat = (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
            else:
                flat = np.frombuffer(data, {"F32": "<f4", "F16": "<f2"}[t["dtype"]]).astype("<f4")
            out[key] = flat.reshape(t["shape"])
    return out


def compare_weights(mil, tensors, kind):
    """How many matrices coremltools decodes to what they should be."""
    values = {}
    for op in mil.functions["main"].operations:
        for var in op.outputs:
            if var.val is not None:
                values[var.name] = np.asarray(var.val)
            elif op.op_type.startswith("constexpr"):
                values[var.name] = np.asarray(op.materialized_val_inference())
    n = 0
    for key, want in tensors.items():
        got = values.get(key.replace(".", "_"))
        if got is None:
            continue
        got = got.reshape(want.shape).astype(np.float32)
        if "int8" not in kind and "lut4" not in kind or want.ndim == 1:
            assert np.array_equal(got, want.astype(np.float16).astype(np.float32)), key
        elif "int8" in kind:
            step = np.abs(want).max(axis=1, keepdims=True) / 127
            assert (np.abs(got - want) <= 0.51 * step + 1e-3 * np.abs(want)).all(), key
        else:
            assert np.linalg.norm(got - want) <= 0.2 * np.linalg.norm(want), key
            assert "proj" not in key or max(len(np.unique(row)) for row in got) <= 16, key
        n += 1
    return n


def check(program, model, kind, lengths, work):
    out = os.path.join(work, hashlib.sha256(f"{model}{kind}{lengths}".encode()).hexdigest()[:12])
    package = export(program, model, kind, lengths, out)
    ct.models.MLModel(package, skip_model_load=True)
    spec = load_spec(package)
    mil = program_of(spec, package)
    tensors = read_tensors(model)
    n = compare_weights(mil, tensors, kind)
    assert n >= len(tensors) - 1, f"{n} of {len(tensors)} tensors were found"  # a tied table has another name in places
    with open(os.path.join(package, "Data", "com.apple.CoreML", "model.mlmodel"), "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    record = json.load(open(os.path.join(out, "export.json")))["check"]
    print(f"{os.path.basename(model):28s} {kind:9s} lengths {lengths:6s} {len(mil.functions['main'].operations):4d} ops, {n:3d} weights; "
          f"our interpreter: relative {record['relative_logit_difference']:.2g}", flush=True)
    return package, digest


def distance(program, model, package, kind):
    """What the package of a real model computes; stops when it is too far from the engine."""
    bench = os.path.join(os.path.dirname(program), "bench", "bench_coreml")
    d = json.loads(subprocess.run([bench, model, package], check=True, capture_output=True, text=True).stdout)
    f32, f16, cache = d["f32"], d["f16"], d["cache"]
    width = f" (the engine's two logits at most {f16['gap']:.2e} apart, f16 numbers there {f16['spacing']:.2e})" if f16["ties"] else ""
    print(f"{os.path.basename(model)} {kind}, {f32['tokens']} tokens: in f32 arithmetic largest difference {f32['largest']:.2e}, same most "
          f"probable {f32['same_top']}; in f16 arithmetic relative {f16['relative']:.2e}, largest {f16['largest']:.2e}, same most probable "
          f"{f16['same_top']}, ties of f16 numbers {f16['ties']}{width}, different {f16['apart']}; "
          f"{cache['tokens']} tokens through the cache: {cache['largest']:.2e}, {cache['same_top']}", flush=True)
    limit = 5e-3 if kind.startswith("ane") else 2e-3
    assert f32["largest"] <= limit and cache["largest"] <= limit and f16["relative"] <= 1e-2
    assert f32["tokens"] == f32["same_top"] and cache["tokens"] == cache["same_top"]
    assert f16["apart"] == 0 and f16["same_top"] + f16["ties"] == f16["tokens"]


def mutations(package):
    """Programs with one fault; coremltools must refuse each."""
    def block(spec):
        f = spec.mlProgram.functions["main"]
        return f.block_specializations[f.opset]

    def find(spec, kind):
        return next(op for op in block(spec).operations if op.type == kind)

    def unknown_op(spec):
        find(spec, "silu").type = "silly"

    def unknown_name(spec):
        find(spec, "linear").inputs["x"].arguments[0].name = "nobody"

    def wrong_offset(spec):
        op = next(o for o in block(spec).operations if o.type == "const" and o.attributes["val"].HasField("blobFileValue"))
        op.attributes["val"].blobFileValue.offset += 32

    def wrong_weight(spec):
        find(spec, "linear").inputs["weight"].arguments[0].name = "cosine"

    def swapped(spec):
        op = find(spec, "matmul")
        op.inputs["x"].arguments[0].name, op.inputs["y"].arguments[0].name = "cosine", "sine"

    for fault in (unknown_op, unknown_name, wrong_offset, wrong_weight, swapped):
        spec = load_spec(package)
        fault(spec)
        try:
            program_of(spec, package)
        except Exception as e:  # coremltools raises whatever its parts raise
            print(f"a program with the fault {fault.__name__} is refused: {type(e).__name__}")
        else:
            sys.exit(f"coremltools takes a program with the fault {fault.__name__}")


def main():
    program, real, golden = os.path.abspath(sys.argv[1]), [a for a in sys.argv[2:] if a != "--write"], {}
    models = sorted(os.path.dirname(p) for p in glob.glob(os.path.join(DATA, "golden", "*", "config.json"))
                    + glob.glob(os.path.join(DATA, "families", "*", "config.json")))
    with tempfile.TemporaryDirectory() as work:
        for model in models:
            for kind, lengths in (("f16", "1,16"), ("ane", "8")):
                golden[f"{os.path.relpath(model, DATA)} {kind} {lengths}"] = check(program, model, kind, lengths, work)[1]
        tiny = os.path.join(work, "tiny")
        subprocess.run([program, "init", "--like", "tiny", "-o", tiny], check=True, stdout=subprocess.DEVNULL)
        for kind in ("f16", "int8", "lut4", "ane", "ane-int8", "ane-lut4"):
            for lengths in ("16", "1,64"):
                package, _ = check(program, tiny, kind, lengths, work)
                if kind == "f16":
                    mutations(package)
        for path in real:
            merged = os.path.join(work, os.path.splitext(os.path.basename(path))[0])
            subprocess.run([program, "export", "-m", path, "--to", "safetensors:f16", "-o", merged], check=True, stdout=subprocess.DEVNULL)
            for kind in ("f16", "ane"):
                distance(program, merged, check(program, merged, kind, "1,64", work)[0], kind)
    if "--write" in sys.argv:
        os.makedirs(os.path.dirname(GOLDEN), exist_ok=True)
        with open(GOLDEN, "w") as f:
            json.dump(golden, f, indent=1)
            f.write("\n")
    elif json.load(open(GOLDEN)) != golden:
        sys.exit("other packages than those of tests/data/coreml/golden.json: write them anew with --write")
    print(f"coremltools {ct.__version__}: {len(golden)} packages of {len(models)} models, and every stored form")


if __name__ == "__main__":
    main()
