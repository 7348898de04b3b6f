#!/usr/bin/env python3
"""Makes tests/data/io/safetensors_vectors.jsonl: small safetensors files, good and bad, one a line.

Each line: name, the file in hex, what the reference library says about it ("accept" or "reject": asked here, by opening the
file with it), what our reader must say ("ok", "input", "unsupported") with a fragment of its message, and for good files
the tensors that it must find. Where the two differ, `stricter` says why; the script refuses a difference without a reason
and a file that we would accept and the reference would not.

Needs: safetensors, numpy.   Run: python tools/gen_safetensors_vectors.py
"""
import json
import os
import struct
import tempfile

import numpy as np
import safetensors
from safetensors import safe_open
from safetensors.numpy import save

OUT = os.path.join(os.path.dirname(__file__), "..", "tests", "data", "io", "safetensors_vectors.jsonl")
vectors = []


def reference_says(data):
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as f:
        f.write(data)
        f.flush()
        try:
            with safe_open(f.name, "np") as st:
                st.keys()
            return "accept"
        except Exception:
            return "reject"


def add(name, data, expect="ok", message="", stricter="", tensors=None):
    said = reference_says(data)
    if expect == "ok":
        assert said == "accept", f"{name}: the reference refuses it"
    elif said == "accept":
        assert stricter, f"{name}: stricter than the reference without a reason"
    vectors.append({"name": name, "hex": data.hex(), "reference": said, "expect": expect, "message": message,
                    "stricter": stricter, "tensors": tensors or []})


def raw(header, data=b"", length=None):
    if isinstance(header, str):
        header = header.encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def entry(name="a", dtype="U8", shape="[1]", offsets="[0,1]"):
    return f'"{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}'


def bad(name, header, data, message, expect="input", stricter="", length=None):
    add(name, raw(header, data, length), expect, message, stricter)


def good(name, header, data, tensors):
    add(name, raw(header, data), tensors=tensors)


def found(name, dtype, shape, data):
    return {"name": name, "dtype": dtype, "shape": shape, "hex": data.hex()}


# ---- what the library itself writes ----
def library():
    rng = np.random.default_rng(1)
    for label, dtype in [("F64", np.float64), ("F32", np.float32), ("F16", np.float16), ("I64", np.int64), ("I32", np.int32),
                         ("I16", np.int16), ("I8", np.int8), ("U8", np.uint8), ("BOOL", np.bool_)]:
        array = rng.integers(0, 2, (3, 5)).astype(dtype) if label == "BOOL" else (rng.normal(size=(3, 5)) * 50).astype(dtype)
        add(f"library_{label}", save({"w": array}), tensors=[found("w", label, [3, 5], array.tobytes())])
    many = {f"layer.{i}.weight": rng.normal(size=(i + 1, 2)).astype(np.float32 if i % 2 else np.float16) for i in range(12)}
    add("library_many", save(many, metadata={"format": "pt"}),
        tensors=[found(k, "F32" if v.dtype == np.float32 else "F16", list(v.shape), v.tobytes()) for k, v in many.items()])
    add("library_metadata", save({"x": np.zeros(1, np.uint8)}, metadata={"format": "pt", "note": "é \"quoted\"\n"}),
        tensors=[found("x", "U8", [1], b"\0")])
    add("library_scalar", save({"x": np.array(1.5, np.float32)}), tensors=[found("x", "F32", [], struct.pack("<f", 1.5))])
    add("library_empty_tensor", save({"x": np.zeros((0, 4), np.float32)}), tensors=[found("x", "F32", [0, 4], b"")])
    add("library_nothing", save({}), tensors=[])


# ---- must be accepted ----
def accepted():
    good("bf16", "{" + entry(dtype="BF16", shape="[2]", offsets="[0,4]") + "}", b"\x80\x3f\0\xc0",
         [found("a", "BF16", [2], b"\x80\x3f\0\xc0")])
    good("empty_header", "{}", b"", [])
    good("trailing_spaces", "{" + entry() + "}     ", b"x", [found("a", "U8", [1], b"x")])
    good("trailing_newline", "{" + entry() + "}\n", b"x", [found("a", "U8", [1], b"x")])
    good("inner_spaces", '{ "a" : { "data_offsets" : [ 0 , 1 ] , "shape" : [ 1 ] , "dtype" : "U8" } }', b"x",
         [found("a", "U8", [1], b"x")])
    good("metadata_null", '{"__metadata__":null,' + entry() + "}", b"x", [found("a", "U8", [1], b"x")])
    good("metadata_last", "{" + entry() + ',"__metadata__":{"k":"v"}}', b"x", [found("a", "U8", [1], b"x")])
    good("metadata_empty", '{"__metadata__":{},' + entry() + "}", b"x", [found("a", "U8", [1], b"x")])
    good("scalar", "{" + entry(shape="[]") + "}", b"x", [found("a", "U8", [], b"x")])
    good("zero_size", "{" + entry(shape="[3,0,2]", offsets="[0,0]") + "}", b"", [found("a", "U8", [3, 0, 2], b"")])
    good("zero_size_between", "{" + ",".join([entry("a"), entry("b", shape="[0]", offsets="[1,1]"),
                                              entry("c", offsets="[1,2]")]) + "}", b"xy",
         [found("a", "U8", [1], b"x"), found("b", "U8", [0], b""), found("c", "U8", [1], b"y")])
    good("zero_size_listed_after", "{" + ",".join([entry("a"), entry("c", offsets="[1,2]"),
                                                   entry("b", shape="[0]", offsets="[1,1]")]) + "}", b"xy",
         [found("a", "U8", [1], b"x"), found("b", "U8", [0], b""), found("c", "U8", [1], b"y")])
    good("reverse_order", "{" + ",".join([entry("b", offsets="[1,2]"), entry("a")]) + "}", b"xy",
         [found("a", "U8", [1], b"x"), found("b", "U8", [1], b"y")])
    good("unaligned_data", "{" + entry(dtype="F32", shape="[1]", offsets="[0,4]") + "} ", b"\0\0\x80\x3f",
         [found("a", "F32", [1], b"\0\0\x80\x3f")])
    good("unaligned_tensor", "{" + ",".join([entry("a"), entry("b", "F32", "[1]", "[1,5]")]) + "}", b"x\0\0\x80\x3f",
         [found("a", "U8", [1], b"x"), found("b", "F32", [1], b"\0\0\x80\x3f")])
    good("escaped_name", "{" + entry("\\u0061\\n\\ud83d\\ude00") + "}", b"x", [found("a\n\U0001f600", "U8", [1], b"x")])
    good("empty_name", "{" + entry("") + "}", b"x", [found("", "U8", [1], b"x")])
    good("long_name", "{" + entry("n" * 4096) + "}", b"x", [found("n" * 4096, "U8", [1], b"x")])
    good("prefix_names", "{" + ",".join([entry("ab"), entry("a", offsets="[1,2]")]) + "}", b"xy",
         [found("a", "U8", [1], b"y"), found("ab", "U8", [1], b"x")])
    good("eight_dims", "{" + entry(shape="[1,1,1,1,1,1,1,1]") + "}", b"x", [found("a", "U8", [1] * 8, b"x")])


# ---- length field ----
def length_field():
    for n in range(8):
        add(f"file_of_{n}_bytes", bytes(n), "input", "too short")
    add("length_zero", raw("", b""), "input", "does not start with '{'")
    add("length_one", raw("{", b""), "input", "does not start with '{'")
    bad("length_max", "{}", b"", "is over", length=2**64 - 1)
    bad("length_2_63", "{}", b"", "is over", length=2**63)
    bad("length_cap_plus_one", "{}", b"", "is over", length=100_000_001)
    bad("length_cap", "{}", b"", "does not fit", length=100_000_000)
    bad("length_one_too_many", "{}", b"", "does not fit", length=3)
    bad("length_wraps_with_8", "{}", b"", "is over", length=2**64 - 8)


# ---- header text ----
def header_text():
    bad("array_header", "[]", b"", "does not start with '{'")
    bad("string_header", '"a"', b"", "does not start with '{'")
    bad("leading_space", " {}", b"", "does not start with '{'", stricter="the format says the header begins with {")
    bad("garbage_header", "{nonsense}", b"", "expected a key")
    bad("unterminated", '{"a"', b"", "expected ':'")
    bad("second_document", "{}{}", b"", "after the JSON document")
    bad("trailing_nul", b"{}\0", b"", "after the JSON document")
    bad("invalid_utf8_name", b'{"\xff":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x", "invalid UTF-8")
    bad("overlong_utf8_name", b'{"\xc0\xaf":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x", "invalid UTF-8")
    bad("lone_surrogate_name", "{" + entry("\\ud800") + "}", b"x", "lone surrogate")
    bad("nul_name", "{" + entry("a\\u0000b") + "}", b"x", "U+0000", stricter="readers in C would see another name")
    bad("deep", '{"a":' + "[" * 200 + "]" * 200 + "}", b"", "not an object")
    bad("deep_metadata", '{"__metadata__":' + '{"a":' * 200 + '"b"' + "}" * 200 + "}", b"", "is not a string")
    bad("trailing_comma", "{" + entry() + ",}", b"x", "expected a key")
    bad("comment", "{/* */}", b"", "expected a key")
    bad("single_quotes", "{'a':1}", b"", "expected a key")


# ---- entries ----
def entries():
    bad("entry_number", '{"a":1}', b"", "is not an object")
    bad("entry_null", '{"a":null}', b"", "is not an object")
    bad("entry_list", '{"a":["U8",[1],[0,1]]}', b"x", "is not an object", stricter="the format says an object")
    bad("no_dtype", '{"a":{"shape":[1],"data_offsets":[0,1]}}', b"x", "dtype is missing")
    bad("no_shape", '{"a":{"dtype":"U8","data_offsets":[0,1]}}', b"x", "shape is missing")
    bad("no_offsets", '{"a":{"dtype":"U8","shape":[1]}}', b"x", "data_offsets is missing")
    bad("empty_entry", '{"a":{}}', b"", "dtype is missing")
    bad("unknown_field", '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"scale":2}}', b"x", "unknown field",
        stricter="a field that changes the meaning must not be ignored")
    bad("duplicate_shape", '{"a":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}}', b"x", "duplicate field")
    bad("duplicate_dtype_escaped", '{"a":{"dtype":"U8","dt\\u0079pe":"I8","shape":[1],"data_offsets":[0,1]}}', b"x",
        "duplicate field")
    bad("dtype_number", '{"a":{"dtype":1,"shape":[1],"data_offsets":[0,1]}}', b"x", "dtype is not a string")
    bad("dtype_unknown", "{" + entry(dtype="X9") + "}", b"x", "\"X9\" is not supported", "unsupported")
    bad("dtype_lower_case", "{" + entry(dtype="u8") + "}", b"x", "is not supported", "unsupported")
    bad("dtype_quantised", "{" + entry(dtype="Q8_0", shape="[32]", offsets="[0,34]") + "}", bytes(34), "is not supported",
        "unsupported")
    for dtype, n in [("F8_E4M3", 1), ("F8_E5M2", 1), ("U16", 2), ("U64", 8)]:
        bad(f"dtype_{dtype}", "{" + entry(dtype=dtype, offsets=f"[0,{n}]") + "}", bytes(n), f"\"{dtype}\" is not supported",
            "unsupported", "a type that this program does not read")
    bad("dtype_F4", "{" + entry(dtype="F4", shape="[2]") + "}", b"x", "is not supported", "unsupported",
        "a type that this program does not read")
    bad("dtype_F4_odd", "{" + entry(dtype="F4", shape="[3]") + "}", b"x", "is not supported", "unsupported")
    bad("nine_dims", "{" + entry(shape="[1,1,1,1,1,1,1,1,1]") + "}", b"x", "more than 8", stricter="limit of this program")


# ---- numbers ----
def numbers():
    for label, shape in [("real", "[1.0]"), ("exponent", "[1e0]"), ("string", '["1"]'), ("negative", "[-1]"),
                         ("minus_zero", "[-0]"), ("null", "[null]"), ("nested", "[[1]]"), ("bool", "[true]"),
                         ("2_64", "[18446744073709551616]")]:
        bad(f"shape_{label}", "{" + entry(shape=shape) + "}", b"x", "something else than integers")
    bad("shape_2_63", "{" + entry(shape="[9223372036854775808,0]", offsets="[0,0]") + "}", b"",
        "something else than integers", stricter="dimensions are signed 64-bit here")
    bad("shape_leading_zero", "{" + entry(shape="[01]") + "}", b"x", "expected ','")
    bad("shape_object", "{" + entry(shape="{}") + "}", b"x", "shape is not a list")
    bad("shape_wraps", "{" + entry(shape="[4194305,4194305,211106198978564]", offsets="[0,4]") + "}", bytes(4), "too large")
    bad("shape_wraps_in_bytes", "{" + entry(dtype="F64", shape="[2305843009213693952]", offsets="[0,0]") + "}", b"",
        "too large")
    bad("shape_overflow_times_zero", "{" + entry(shape="[4611686018427387904,8,0]", offsets="[0,0]") + "}", b"",
        "too large")
    bad("shape_zero_then_overflow", "{" + entry(shape="[0,4611686018427387904,8]", offsets="[0,0]") + "}", b"", "too large",
        stricter="the order of dimensions must not decide")
    for label, offsets in [("real", "[0,1.0]"), ("exponent", "[0,1e0]"), ("string", '["0",1]'), ("negative", "[-1,1]"),
                           ("2_64", "[0,18446744073709551617]")]:
        bad(f"offsets_{label}", "{" + entry(offsets=offsets) + "}", b"x", "something else than integers")
    bad("offsets_2_63", "{" + entry(offsets="[0,9223372036854775808]") + "}", b"x", "something else than integers")
    bad("offsets_one", "{" + entry(offsets="[1]") + "}", b"x", "two entries")
    bad("offsets_three", "{" + entry(offsets="[0,1,2]") + "}", b"x", "more than 2")
    bad("offsets_none", "{" + entry(offsets="[]") + "}", b"x", "two entries")
    bad("offsets_reversed", "{" + entry(offsets="[1,0]") + "}", b"x", "outside the 1 data bytes")
    bad("offsets_beyond", "{" + entry(shape="[2]", offsets="[0,2]") + "}", b"x", "outside the 1 data bytes")
    bad("offsets_huge", "{" + entry(offsets="[9223372036854775806,9223372036854775807]") + "}", b"x", "outside")
    bad("bytes_too_few", "{" + entry(dtype="F32", offsets="[0,2]") + "}", b"xy", "need 4 bytes")
    bad("bytes_too_many", "{" + entry(offsets="[0,2]") + "}", b"xy", "need 1 bytes")


# ---- layout ----
def layout():
    two = lambda a, b: "{" + ",".join([entry("a", offsets=a), entry("b", offsets=b)]) + "}"
    bad("hole_first", "{" + entry(offsets="[1,2]") + "}", b"xy", "a hole")
    bad("hole_between", two("[0,1]", "[2,3]"), b"xyz", "a hole")
    bad("hole_last", "{" + entry() + "}", b"xy", "1 bytes after the last tensor")
    bad("bytes_after_nothing", "{}", b"x", "1 bytes after the last tensor")
    bad("overlap_same", two("[0,1]", "[0,1]"), b"x", "overlaps")
    bad("overlap_part", "{" + ",".join([entry("a", shape="[2]", offsets="[0,2]"), entry("b", shape="[2]", offsets="[1,3]")])
        + "}", b"xyz", "overlaps")
    bad("overlap_inside", "{" + ",".join([entry("a", shape="[3]", offsets="[0,3]"), entry("b", offsets="[1,2]")]) + "}",
        b"xyz", "overlaps")
    bad("zero_size_in_the_middle", "{" + ",".join([entry("a", shape="[2]", offsets="[0,2]"),
                                                   entry("b", shape="[0]", offsets="[1,1]")]) + "}", b"xy", "overlaps")
    bad("abuse_many_on_one_range", "{" + ",".join(entry(f"t{i}", shape="[64]", offsets="[0,64]") for i in range(50)) + "}",
        bytes(64), "overlaps")
    add("truncated_data", raw("{" + entry(shape="[8]", offsets="[0,8]") + "}", bytes(7)), "input", "outside the 7 data bytes")


# ---- duplicates and metadata ----
def duplicates():
    why = "two readers could see two tensors"
    bad("duplicate_name", "{" + entry() + "," + entry(dtype="I8") + "}", b"x", "duplicate tensor", stricter=why)
    bad("duplicate_name_apart", "{" + ",".join([entry(), entry("b", offsets="[1,2]"), entry("a", offsets="[2,3]")]) + "}",
        b"xyz", "duplicate tensor")
    bad("duplicate_name_escaped", "{" + entry() + "," + entry("\\u0061", dtype="I8") + "}", b"x", "duplicate tensor",
        stricter=why)
    bad("duplicate_metadata", '{"__metadata__":{},"__metadata__":{},' + entry() + "}", b"x", "duplicate key")
    bad("duplicate_metadata_null", '{"__metadata__":null,"__metadata__":{},' + entry() + "}", b"x", "duplicate key")
    bad("duplicate_metadata_key", '{"__metadata__":{"k":"1","l":"2","k":"3"},' + entry() + "}", b"x",
        "duplicate metadata key", stricter=why)
    for label, value in [("number", '{"k":1}'), ("null_value", '{"k":null}'), ("nested", '{"k":{}}'), ("bool", '{"k":true}')]:
        bad(f"metadata_{label}", '{"__metadata__":' + value + "," + entry() + "}", b"x", "is not a string")
    bad("metadata_list", '{"__metadata__":[],' + entry() + "}", b"x", "is not an object")
    bad("metadata_string", '{"__metadata__":"x",' + entry() + "}", b"x", "is not an object")
    bad("metadata_nul", '{"__metadata__":{"k":"a\\u0000"},' + entry() + "}", b"x", "U+0000",
        stricter="readers in C would see another value")


for group in (library, accepted, length_field, header_text, entries, numbers, layout, duplicates):
    group()
assert len({v["name"] for v in vectors}) == len(vectors)
os.makedirs(os.path.dirname(OUT), exist_ok=True)
with open(OUT, "w") as f:
    f.write(json.dumps({"safetensors": safetensors.__version__, "vectors": len(vectors)}) + "\n")
    for v in vectors:
        f.write(json.dumps(v, ensure_ascii=False) + "\n")
print(len(vectors), "vectors,", sum(v["reference"] == "accept" and v["expect"] != "ok" for v in vectors), "stricter")
