#!/usr/bin/env python3
"""Makes the seeds of the fuzz targets, tests/fuzz/seeds/TARGET/*: small inputs that reach the parts of each parser. Findings are
added by hand under names of their own and are left alone here.

Needs nothing but the committed test data.   Run: python3 tools/gen_fuzz_seeds.py
"""
import gzip
import json
import os
import shutil
import struct
import subprocess

import gen_data_texts

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
DATA = os.path.join(ROOT, "tests", "data", "io")
JINJA = os.path.join(ROOT, "tests", "data", "jinja")
SEEDS = os.path.join(ROOT, "tests", "fuzz", "seeds")


def put(target, name, data):
    folder = os.path.join(SEEDS, target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())


def read(*path):
    with open(os.path.join(*path), "rb") as f:
        return f.read()


def safetensors():
    lines = read(DATA, "safetensors_vectors.jsonl").decode().splitlines()[1:]
    for v in map(json.loads, lines):
        if v["expect"] == "ok" and len(v["hex"]) < 4000 or v["name"] in ("overlap_part", "duplicate_name", "shape_wraps"):
            put("safetensors", v["name"], bytes.fromhex(v["hex"]))


def gguf_string(s):
    return struct.pack("<Q", len(s)) + s.encode()


def gguf():
    put("gguf", "golden", read(DATA, "golden.gguf"))
    put("gguf", "empty", b"GGUF" + struct.pack("<IQQ", 3, 0, 0))
    put("gguf", "version_2", b"GGUF" + struct.pack("<IQQ", 2, 0, 1) + gguf_string("k") + struct.pack("<IB", 0, 7))
    strings = b"".join(gguf_string(w) for w in ("", "a", "token", "\u0120the"))
    put("gguf", "strings", b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + gguf_string("tokens") + struct.pack("<IIQ", 9, 8, 4) + strings
        + gguf_string("general.alignment") + struct.pack("<II", 4, 64))
    infos = b"".join(gguf_string(n) + struct.pack("<IQQIQ", 2, 32, 2, t, at)
                     for n, t, at in (("a", 2, 0), ("b", 3, 64), ("c", 8, 128)))
    head = b"GGUF" + struct.pack("<IQQ", 3, 3, 0) + infos
    put("gguf", "blocks", head + bytes(-len(head) % 32) + bytes(range(196)))
    put("gguf", "types", gguf_types())
    gguf_sets()


def gguf_types():
    """A block of every type that comes in blocks, from the table that the program is built from."""
    with open(os.path.join(ROOT, "src", "io", "tensor_types.def"), encoding="utf-8") as f:
        rows = [line[len("BLOCK("):-2].split(", ") for line in f if line.startswith("BLOCK(")]
    infos, data = b"", b""
    for name, number, block, size, _ in rows:
        infos += gguf_string(name) + struct.pack("<IQIQ", 1, int(block), int(number), len(data))
        data += bytes(i * 37 % 256 for i in range(int(size))) + bytes(-int(size) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(rows), 0) + infos
    return head + bytes(-len(head) % 32) + data


def gguf_part(no, count, total, tensors):
    """A part of a split model with tensors of two f32 each."""
    keys = [gguf_string("split.no") + struct.pack("<IH", 2, no), gguf_string("split.count") + struct.pack("<IH", 2, count),
            gguf_string("split.tensors.count") + struct.pack("<Ii", 5, total)]
    infos = b"".join(gguf_string(t) + struct.pack("<IQIQ", 1, 2, 0, 32 * i) for i, t in enumerate(tensors))
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys) + infos
    return head + bytes(-len(head) % 32) + bytes(32 * len(tensors))


def gguf_sets():
    cases = {"two": ((0, 2, 3, "ab"), (1, 2, 3, "c")), "twice": ((0, 2, 3, "ab"), (1, 2, 3, "a")),
             "wrong_part": ((0, 2, 2, "a"), (0, 2, 2, "b")), "three": ((0, 3, 2, "a"), (1, 3, 2, "b")),
             "whole": ((0, 1, 1, "a"), (0, 1, 1, "b"))}
    for name, (one, two) in cases.items():
        for last in (0, 1):
            first = gguf_part(*one)
            put("gguf_set", f"{name}_{last + 1}", struct.pack("<I", len(first)) + first + gguf_part(*two) + bytes([last]))


def json_texts():
    texts = {
        "scalars": '[0,-1,1.5,-2e-3,1E+5,true,false,null,"",9223372036854775808,123456789012345678901234567890]',
        "strings": '["\\"\\\\\\/\\b\\f\\n\\r\\t","\\u0041\\u00e9\\ud83d\\ude00\\u0000","\u00e9\U0001f600\u2028"]',
        "objects": '{"a":{"b":{"c":[{},[],[{}]]}},"":1,"a\\u0000":2}',
        "spaces": ' \t\r\n{ "k" : [ 1 , 2 ] }\n',
        "deep": "[" * 128 + "]" * 128,
        "too_deep": "[" * 129 + "]" * 129,
        "tiny_values": "[" + "[]," * 300 + "0]",
        "huge": "[1e308,1e309,-1e309,1e-400]",
        "config": json.dumps({"model_type": "llama", "hidden_size": 48, "rope_scaling": {"factor": 8.0}, "eos_token_id": [1, 2]}),
        "duplicate": '{"a":1,"\\u0061":2}',
        "lone": '["\\ud800"]',
    }
    for name, text in texts.items():
        put("json", name, text)
    put("json", "not_utf8", b'["\xff\xc0\x80"]')
    put("json", "marked", b"\xef\xbb\xbf{}")


def tokenizers():
    text = "It's <|im_start|> 12345 na\u00efve \U0001f600   x\\n"
    for name in sorted(os.listdir(os.path.join(DATA, "tokenizer"))):
        path = os.path.join(DATA, "tokenizer", name, "tokenizer.json")
        if os.path.exists(path):
            # Compact and with a short vocabulary: mutations should hit the structure, not the list of words.
            t = json.loads(read(path))
            t["model"]["merges"] = t["model"]["merges"][:40]
            used = {m if isinstance(m, str) else " ".join(m) for m in t["model"]["merges"]}
            used = {w.replace(" ", "") for w in used} | {p for m in used for p in m.split(" ")}
            base = {w: i for w, i in t["model"]["vocab"].items() if len(w) == 1 or w in used}
            t["model"]["vocab"] = base
            put("tokenizer", name, text + "\n" + json.dumps(t, ensure_ascii=False, separators=(",", ":")))
    for name in ("prepend", "words", "other", "prefix"):
        t = json.loads(read(FORMS, name, "tokenizer.json"))
        t["model"]["merges"] = t["model"]["merges"][:30]
        t["model"]["vocab"] = {w: i for w, i in t["model"]["vocab"].items() if i < 290 or len(w) == 1}
        used = t["model"]["vocab"]
        t["model"]["merges"] = [m for m in t["model"]["merges"] if m[0] in used and m[1] in used and m[0] + m[1] in used]
        put("tokenizer", name, text + "\n" + json.dumps(t, ensure_ascii=False, separators=(",", ":")))
    put("tokenizer", "other_model", 'a\n{"model":{"type":"WordPiece","vocab":{}}}')


FORMS = os.path.join(DATA, "forms")


def protos():
    """A tokenizer.model cut down to its first pieces: field 1 is a piece, the others stay."""
    data, at, pieces, rest = read(FORMS, "proto", "tokenizer.model"), 0, [], b""
    while at < len(data):
        start, n, shift = at, 0, 0
        at += 1
        while True:
            n |= (data[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if data[at - 1] < 128:
                break
        at += n
        if data[start] == 10:
            pieces.append(data[start:at])
        else:
            rest += data[start:at]
    put("proto", "first_pieces", b"Hello the  world \xe4\xb8\xad<tool>\n" + b"".join(pieces[:300]) + rest)
    put("proto", "few_pieces", b"aa <s>\n" + b"".join(pieces[:4] + pieces[-20:]) + rest)


def coreml():
    """A model.mlmodel of one gather, one product and one state, field by field (numbers of coremltools' Model.proto, MIL.proto)."""
    def varint(n):
        return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)

    def put_number(number, n):
        return varint(number << 3) + varint(n)

    def sub(number, *parts):
        data = b"".join(p.encode() if isinstance(p, str) else p for p in parts)
        return varint(number << 3 | 2) + varint(len(data)) + data

    def tensor(number, dtype, *shape, state=False):
        dims = [sub(3, sub(2) if n < 0 else sub(1, put_number(1, n))) for n in shape]
        inner = sub(1, put_number(1, dtype), put_number(2, len(shape)) if shape else b"", *dims)
        return sub(number, sub(5, sub(1, inner)) if state else inner)

    def op(kind, name, dtype, shape, *inputs, val=b""):
        args = [sub(2, sub(1, key), sub(2, *[sub(1, a if isinstance(a, bytes) else sub(1, a)) for a in of])) for key, *of in inputs]
        return sub(3, sub(1, kind), *args, sub(3, sub(1, name), tensor(2, dtype, *shape)), val)

    table = sub(5, sub(1, "val"), sub(2, tensor(2, 10, 5, 4), sub(5, sub(1, "@model_path/weights/weight.bin"), put_number(2, 64))))
    axis = sub(5, sub(1, "val"), sub(2, tensor(2, 23), sub(3, sub(1, sub(2, sub(1, varint(0)))))))
    half = sub(2, tensor(2, 10, 2), sub(3, sub(1, sub(7, sub(1, b"\0\x3c\0\x40")))))
    ops = [op("const", "table", 10, (5, 4), val=table), op("const", "axis", 23, (), val=axis),
           op("gather", "x", 10, (1, -1, 4), ("x", "table"), ("indices", "ids"), ("axis", "axis")),
           op("concat", "y", 10, (1, -1, 8), ("values", "x", "x"), ("axis", "axis")),
           op("constexpr_blockwise_shift_scale", "w", 10, (2, 4), ("scale", half)), op("read_state", "s", 10, (2, 3), ("input", "c"))]
    block = sub(2, "y") + b"".join(ops)
    inputs = sub(1, sub(1, "ids"), tensor(2, 23, 1, -1)) + sub(1, sub(1, "c"), tensor(2, 10, 2, 3, state=True))
    function = inputs + sub(2, "CoreML8") + sub(3, sub(1, "CoreML8"), sub(2, block))
    program = put_number(1, 1) + sub(2, sub(1, "main"), sub(2, function))
    shapes = sub(21, sub(1, sub(1, varint(1), varint(1))), sub(1, sub(1, varint(1), varint(8))))
    array = sub(5, sub(1, varint(1), varint(8)), put_number(2, 131104), shapes)
    description = sub(1, sub(1, "ids"), sub(3, array))
    put("coreml", "small", put_number(1, 9) + sub(2, description) + sub(502, program))
    put("coreml", "fixed", put_number(1, 9) + sub(2, sub(1, sub(3, sub(5, sub(1, varint(1), varint(8)))))) + sub(502, program))


def expressions():
    text = "It's  12345 na\u00efve \U0001f600\t x\r\n\u4e2d ABC_def\n "
    with open(os.path.join(FORMS, "expressions.jsonl"), encoding="utf-8") as f:
        patterns = list(dict.fromkeys(json.loads(line)["pattern"] for line in f))
    for i, pattern in enumerate(patterns):
        put("expression", f"pattern_{i}", pattern + "\n" + text)


def records():
    rows = [
        {"text": "plain text", "auth_weight": 0.5, "prov_entropy": 3.25, "source_type": "book", "metadata": {"x": [1]}},
        {"prompt": "Q: ", "completion": "A", "loss_weight": 2},
        {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"},
                      {"role": "assistant", "content": "a", "weight": 0}]},
        {"conversations": [{"from": "human", "value": "h"}, {"from": "gpt", "value": "g"}], "system": "s"},
        {"instruction": "i", "input": "n", "output": "o", "history": [["u", "a"]]},
        {"prompt": [{"role": "user", "content": "u"}], "completion": [{"role": "assistant", "content": "a"}]},
    ]
    for i, row in enumerate(rows):
        put("records", f"row_{i}", json.dumps(row) + "\n")
    put("records", "all", "\n".join(json.dumps(r) for r in rows) + "\n\n")
    bad = ['{"text":""}', '{"text":1}', '{"text":"x","auth_weight":1.5}', '{"text":"x","prov_entropy":-1}', "{", "[]",
           '{"messages":[]}', '{"text":"a","prompt":"b"}', '{"messages":[{"role":"pope","content":"x"}]}']
    put("records", "bad", "\n".join(bad))
    put("records", "not_utf8", b'{"text":"\xff"}\n{"text":"ok"}\n')
    put("records", "crlf", '{"text":"a"}\r\n{"text":"b"}')
    put("records", "array", json.dumps(rows, indent=2))
    put("records", "objects", "\n".join(json.dumps(r, indent=1) for r in rows))
    mixed = [{"prompt": "p", "prompt_id": "x", "text": "t", "messages": [{"from": "human", "value": [{"type": "text", "text": "h"}]},
              {"role": "model", "content": ["a", {"text": "b"}], "train": False}, {"role": "tool", "content": "t", "name": "n"}]},
             {"chosen": 1, "rejected": 2}, {"input_ids": []}, {"text": "x", "images": [1]}, {"question": "q", "tools": "[]"}]
    put("records", "mixed", "\n".join(json.dumps(r) for r in mixed))


def row_files():
    shapes = {
        "lines": b'\xef\xbb\xbf{"a":1}\r\n\n{"b":"}\\""} {"c":2}\n',
        "objects": b'{\n "a": [\n1]\n}\n{"b":\n2}',
        "array": b'[\n {"a": "],"},\n {"b": 2}, 7, "x"\n]\n',
        "broken": b'{"a":\n"}\n[1,2\n]\n',
        "utf16": '{"a":1}\n'.encode("utf-16"),
        "table": b"text,label\na,b\n",
    }
    for name, data in shapes.items():
        put("row_file", name, data)
        packed = bytearray(gzip.compress(data, mtime=0))
        packed[9] = 255  # the system that made it, which differs between Python's versions
        put("row_file", name + ".gz", bytes(packed))
        if shutil.which("zstd"):
            put("row_file", name + ".zst", subprocess.run(["zstd", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout)
    two = gzip.compress(b'{"a":1}\n', mtime=0)
    put("row_file", "two_members.gz", two + two + b"\0\0")


def score_rows():
    text = "Published in 1923, this patent of the lab notebook: experts agree [1] (Smith, 2020) (Jones et al., 1999) ibid. op. cit."
    rows = [
        {"text": text, "source_type": "wiki", "url": "https://a@www.who.int:80/x?y", "year": 1923, "z": [{"a": "scan"}]},
        {"text": text + "\n1. Smith, Title, 2020\tUS1234567 caf\u00e9", "metadata": {"date": "1850-01-01", "citations": 7}},
        {"auth_weight": 0.1, "text": text, "prov_entropy": None, "provenance_score": {"a": [1]}, "year": True},
        {"messages": [{"role": "user", "content": text}, {"content": [{"type": "text", "text": "WHO"}]}], "has_scan": False},
        {"prompt": text, "completion": "yes\n", "source": "W\u0048O", "published": 1e3, "citation_count": -1},
        {"text": "short"},
        {"text": "a source without text", "source": True, "url": False},
    ]
    for i, row in enumerate(rows):
        put("score_rows", f"row_{i}", json.dumps(row) + "\n")
    put("score_rows", "lines", "\n".join(json.dumps(r, ensure_ascii=False) for r in rows))
    put("score_rows", "array", json.dumps(rows, indent=1))
    put("score_rows", "bad", '{"text":7}\n{"text":"x","text":"y"}\n[]\n{}\n{"source_type":3,"text":""}\n\x01')


def score_rules():
    for name in ("rules", "rules_original"):
        put("score_rules", name, gen_data_texts.text_of(os.path.join("data", "score"), name + ".json"))
    rules = json.loads(read(ROOT, "data", "score", "rules.json"))
    words = [{"match": "word", "case": "fold", "words": ["\u00e9tude", "lab notebook", ".gov", "aa"]}]
    for scorer, keys in (("citation", ("consensus", "primary")), ("heuristic", ("uneditable", "vintage", "consensus", "coordinated"))):
        part = rules[scorer]
        part.update({k: words for k in keys}, institution=[dict(words[0], value=0.3)] if scorer == "citation" else words)
        if scorer == "citation":
            part["source_types"], part["declared"] = part["source_types"][:2], part["declared"][:1]
    rules["kinds"] = rules["kinds"][-1:]
    put("score_rules", "small", json.dumps(rules))
    rules["citation"]["primary"] = [{"match": "prefix", "case": "exact", "words": ["\u00e9" * 40] * 3}]
    put("score_rules", "wide", json.dumps(rules))


def minhash():
    put("minhash", "prose", "The quick, brown fox jumps over the lazy dog; it does so 13 times in 1923. " * 3)
    put("minhash", "scripts", "\u65e5\u672c\u8a9e\u306e\u6587 caf\u00e9 \u0416\u0443\u043a \ud55c\uad6d\uc5b4 na\u00efve \u0e44\u0e17\u0e22")
    put("minhash", "many", " ".join(str(i * i) for i in range(400)))
    put("minhash", "cut", b"\xe6\x97 \xe6 a\xe6\x97\xa5\xff\x00b")


def templates():
    """Our own templates with a conversation, and small pieces of Jinja with their variables."""
    with open(os.path.join(JINJA, "conversations.jsonl"), encoding="utf-8") as f:
        rows = f.read().splitlines()
    for i, name in enumerate(sorted(os.listdir(os.path.join(JINJA, "templates")))):
        with open(os.path.join(JINJA, "templates", name), encoding="utf-8", newline="") as f:
            put("jinja", name.removesuffix(".jinja"), f.read() + "\0" + rows[15 + i])
    with open(os.path.join(JINJA, "snippets.json"), encoding="utf-8") as f:
        variables = f.read()
    with open(os.path.join(JINJA, "snippets.jsonl"), encoding="utf-8") as f:
        for i, line in enumerate(f):
            if i % 2 == 0:
                put("jinja", f"snippet_{i}", json.loads(line)["source"] + "\0" + variables)
    put("jinja", "endless", "{% for a in range(9999) %}{% for b in range(9999) %}{{ b }}{% endfor %}{% endfor %}")
    put("jinja", "recursion", "{% macro f(n) %}{{ f(n + 1) ~ 'x' }}{% endmacro %}{{ f(1) }}")
    put("jinja", "doubling", "{% set ns = namespace(x='ab', y=[1]) %}{% for i in range(40) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}")


def configs():
    """Files of options: what is read, and what is refused."""
    put("config_file", "train", "model: m.gguf\ndata: [a.jsonl, 'b.jsonl:2']\nadapter:\n  rank: 4  # few\ntraining.lr: 1e-4\nlora: {alpha: 8}\n")
    put("config_file", "block", "data:\n  - a.jsonl\n  - \"b\\u00e9.jsonl\"\nvalid: ~\ntargets: >-\n  q_proj,\n  v_proj\npacking: false\n")
    put("config_file", "json", '{"model": "m", "data": ["a"], "valid": null, "rank": 8, "lr": 0.0002, "packing": true}')
    put("config_file", "no_text", 'data: ["\\uFFFF\\uFFFE\\uFEFF\\x85\\u2028\\u2029\\x9F"]\n')
    put("config_file", "anchors", "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n")
    put("config_file", "tag", "rank: !!python/object/apply:os.system [\"true\"]\n")
    put("config_file", "merge", "adapter: &x\n  rank: 8\noptimisation:\n  <<: *x\n")
    put("config_file", "two", "rank: 1\n---\nrank: 2\n...\n")
    put("config_file", "deep", "adapter: " + "{a: " * 40 + "1" + "}" * 40)
    put("config_file", "deep_list", "data: " + "[" * 60 + "]" * 60)
    put("config_file", "directive", "%YAML 1.1\n%TAG ! tag:x,2000:\n---\n? rank\n: 3\n")


def samples():
    """Answers of a run: before its end, after it, and what is refused."""
    one = {"row": "r.jsonl:3", "prompt": "a\n\"b\"", "expected": "caf\u00e9", "before": "x", "after": None}
    put("samples", "open", json.dumps({"version": 1, "tokens": 32, "samples": [one, one]}))
    put("samples", "done", json.dumps({"version": 1, "tokens": 32, "step": 7, "samples": [{**one, "after": "y"}]}))
    put("samples", "many", json.dumps({"version": 1, "samples": [one] * 17}))
    put("samples", "part", json.dumps({"version": 1, "step": -1, "samples": [{"row": 5}]}))


def profiles():
    """Profiles of a machine: one that is read, and ones that are refused."""
    parts = [[[round(0.001 * (1 + i) * (1 + j) * (k + 1), 6) for k in range(7)] for j in range(2)] for i in range(4)]
    none = [[[0] * 7] * 2] * 4
    whole = {"version": 2, "program": "0.1.0", "date": "2026-11-28", "device": "cpu-avx2", "cpu": "A processor", "threads": 2,
             "fma_one": 1.0e11, "fma": 2.0e11, "read": 2e10, "step_f32": 9e10, "step_int8x2": 1.1e11, "step_int8": 0, "step_bf16": 0,
             "parts_f32": parts, "parts_int8x2": parts, "parts_int8": none, "parts_bf16": none}
    put("machine_profile", "whole", json.dumps(whole))
    put("machine_profile", "part", '{"version": 2, "program": "0.1.0", "threads": -1}')
    put("machine_profile", "flat", json.dumps({**whole, "parts_f32": [[0.001] * 7] * 8}))
    put("machine_profile", "huge", json.dumps({**whole, "read": 1e300, "threads": 10**18}))
    put("machine_profile", "text", json.dumps({**whole, "cpu": "x" * 300}))


def trial_logs():
    """Files of measurements: whole, with a torn last line, and with what is refused."""
    line = {"key": "a b", "outcome": "ok", "tokens_per_s": 12.5, "planned_bytes": 1000, "message": ""}
    put("trial_log", "whole", json.dumps(line) + "\n" + json.dumps({**line, "outcome": "killed", "message": "signal 9"}) + "\n")
    put("trial_log", "torn", json.dumps(line) + "\n" + json.dumps(line)[:30])
    put("trial_log", "refused", json.dumps({**line, "outcome": "fine"}) + "\n")


for group in (trial_logs, profiles, samples, configs, safetensors, gguf, json_texts, tokenizers, protos, coreml, expressions, records, row_files, score_rows, score_rules, minhash, templates):
    group()
for target in sorted(os.listdir(SEEDS)):
    files = os.listdir(os.path.join(SEEDS, target))
    print(target, len(files), "seeds,", sum(os.path.getsize(os.path.join(SEEDS, target, f)) for f in files), "bytes")
