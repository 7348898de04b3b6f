#!/usr/bin/env python3
"""Makes tests/data/io/chat/corpora_marks.jsonl: what transformers gives (apply_chat_template with return_assistant_tokens_mask) for
templates of models to which {% generation %} marks were added. The templates are files of others and are not committed: a line says
which one, and at which bytes marks go in. One line each:

  {"template": file name, "tokenizer": one of tests/data/io/tokenizer, "marks": [[byte, text], ...],
   "rows": [null or [tokens, SHA-256 of the ids, SHA-256 of the mask], ...]}

with a row for each of tests/data/jinja/conversations.jsonl, always without a generation prompt (null: it
is left out, because transformers refuses it, it spells a control token, which transformers takes for one and this program does not, or
it has what this program puts into another form: lists of parts, arguments in a string). Digests are cut to 16 digits; ids are hashed as little-endian i32, the mask as text
of 0 and 1. A mark begins behind the tag that asks for the assistant's role and ends before the tag of the same level that follows; a
template is used when the marks do not change a rendering and something is trained.

Needs transformers (5.24 was used).

  gen_corpora_masks.py tests/data TEMPLATES"""
import datetime
import glob
import hashlib
import json
import os
import re
import struct
import sys
import warnings

warnings.filterwarnings("ignore")
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
from transformers import PreTrainedTokenizerFast  # noqa: E402
from transformers.utils import chat_template_utils  # noqa: E402


class Date(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


chat_template_utils.datetime = Date

TAG = re.compile(r"\{#.*?#\}|\{%[-+]?\s*raw\s*[-+]?%\}.*?\{%[-+]?\s*endraw\s*[-+]?%\}|\{%[-+]?\s*(\w+)(.*?)[-+]?%\}", re.S)
OPENS = {"if", "for", "macro", "call", "filter"}


def tags(source):
    """(word, condition, start, end, depth) of each tag; a block's own tags have the depth outside of it."""
    found, depth = [], 0
    for m in TAG.finditer(source):
        word = m.group(1)
        if not word:
            continue
        block = word == "set" and "=" not in m.group(2)
        if word.startswith("end"):
            depth -= 1
        inner = depth - 1 if word in ("elif", "else") else depth
        found.append((word, m.group(2), m.start(), m.end(), inner))
        if word in OPENS or block:
            depth += 1
    return found


def candidates(source):
    """Marks of each branch that asks whether the role is the assistant's."""
    all_tags = tags(source)
    for i, (word, condition, _, end, depth) in enumerate(all_tags):
        if word not in ("if", "elif") or not re.search(r"==\s*['\"]assistant['\"]", condition) or " or " in condition:
            continue
        if re.search(r"\bloop\.(last|first)\b|\[-1\]|add_generation_prompt", condition):
            continue
        after = next((t for t in all_tags[i + 1:] if t[4] == depth and t[0] in ("elif", "else", "endif")), None)
        if not after:
            continue
        close = "{%- endgeneration %}" if source[after[2]:after[2] + 3] == "{%-" else "{% endgeneration %}"
        open_ = "{% generation -%}" if source[end - 3:end] == "-%}" else "{% generation %}"
        yield [[end, open_], [after[2], close]]


def marked(source, marks):
    for at, text in reversed(marks):
        source = source[:at] + text + source[at:]
    return source


def render(t, source, row, **more):
    keys = {k: v for k, v in row.items() if k not in ("messages", "add_generation_prompt")}
    try:
        return t.apply_chat_template(json.loads(json.dumps(row["messages"])), chat_template=source, **keys, **more)
    except Exception:  # whatever the template or Python raises
        return None


def is_left_out(t, row):
    if any(token in json.dumps(row, ensure_ascii=False) for token in t.get_added_vocab()):
        return True
    for m in row["messages"]:
        calls = m.get("tool_calls") or []
        if isinstance(m.get("content"), list) or any(isinstance(call["function"]["arguments"], str) for call in calls):
            return True
    return False


def expect(t, source, plain, row):
    """What is expected of one conversation; None when it is left out, False when the marks change the text."""
    if is_left_out(t, row):
        return None
    text = render(t, plain, row, tokenize=False)
    if text is None:
        return None
    if render(t, source, row, tokenize=False) != text:
        return False
    got = render(t, source, row, return_dict=True, return_assistant_tokens_mask=True)
    if got is None:
        return None
    mask = "".join(map(str, got["assistant_masks"]))
    ids = struct.pack("<%di" % len(got["input_ids"]), *got["input_ids"])
    return [len(mask), hashlib.sha256(ids).hexdigest()[:16], hashlib.sha256(mask.encode()).hexdigest()[:16], mask.count("1")]


def main():
    data, templates = sys.argv[1:]
    rows = [json.loads(line) for line in open(os.path.join(data, "jinja", "conversations.jsonl"), encoding="utf-8")]
    kinds = {k: PreTrainedTokenizerFast(tokenizer_file=os.path.join(data, "io", "tokenizer", k, "tokenizer.json")) for k in ("qwen", "llama3")}
    n = 0
    with open(os.path.join(data, "io", "chat", "corpora_marks.jsonl"), "w", encoding="utf-8") as f:
        for path in sorted(glob.glob(os.path.join(templates, "*.jinja"))):
            with open(path, encoding="utf-8", newline="") as g:
                plain = g.read()
            kind = "llama3" if "<|start_header_id|>" in plain else "qwen"
            best, most = None, 0
            for marks in candidates(plain):
                got = [expect(kinds[kind], marked(plain, marks), plain, row) for row in rows]
                trained = sum(g[3] for g in got if g)
                if False in got or trained <= most:
                    continue
                at = [[len(plain[:a].encode()), text] for a, text in marks]
                best, most = {"template": os.path.basename(path), "tokenizer": kind, "marks": at,
                              "rows": [g and g[:3] for g in got]}, trained
            if best:
                n += 1
                print(best["template"], sum(g is not None for g in best["rows"]), "rows,", most, "tokens trained", file=sys.stderr)
                f.write(json.dumps(best) + "\n")
    print(n, "templates", file=sys.stderr)


if __name__ == "__main__":
    main()
