#!/usr/bin/env python3
"""Makes tests/data/io/golden.gguf with the format's reference writer (the `gguf` package) and golden.gguf.json, what a reader
must find in it: a value of every metadata kind, arrays, and a tensor of every type that we read.

Needs: gguf, numpy.   Run: python tools/gen_gguf_golden.py
"""
import json
import os

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Q
from gguf import GGUFValueType as V

OUT = os.path.join(os.path.dirname(__file__), "..", "tests", "data", "io", "golden.gguf")
rng = np.random.default_rng(2)
values, tensors = [], []

w = gguf.GGUFWriter(OUT, "llama")
values.append({"key": "general.architecture", "kind": "STRING", "value": "llama"})


def scalar(key, kind, value):
    w.add_key_value(key, value, kind)
    values.append({"key": key, "kind": kind.name, "value": value})


def array(key, kind, items):
    w.add_key_value(key, items, V.ARRAY, sub_type=kind)
    values.append({"key": key, "kind": "ARRAY", "item": kind.name, "value": items})


scalar("k.u8", V.UINT8, 255)
scalar("k.i8", V.INT8, -128)
scalar("k.u16", V.UINT16, 65535)
scalar("k.i16", V.INT16, -32768)
scalar("k.u32", V.UINT32, 2**32 - 1)
scalar("k.i32", V.INT32, -2**31)
scalar("k.u64", V.UINT64, 2**63 - 1)
scalar("k.i64", V.INT64, -2**63)
scalar("k.f32", V.FLOAT32, 1.5)
scalar("k.f64", V.FLOAT64, 0.1)
scalar("k.true", V.BOOL, True)
scalar("k.false", V.BOOL, False)
scalar("k.string", V.STRING, "naïve \U0001f600")
array("a.u8", V.UINT8, [0, 1, 255])
array("a.i8", V.INT8, [-1, 0, 1])
array("a.u16", V.UINT16, [0, 65535])
array("a.i16", V.INT16, [-5, 5])
array("a.u32", V.UINT32, [7, 2**32 - 1])
array("a.i32", V.INT32, [-7, 7, 0])
array("a.u64", V.UINT64, [1, 2**63 - 1])
array("a.i64", V.INT64, [-2**63, 3])
array("a.f32", V.FLOAT32, [0.5, -2.0])
array("a.f64", V.FLOAT64, [0.1, 1e300])
array("a.bool", V.BOOL, [True, False, True])
array("a.string", V.STRING, ["", "a", "Ġthe", "longer token"])


def tensor(name, dtype, data, shape, raw=None):
    w.add_tensor(name, data, raw_shape=data.shape if raw else None, raw_dtype=raw)
    tensors.append({"name": name, "dtype": dtype, "shape": shape, "hex": data.tobytes().hex()})


for dtype, t in [("F32", np.float32), ("F16", np.float16), ("F64", np.float64), ("I8", np.int8), ("I16", np.int16),
                 ("I32", np.int32), ("I64", np.int64)]:
    tensor(f"t.{dtype}", dtype, (rng.normal(size=(3, 2)) * 50).astype(t), [3, 2])
tensor("t.vector", "F32", rng.normal(size=7).astype(np.float32), [7])
tensor("t.four", "F32", rng.normal(size=(2, 1, 3, 2)).astype(np.float32), [2, 1, 3, 2])
for dtype, q in [("BF16", Q.BF16), ("Q4_0", Q.Q4_0), ("Q4_1", Q.Q4_1), ("Q8_0", Q.Q8_0)]:
    data = gguf.quants.quantize(rng.normal(size=(3, 64)).astype(np.float32), q)
    tensor(f"t.{dtype}", dtype, data, [3, 64], q)

w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
with open(OUT + ".json", "w") as f:
    json.dump({"values": values, "tensors": tensors}, f, indent=1, ensure_ascii=False)
print(len(values), "values,", len(tensors), "tensors,", os.path.getsize(OUT), "bytes")
