#!/usr/bin/env bash
# report: the page of one run and of two, read back by read_page.py; names of files and sources that would like to be markup; 10,000
# steps in less than a megabyte; CSV; TensorBoard's records, whose checksums are made anew here.
set -u
failed=0
here=$SOURCE_DIR/tests/cli
rm -rf ./*
"$BUILD_DIR/tests/make_tiny" "$PWD" || exit 1

fail() {
    printf 'FAILED %s\n' "$*"
    failed=1
}
has() {
    grep -qF -- "$3" "$2" || fail "$1: no '$3' in $2"
}

# A file name, source types and a run's name that break out of careless HTML.
hostile='<img src=x onerror=alert(1)>"'"'&.jsonl"
python3 - "$hostile" <<'END'
import json, sys
kinds = ["</td><script>alert(2)</script>", '" onload="alert(3)', "plain", None]
rows = [json.loads(line) for line in open("rows.jsonl")]
for i, row in enumerate(rows):
    row["source_type"] = kinds[i % 4] if kinds[i % 4] else row.pop("source_type", None)
    if row["source_type"] is None: del row["source_type"]
    key = "text" if "text" in row else "completion"
    row[key] = "</script><b>" + row[key]
open(sys.argv[1], "w").writelines(json.dumps(r) + "\n" for r in rows)
END
run="run<b>'&\""
"$YOUR_AI" train -m model -d "$hostile" -d rows.jsonl --valid-share 0.2 -o "$run" --rank 2 --max-steps 30 --eval-every 10 --lr 0.003 \
    >out 2>&1 || { cat out; exit 1; }
"$YOUR_AI" train -m model -d rows.jsonl -o second --rank 4 --max-steps 20 --lr 0.01 >out 2>&1 || { cat out; exit 1; }

"$YOUR_AI" report "$run" -o one.html >out || fail "report"
python3 "$here/read_page.py" one.html "$run" || fail "read one.html"
has "escaped file" one.html '&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;.jsonl'
has "escaped source" one.html '&lt;/td&gt;&lt;script&gt;alert(2)'
has "escaped text" one.html '/script&gt;&lt;b&gt;' # the first byte of a text is not trained
has "sources" one.html 'Share of the weight by source_type'
has "histogram" one.html 'Trained tokens by omega'
has "documents" one.html 'Heaviest documents'
has "option" one.html '<code>--lr</code></td><td>0.003'
has "hash" one.html "$(sha256sum model/model.safetensors | cut -d' ' -f1)"
has "version" one.html "$("$YOUR_AI" --version)"
grep -Eq 'https?://|<script|<link|url\(' one.html && fail "the page refers to something outside or runs something"

"$YOUR_AI" report "$run" second -o two.html >out || fail "report of two"
python3 "$here/read_page.py" two.html "$run" second || fail "read two.html"
# What two prompts of the validation rows were answered before and after, which changes nothing of the training.
has "samples" one.html '<h3>Samples</h3>'
has "samples of the best" one.html "after, step $(sed -n 's/.*"step": \([0-9]*\).*/\1/p' "$run/samples.json")"
has "escaped row" one.html '&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;.jsonl:'
"$YOUR_AI" inspect "$run" >out || fail "inspect"
has "samples in inspect" out 'samples, before and after'
"$YOUR_AI" train -m model -d rows.jsonl -o without --rank 4 --max-steps 20 --lr 0.01 --samples 0 >out 2>&1 || { cat out; exit 1; }
cmp -s second/metrics.jsonl without/metrics.jsonl || fail "samples change the metrics"
cmp -s second/adapter/adapter_model.safetensors without/adapter/adapter_model.safetensors || fail "samples change the adapter"
[ -e without/samples.json ] && fail "samples although there should be none"
"$YOUR_AI" train -m model -d rows.jsonl -o again --rank 4 --max-steps 20 --lr 0.01 -t 1 >out 2>&1 || { cat out; exit 1; }
cmp -s second/samples.json again/samples.json || fail "samples differ between runs"
python3 - second/samples.json <<'END' || fail "samples.json"
import json, sys
s = json.load(open(sys.argv[1]))
assert s["step"] == 20 and len(s["samples"]) == 2, s
assert all(a["before"] and a["after"] and a["expected"] for a in s["samples"]), s
assert any(a["before"] != a["after"] for a in s["samples"]), s
END

has "differs" two.html 'class="differs"><td><code>--rank</code>'

# Rows and model may be gone: the page says so, and the rest stands.
cp -r second bare && rm bare/data.cache
mv model elsewhere
"$YOUR_AI" report bare second -o gone.html >out || fail "report without rows and model"
has "gone" gone.html 'The weights are not shown: '
has "gone" gone.html 'The words of documents are not shown: '
mv elsewhere model

# A long run, with a spike in one step of ten thousand and several sources.
cp -r "$run" long
python3 - <<'END'
import json, math, random
random.seed(1)
with open("long/metrics.jsonl", "w") as m, open("long/timing.jsonl", "w") as t:
    for k in range(1, 10001):
        loss = 2 + 2 * math.exp(-k / 2000) + random.gauss(0, 0.2) + (7 if k == 7777 else 0)
        sources = [{"by": "source_type", "name": f"kind {i}", "trained_tokens": 50, "weight_share": 0.1 + 0.02 * random.random(),
                    "loss": loss + i / 10 + random.gauss(0, 0.3), "weighted_loss": loss} for i in range(12)]
        sources += [{"by": "file", "name": f"file {i}.jsonl", "trained_tokens": 50, "weight_share": 0.1, "loss": loss + random.gauss(0, 0.3),
                     "weighted_loss": loss} for i in range(12)]
        m.write(json.dumps({"step": k, "epoch": 1, "loss": loss, "weighted_loss": 0.9 * loss, "distrust": 3.0, "total": loss,
                            "lr": 2e-4 * math.cos(k / 8000), "grad_norm": math.exp(random.gauss(0, 0.5)), "clip_threshold": 4.0,
                            "clipped": False, "clip_share": 0.01, "omega": 1.0, "trained_tokens": 600, "tokens": 700,
                            "sources": sources}) + "\n")
        if k % 500 == 0:
            m.write(json.dumps({"step": k, "valid_loss": loss, "valid_weighted_loss": loss, "valid_trained_tokens": 99, "best": False}) + "\n")
        t.write(json.dumps({"step": k, "seconds": 1.0, "tokens_per_s": 700 + random.gauss(0, 50), "peak_bytes": 10**9 + k}) + "\n")
END
"$YOUR_AI" report long -o long.html >out || fail "report of 10,000 steps"
python3 "$here/read_page.py" long.html long || fail "read long.html"
bytes=$(wc -c <long.html)
[ "$bytes" -le 1000000 ] || fail "the page of 10,000 steps has $bytes bytes"
echo "10,000 steps, 24 sources: $bytes bytes"

# CSV and TensorBoard hold the same numbers as metrics.jsonl.
"$YOUR_AI" report "$run" second --csv both.csv --tensorboard tb >out || fail "report --csv --tensorboard"
python3 - "$run" <<'END' || fail "CSV or TensorBoard"
import csv, glob, json, os, struct, sys

def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8): crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff
assert crc32c(b"123456789") == 0xe3069283
masked = lambda data: ((lambda c: ((c >> 15 | c << 17) + 0xa282ead8) & 0xffffffff)(crc32c(data)))

def fields(data):
    """Fields of a protobuf message: (number, value)."""
    at = 0
    def varint():
        nonlocal at
        v = shift = 0
        while True:
            v |= (data[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if data[at - 1] < 128: return v
    while at < len(data):
        key = varint()
        kind = key & 7
        if kind == 0: yield key >> 3, varint()
        else:
            n = varint() if kind == 2 else {1: 8, 5: 4}[kind]
            yield key >> 3, data[at:at + n]
            at += n

def events(path):
    data, at, n = open(path, "rb").read(), 0, 0
    while at < len(data):
        length, crc = struct.unpack("<QI", data[at:at + 12])
        assert crc == masked(data[at:at + 8])
        event = data[at + 12:at + 12 + length]
        assert struct.unpack("<I", data[at + 12 + length:at + 16 + length])[0] == masked(event)
        at += 16 + length
        f = dict(fields(event))
        if n == 0: assert f[3] == b"brain.Event:2"
        else:
            value = dict(fields(dict(fields(f[5]))[1]))
            yield value[1].decode(), f[2], struct.unpack("<f", value[2])[0], struct.unpack("<d", f[1])[0]
        n += 1

run = sys.argv[1]
rows = [json.loads(line) for line in open(run + "/metrics.jsonl")]
steps, valid = {r["step"]: r for r in rows if "loss" in r}, {r["step"]: r for r in rows if "valid_loss" in r}
paths = glob.glob(glob.escape("tb/" + run) + "/events.out.tfevents.*")
assert len(paths) == 1, paths
tags, last = {}, 0
for tag, step, value, wall in events(paths[0]):
    tags.setdefault(tag, {})[step] = value
    assert wall >= last
    last = wall
same = lambda a, b: abs(a - b) <= 1e-6 * abs(b)
for tag, key in (("loss/total", "total"), ("loss/cross_entropy", "loss"), ("loss/weighted", "weighted_loss"),
                 ("training/learning_rate", "lr"), ("training/grad_norm", "grad_norm")):
    assert set(tags[tag]) == set(steps) and all(same(v, steps[k][key]) for k, v in tags[tag].items()), tag
assert set(tags["validation/loss"]) == set(valid) == {0, 10, 20, 30}
assert set(tags["system/memory_mb"]) == set(tags["system/memory_change_mb"]) == set(steps)
table = [r for r in csv.DictReader(open("both.csv", newline="")) if r["run"] == run]
assert len(table) == 31 and len(list(csv.DictReader(open("both.csv", newline="")))) == 51
for r in table:
    k = int(r["step"])
    if k: assert float(r["loss"]) == steps[k]["loss"] and float(r["clip_threshold"]) == steps[k]["clip_threshold"]
    assert (r["valid_loss"] != "") == (k in valid)
    if k in valid: assert float(r["valid_weighted_loss"]) == valid[k]["valid_weighted_loss"]
END

if "$YOUR_AI" report "$run" >out 2>&1; then fail "report without an output"; fi
has "no output" out "where to?"
if "$YOUR_AI" report model -o x.html >out 2>&1; then fail "report of a model"; fi
has "no run" out "is not the folder of a run"
exit $failed
