#!/usr/bin/env python3
"""Makes the Parquet files of tests/io/test_parquet.c, tests/data/io/parquet/NAME_*.parquet, the rows that they hold, NAME.jsonl, and the
seeds of its fuzz target. pyarrow writes the files and reads them back: what it reads is what is expected.

Needs pyarrow (26.0.1 made the committed files).   Run: python3 tools/gen_parquet_vectors.py
"""
import datetime
import decimal
import json
import os
import random

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
OUT = os.path.join(ROOT, "tests", "data", "io", "parquet")
SEEDS = os.path.join(ROOT, "tests", "fuzz", "seeds", "parquet")

EXPECTED = {}  # text of each file of expected rows
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
TRAINING = pa.schema([
    ("text", pa.string()), ("prompt", pa.string()), ("completion", pa.string()), ("messages", MESSAGES), ("auth_weight", pa.float32()),
    ("prov_entropy", pa.float64()), ("loss_weight", pa.int64()), ("source_type", pa.dictionary(pa.int32(), pa.string())),
])


def words(rng, most):
    pool = ["the", "bell", "of", "Österwick", "日本語", "😀", '"quoted"', "back\\slash", "line\nend", "tab\t", ""]
    return " ".join(rng.choice(pool) for _ in range(rng.randrange(most)))


def training_rows(n, seed):
    rng = random.Random(seed)
    rows = []
    for i in range(n):
        kind = i % 3
        messages = [{"role": r, "content": words(rng, 6)} for r in ["system", "user", "assistant"][kind:]] if kind == 2 or i % 7 == 0 else None
        rows.append({
            "text": words(rng, 9) if kind == 0 else None,
            "prompt": words(rng, 5) if kind == 1 else None,
            "completion": words(rng, 5) if kind == 1 else None,
            "messages": [] if i % 11 == 5 else messages,
            "auth_weight": rng.choice([None, 0.0, 0.05, 0.5, 0.99]),
            "prov_entropy": rng.choice([None, 0.0, 3.25, 1e-9, 123456.789]),
            "loss_weight": rng.choice([None, 0, 1, 1000000]),
            "source_type": rng.choice([None, "wiki", "patent", "news"]),
        })
    return rows


TYPES = pa.schema([
    ("b", pa.bool_()), ("i8", pa.int8()), ("u8", pa.uint8()), ("i16", pa.int16()), ("u16", pa.uint16()), ("i32", pa.int32()),
    ("u32", pa.uint32()), ("i64", pa.int64()), ("u64", pa.uint64()), ("f32", pa.float32()), ("f64", pa.float64()), ("when", pa.timestamp("us")),
    ("day", pa.date32()), ("bytes", pa.binary()), ("fixed", pa.binary(3)), ("large", pa.large_string()), ("list", pa.list_(pa.int32())),
    ("lists", pa.list_(pa.list_(pa.string()))), ("group", pa.struct([("x", pa.int32()), ("y", pa.struct([("z", pa.list_(pa.bool_()))]))])),
    ("map", pa.map_(pa.string(), pa.int64())), ("null", pa.null()), pa.field("must", pa.string(), nullable=False),
])


def typed_rows(n, seed):
    rng = random.Random(seed)

    def maybe(v):
        return None if rng.random() < 0.3 else v

    def integer(bits, signed):
        lo, hi = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        return maybe(rng.choice([lo, hi, 0, rng.randint(lo, hi)]))

    rows = []
    for _ in range(n):
        rows.append({
            "b": maybe(rng.random() < 0.5), "i8": integer(8, True), "u8": integer(8, False), "i16": integer(16, True),
            "u16": integer(16, False), "i32": integer(32, True), "u32": integer(32, False), "i64": integer(64, True), "u64": integer(63, False),
            "f32": maybe(rng.choice([0.1, 1.5, -2.0, 3e38, 1e-30, float("inf"), float("nan")])),
            "f64": maybe(rng.choice([0.1, 1e300, -0.0, float("nan")])),
            "when": maybe(datetime.datetime(2026, 11, 28, 10, 0, 0, rng.randrange(10**6))), "day": maybe(datetime.date(2026, 1, 1)),
            "bytes": maybe(rng.choice([b"plain", b"\xff\xfe\x00", b""])), "fixed": maybe(b"\x00\xab\x7f"), "large": maybe(words(rng, 4)),
            "list": maybe([maybe(k) for k in range(rng.randrange(4))]),
            "lists": maybe([maybe([maybe(words(rng, 2)) for _ in range(rng.randrange(3))]) for _ in range(rng.randrange(3))]),
            "group": maybe({"x": maybe(7), "y": maybe({"z": maybe([maybe(True) for _ in range(rng.randrange(3))])})}),
            "map": maybe([(words(rng, 2) + str(k), maybe(k)) for k in range(rng.randrange(3))]), "null": None, "must": words(rng, 3),
        })
    return rows


def as_json(value, kind):
    """What the reader makes of a value of an Arrow type."""
    if value is None:
        return None
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [as_json(v, kind.value_type) for v in value]
    if pa.types.is_struct(kind):
        return {f.name: as_json(value[f.name], f.type) for f in kind}
    if pa.types.is_map(kind):
        return [{"key": as_json(k, kind.key_type), "value": as_json(v, kind.item_type)} for k, v in value]
    if pa.types.is_timestamp(kind):
        return int((value - datetime.datetime(1970, 1, 1)) / datetime.timedelta(microseconds=1))
    if pa.types.is_date32(kind):
        return (value - datetime.date(1970, 1, 1)).days
    if pa.types.is_fixed_size_binary(kind):
        return value.hex()
    if pa.types.is_binary(kind):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"binary": len(value)}
    if pa.types.is_decimal(kind):
        return float(value) if kind.scale else int(value)
    if pa.types.is_floating(kind):
        if value != value or value in (float("inf"), float("-inf")):
            return None
        if pa.types.is_float32(kind):  # the shortest decimal that reads back to the same float
            return next(float(t) for t in (f"{value:.{d}g}" for d in range(6, 10)) if pa.scalar(float(t), pa.float32()).as_py() == value)
        if pa.types.is_float16(kind):
            halves = pa.array([float(f"{value:.{d}g}") for d in range(3, 10)], pa.float64()).cast(pa.float16())
            return next(float(f"{value:.{d + 3}g}") for d, half in enumerate(halves) if half.as_py() == value)
    return value


DECIMALS = pa.schema([("d3_2", pa.decimal128(3, 2)), ("d9_0", pa.decimal128(9, 0)), ("d18_6", pa.decimal128(18, 6)), ("d38_10", pa.decimal128(38, 10)),
                      ("d76_76", pa.decimal256(76, 76)), ("half", pa.float16())])


def decimal_rows(n, seed):
    """Decimals of every width that writers make, from the smallest to the largest, and halves."""
    rng = random.Random(seed)
    rows = []
    for _ in range(n):
        row = {}
        for field in list(DECIMALS)[:-1]:
            most = 10 ** field.type.precision - 1
            digits = rng.choice([None, 0, 1, -1, 25, -350, most, -most, rng.randint(-most, most)])
            row[field.name] = None if digits is None else decimal.Decimal(digits).scaleb(-field.type.scale, decimal.Context(prec=80))
        row["half"] = rng.choice([None, 0.99, 0.1, -2.5, 65504.0, 6e-8, 1 / 3, 1024.0, float("inf")])
        rows.append(row)
    halves = pa.array([row["half"] for row in rows], pa.float32()).cast(pa.float16()).to_pylist()
    return [{**row, "half": half} for row, half in zip(rows, halves)]


def write(folder, name, schema, rows, **options):
    path = os.path.join(folder, name + ".parquet")
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, store_schema=False, write_statistics=options.pop("write_statistics", False),
                   **options)
    table = pq.read_table(path)
    if folder == OUT:
        text = "".join(json.dumps({k: as_json(row[k], table.schema.field(k).type) for k in table.schema.names}, ensure_ascii=False) + "\n"
                       for row in table.to_pylist())
        expected = os.path.join(folder, name.split("_")[0] + ".jsonl")
        assert EXPECTED.setdefault(expected, text) == text, name
        with open(expected, "w", encoding="utf-8") as f:
            f.write(text)
    return os.path.getsize(path)


def vectors():
    training, typed = training_rows(40, 1), typed_rows(30, 2)
    total = 0
    for codec in ("none", "snappy", "gzip", "zstd"):
        for version in ("1.0", "2.0"):
            total += write(OUT, f"training_{codec}_v{version[0]}", TRAINING, training, compression=codec, data_page_version=version,
                           row_group_size=17, data_page_size=256)
    for version in ("1.0", "2.0"):
        total += write(OUT, f"types_dictionary_v{version[0]}", TYPES, typed, compression="none", data_page_version=version)
        total += write(OUT, f"types_plain_v{version[0]}", TYPES, typed, compression="zstd", data_page_version=version, use_dictionary=False,
                       data_page_size=64, write_statistics=True)
    flat = pa.schema([("text", pa.string()), ("n", pa.int32()), ("m", pa.int64()), ("f", pa.float32()), ("d", pa.float64()),
                      ("b", pa.bool_()), ("x", pa.binary(4))])
    rng = random.Random(3)
    rows = [{"text": "prefix " * rng.randrange(3) + words(rng, 4) if i % 5 else None, "n": rng.choice([None, i * i - 300, -2**31, 2**31 - 1]),
             "m": rng.choice([i, -2**63, 2**63 - 1, None]), "f": rng.choice([0.5, 0.1, None]), "d": rng.random(), "b": i % 3 == 0,
             "x": bytes([i % 3, 1, 2, i % 256])} for i in range(300)]
    encodings = {
        "delta": {"text": "DELTA_LENGTH_BYTE_ARRAY", "n": "DELTA_BINARY_PACKED", "m": "DELTA_BINARY_PACKED", "f": "BYTE_STREAM_SPLIT",
                  "d": "BYTE_STREAM_SPLIT", "b": "RLE", "x": "DELTA_BYTE_ARRAY"},
        "prefix": {"text": "DELTA_BYTE_ARRAY", "n": "BYTE_STREAM_SPLIT", "m": "BYTE_STREAM_SPLIT", "f": "PLAIN", "d": "PLAIN", "b": "PLAIN",
                   "x": "BYTE_STREAM_SPLIT"},
    }
    for name, column_encoding in encodings.items():
        for version in ("1.0", "2.0"):
            total += write(OUT, f"flat_{name}_v{version[0]}", flat, rows, compression="zstd", data_page_version=version, use_dictionary=False,
                           column_encoding=column_encoding, data_page_size=512)
    old = pa.schema([("conversations", pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())])))])
    chats = [{"conversations": [{"from": f, "value": words(rng, 4)} for f in ("human", "gpt") * (i % 3)]} for i in range(12)]
    total += write(OUT, "chats_element", old, chats, compression="snappy", use_compliant_nested_type=False)
    total += write(OUT, "empty_snappy", TRAINING, [], compression="snappy")
    for name, integers in (("fixed", False), ("integer", True)):
        total += write(OUT, f"decimals_{name}", DECIMALS, decimal_rows(60, 6), compression="zstd", store_decimal_as_integer=integers)
    print(f"{len(os.listdir(OUT))} files, {total} bytes of Parquet")


def seeds():
    small = training_rows(5, 4)
    for codec in ("none", "snappy", "gzip", "zstd"):
        write(SEEDS, f"training_{codec}", TRAINING, small, compression=codec, data_page_version="2.0" if codec == "zstd" else "1.0")
    types = pa.schema([TYPES.field(k) for k in ("b", "u64", "f32", "bytes", "fixed", "lists", "group")])
    rows = [{k: row[k] for k in types.names} for row in typed_rows(6, 5)]
    write(SEEDS, "types", types, rows, compression="none", use_dictionary=False)
    flat = pa.schema([("t", pa.string()), ("u", pa.string()), ("n", pa.int64()), ("f", pa.float32())])
    rows = [{"t": "abc" * i, "u": "abcd" * i, "n": i * 1000, "f": i / 4} for i in range(9)]
    write(SEEDS, "decimals", DECIMALS, decimal_rows(4, 7), compression="none", use_dictionary=False, store_decimal_as_integer=True)
    write(SEEDS, "delta", flat, rows, compression="none", use_dictionary=False,
          column_encoding={"t": "DELTA_BYTE_ARRAY", "u": "DELTA_LENGTH_BYTE_ARRAY", "n": "DELTA_BINARY_PACKED", "f": "BYTE_STREAM_SPLIT"})


os.makedirs(OUT, exist_ok=True)
os.makedirs(SEEDS, exist_ok=True)
vectors()
seeds()
