#!/usr/bin/env python3
"""Makes tests/data/io/tokenizer and tests/data/io/chat: small tokenizers, and what the reference makes of tricky texts.

Each folder tokenizer/<name> holds a byte-level BPE trained here on a public-domain novel (tokenizer.json,
tokenizer_config.json) and cases.jsonl: {"text", "special", "ids"}, ids by Hugging Face tokenizers without BOS or EOS,
special tokens recognised or not. pieces.jsonl: {"pre", "text", "bytes"}, the lengths of the pieces that the pre-tokenizer called `pre` in
GGUF files cuts a text into. classes.json holds the SHA-256 of one class byte a code point, asked of the reference.

chat/<name>.jinja are templates in the shape of the known families, written for this purpose; chat/cases.jsonl holds
{"template", "tokenizer", "messages", "prompt", "ids", "trained"}: ids of transformers' apply_chat_template, and "0" or "1"
an id, its assistant mask for the same template with {% generation %} around each assistant turn. A template "corpus:NAME" is
the one in SHARED/corpora/templates.

    pip install tokenizers==0.23.3 transformers==5.23.0 regex
    python tools/gen_tokenizer_golden.py SHARED
"""
import hashlib
import json
import os
import random
import shutil
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

import gen_unicode_table as classes

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "data", "io")
SEED, CASES = 20260101, 420
HEAD = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def byte_level(use_regex):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


CONTROL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
LLAMA = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]

# name -> pre-tokenizer stages, flags
KINDS = {
    "gpt2": dict(pre=[byte_level(True)], special=["<|endoftext|>"]),
    "llama3": dict(pre=[split(HEAD + r"\p{N}{1,3}" + TAIL), byte_level(False)], special=LLAMA, ignore_merges=True, bos=LLAMA[0]),
    "qwen": dict(pre=[split(HEAD + r"\p{N}" + TAIL, "removed", True), byte_level(False)], special=CONTROL, nfc=True,
                 pairs=True, plain=[AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False),
                                    AddedToken("e\u0301!", normalized=True)]),
    # As SmolLM2: not every byte has a token, and the special tokens come first in the vocabulary.
    "smollm": dict(pre=[pre_tokenizers.Digits(individual_digits=True), byte_level(True)], special=CONTROL, few_bytes=True),
    "default": dict(pre=[split(r"[\p{P}\$\+<=>\^~\|]+"), split(GPT2), split(r"\p{N}+"), split("[0-9][0-9][0-9]"),
                         byte_level(False)], special=[]),
    # Everything that added tokens can ask for, an unknown token and runs of digits.
    "added": dict(pre=[pre_tokenizers.Digits(individual_digits=False), byte_level(True)], special=["<unk>"], few_bytes=True,
                  unk="<unk>", fuse=True,
                  plain=[AddedToken("<l>", lstrip=True, normalized=False), AddedToken("<r>", rstrip=True, normalized=False),
                         AddedToken("<lr>", lstrip=True, rstrip=True, normalized=True, special=True),
                         AddedToken("word", single_word=True, normalized=False), AddedToken("wor", normalized=False),
                         AddedToken("  two", normalized=True), AddedToken("<r><r>", normalized=False)]),
}


def train(kind, text):
    """The lines of the novel, less those with bytes to be missing, through the trainer of the reference."""
    t = Tokenizer(models.BPE(unk_token=kind.get("unk"), fuse_unk=kind.get("fuse", False),
                             ignore_merges=kind.get("ignore_merges", False)))
    if kind.get("nfc"):
        t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence(kind["pre"]) if len(kind["pre"]) > 1 else kind["pre"][0]
    t.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    if kind.get("few_bytes"):
        alphabet = [c for c in alphabet if c < "\u0110"]  # most control characters have no token
    t.train_from_iterator(text.splitlines(True), trainers.BpeTrainer(
        vocab_size=len(alphabet) + 220, special_tokens=kind["special"], initial_alphabet=alphabet, show_progress=False))
    t.add_tokens(kind.get("plain", []))
    if "bos" in kind:
        bos = kind["bos"]
        t.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, t.token_to_id(bos))])
    return t


def save(t, folder, kind):
    os.makedirs(folder)
    doc = json.loads(t.to_str())
    if not kind.get("pairs"):
        doc["model"]["merges"] = [" ".join(m) for m in doc["model"]["merges"]]
    with open(os.path.join(folder, "tokenizer.json"), "w") as f:
        json.dump(doc, f, ensure_ascii=True, separators=(",", ":"))
    config = {"bos_token": kind.get("bos"), "eos_token": kind["special"][1] if len(kind["special"]) > 1 else None}
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as f:
        json.dump(config, f)


WORDS = "Hello world don't I'LL it's we'Ve the of und Äpfel naïve Straße façade 12345 3.14 ©2024 ½ ② ٣٤".split()
SPACES = [" ", "  ", "\n", "\r", "\r\n", "\t", "\v", "\f", "\x85", "\u00a0", "\u2003", "\u3000", "\u2028", "    ", "\n\n", " \n ",
          "\u200b", "\x1c", "\ufeff"]
QUOTES = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'RE", "'vE", "'LL", "'\u017f", "\u2019s", "'", "''", "'l", "'r", "'v"]
RANGES = [(0x21, 0x7F), (0x80, 0x250), (0x300, 0x370), (0x590, 0x620), (0x900, 0xA00), (0xE00, 0xE80), (0x1100, 0x1200),
          (0x1E00, 0x2000), (0x2000, 0x2070), (0x3040, 0x3100), (0x4E00, 0x9FFF), (0xAC00, 0xD7A4), (0xF900, 0xFB00),
          (0x10000, 0x12000), (0x1D400, 0x1D800), (0x1F300, 0x1F700), (0xE0000, 0xE0080), (0x1, 0x20)]


def piece(rng, tokens):
    kind = rng.randrange(10)
    if kind == 0:
        return rng.choice(SPACES)
    if kind == 1:
        return rng.choice(QUOTES)
    if kind == 2:
        return "".join(rng.choice("0123456789") for _ in range(rng.randrange(1, 8)))
    if kind in (3, 4):
        return chr(rng.randrange(*rng.choice(RANGES)))
    if kind == 5 and tokens:
        return rng.choice(tokens)
    if kind == 6:
        return " " + rng.choice(WORDS)
    if kind == 7:
        return "".join(rng.choice("aeionst") for _ in range(rng.randrange(1, 90)))
    if kind == 8:
        return rng.choice([" ", "a", "-", "\n", "\u0301", "0"]) * rng.randrange(1, 60)
    return rng.choice(WORDS)


def texts(rng, tokens, naughty):
    yield from ("", " ", "\n", "a", "\u0301", "'", "''s", "  \t\n \r\n x")
    yield from rng.sample(naughty, 60)
    for _ in range(CASES):
        yield "".join(piece(rng, tokens) for _ in range(rng.randrange(1, rng.choice([3, 6, 12]))))


def dump(f, row):
    f.write(json.dumps(row, ensure_ascii=True, separators=(",", ":")) + "\n")


def write_cases(t, folder, rng, naughty):
    tokens = [a.content for a in t.get_added_tokens_decoder().values()]
    n = 0
    with open(os.path.join(folder, "cases.jsonl"), "w") as f:
        for text in texts(rng, tokens, naughty):
            special = rng.random() < 0.5
            t.encode_special_tokens = not special
            dump(f, {"text": text, "special": special, "ids": t.encode(text, add_special_tokens=False).ids})
            n += 1
    return n


# The names that pre-tokenizers have in GGUF files.
PRE_NAMES = {"gpt2": "gpt-2", "llama3": "llama-bpe", "qwen": "qwen2", "smollm": "smollm", "default": "default"}


def write_pieces(rng, naughty):
    with open(os.path.join(ROOT, "tokenizer", "pieces.jsonl"), "w") as f:
        for kind, name in PRE_NAMES.items():
            stages = KINDS[kind]["pre"]
            pre = pre_tokenizers.Sequence(stages)
            for text in texts(rng, QUOTES, naughty):
                pieces = [len(text[a:b].encode()) for _, (a, b) in pre.pre_tokenize_str(text)]
                dump(f, {"pre": name, "text": text, "bytes": pieces})


def write_classes():
    sets = {"LETTER": classes.by_regex(r"\p{L}"), "NUMBER": classes.by_regex(r"\p{N}"), "SPACE": classes.by_regex(r"\s"),
            "PUNCT": classes.by_regex(r"\p{P}"), "WORD": classes.by_word_boundary(), "DIGIT": classes.by_digits()}
    table = bytearray(0x110000)
    for name, members in sets.items():
        for cp in members:
            table[cp] |= classes.BITS[name]
    with open(os.path.join(ROOT, "tokenizer", "classes.json"), "w") as f:
        json.dump({"sha256": hashlib.sha256(table).hexdigest()}, f)


CHAT = {
    # The shape of SmolLM2's and Qwen 2's: a default system message inside the loop.
    "chatml_loop": ("qwen", """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"""
                    """{{ '<|im_start|>system\\nYou answer in verse.<|im_end|>\\n' }}{% endif %}"""
                    """{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"""
                    """{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""),
    # No default at all.
    "chatml_plain": ("smollm", """{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] """
                     """+ '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"""
                     """{% endif %}"""),
    # The shape of Qwen 2.5's: before the loop, with a branch for tools.
    "chatml_tools": ("qwen", """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- endif %}
    {{- 'Tools: ' }}{{- tools | tojson }}{{- '<|im_end|>\\n' }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nA helpful machine.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if message.role != 'system' or not loop.first %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""),
    # The shape of Llama 3.2's: dates, where a clock would be asked for the second.
    "llama3_dates": ("llama3", """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}{%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}{%- set date_string = "26 Jul 2024" %}{%- endif %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set head = messages[0]['content']|trim %}
    {%- set rest = messages[1:] %}
{%- else %}
    {%- set head = "" %}
    {%- set rest = messages %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Cutting Knowledge Date: December 2023\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- head + "<|eot_id|>" }}
{%- for message in rest %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""),
    "corpus:llama3": ("llama3", None),
    "corpus:llama3_1": ("llama3", None),
    "corpus:qwen3": ("qwen", None),
}

S, U, A = "system", "user", "assistant"
TALKS = [
    [(U, "Hi")],
    [(U, "Hi"), (A, "Hello there.")],
    [(S, "Be brief."), (U, "What is 2+2?"), (A, "4")],
    [(S, ""), (U, "")],
    [(U, "One"), (A, "1"), (U, "Two"), (A, "2"), (U, "Three")],
    [(S, "  spaced\n"), (U, "\n\n  lines\n\n"), (A, "\n\nstarts with breaks\n"), (U, "\u00a0nbsp\x1c"), (A, "\u3000end ")],
    [(U, "a"), (S, "late system"), (A, "b")],
    [(A, "speaks first"), (U, "ok"), (A, "")],
    [(U, "e\u0301 12345 'LL"), (A, "\u0301starts with a mark")],
    [(U, "q"), (A, "<think>\nsecret\n</think>\n\nanswer"), (U, "more"), (A, "<think>\n\nx\n\n</think>\n\n\n\nlast")],
    [(U, "q"), (A, "<think>a</think>b"), (A, "second"), (A, "no</think>open</think>\nthird")],
    [(U, "<tool_response>1</tool_response>"), (A, "x"), (U, "<tool_response>\n2\n</tool_response>"), (A, "y")],
    [(A, "only me")],
]


# The templates again, with the part of an assistant turn marked that is to be trained. They must give the same ids.
CHATML_TURN = """{{- '<|im_start|>' + message.role + '\\n' }}{%- if message.role == 'assistant' %}{%- generation %}""" \
    """{{- message.content + '<|im_end|>' }}{%- endgeneration %}{{- '\\n' }}{%- else %}""" \
    """{{- message.content + '<|im_end|>\\n' }}{%- endif %}"""
CHATML_PROMPT = """{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""
LLAMA3_TURN = """{{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' }}{%- if message.role == 'assistant' %}""" \
    """{%- generation %}{{- message.content | trim + '<|eot_id|>' }}{%- endgeneration %}{%- else %}""" \
    """{{- message.content | trim + '<|eot_id|>' }}{%- endif %}"""
LLAMA3_PROMPT = """{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}"""


def chatml_masked(system):
    return """{%- for message in messages %}{%- if loop.first and message.role != 'system' %}{{- '""" + system + \
        """' }}{%- endif %}""" + CHATML_TURN + "{%- endfor %}" + CHATML_PROMPT


def llama3_masked(head, prompt):
    return "{{- bos_token }}" + head + "{%- for message in rest %}" + LLAMA3_TURN + "{%- endfor %}" + prompt


def qwen3_masked(source):
    for old, new in [("""{%- elif message.role == "assistant" %}""", """{%- elif message.role == "assistant" %}"""
                      """{{- '<|im_start|>' + message.role + '\\n' }}{%- generation %}"""),
                     ("""'<|im_start|>' + message.role + '\\n<think>""", """'<think>"""),
                     ("""{{- '<|im_start|>' + message.role + '\\n' + content }}""", """{{- content }}"""),
                     ("""{{- '<|im_end|>\\n' }}\n    {%- elif message.role == "tool" %}""",
                      """{{- '<|im_end|>' }}{%- endgeneration %}{{- '\\n' }}\n    {%- elif message.role == "tool" %}""")]:
        assert old in source, old
        source = source.replace(old, new)
    return source


def masked(name, source):
    if name == "corpus:qwen3":
        return qwen3_masked(source)
    systems = {"chatml_loop": "You answer in verse.", "chatml_tools": "A helpful machine."}
    if name in systems:
        return chatml_masked("<|im_start|>system\\n" + systems[name] + "<|im_end|>\\n")
    if name == "chatml_plain":
        return chatml_masked("")
    ask = "{%- if add_generation_prompt %}" + LLAMA3_PROMPT + "{%- endif %}"
    if name == "llama3_dates":
        head = source[source.index("{%- if messages[0]") : source.index("{%- for message in rest")]
        return llama3_masked(head, ask)
    return llama3_masked("{%- set rest = messages %}", LLAMA3_PROMPT if name == "corpus:llama3" else ask)


def write_chats(shared, tokenizers):
    folder = os.path.join(ROOT, "chat")
    os.makedirs(folder)
    with open(os.path.join(folder, "cases.jsonl"), "w") as f:
        for name, (kind, source) in CHAT.items():
            if source is None:
                with open(os.path.join(shared, "corpora", "templates", name.split(":")[1] + ".tokenizer_config.json")) as g:
                    source = json.load(g)["chat_template"]
            else:
                with open(os.path.join(folder, name + ".jinja"), "w", newline="") as g:
                    g.write(source)
            t = PreTrainedTokenizerFast(tokenizer_object=tokenizers[kind], bos_token=KINDS[kind].get("bos"))
            for talk in TALKS:
                messages = [{"role": r, "content": c} for r, c in talk]
                for prompt in (False, True):
                    how = dict(add_generation_prompt=prompt, tokenize=True, date_string="26 Jul 2024")
                    ids = t.apply_chat_template(messages, chat_template=source, return_dict=False, **how)
                    marked = t.apply_chat_template(messages, chat_template=masked(name, source), return_dict=True,
                                                   return_assistant_tokens_mask=True, **how)
                    assert marked["input_ids"] == ids, (name, talk)
                    dump(f, {"template": name, "tokenizer": kind, "messages": messages, "prompt": prompt, "ids": ids,
                             "trained": "".join(map(str, marked["assistant_masks"]))})


def main():
    shared = sys.argv[1]
    with open(os.path.join(shared, "corpora", "text", "botchan.txt")) as f:
        novel = f.read()
    with open(os.path.join(shared, "corpora", "text", "blns.json")) as f:
        naughty = json.load(f)
    for part in ("tokenizer", "chat"):
        shutil.rmtree(os.path.join(ROOT, part), ignore_errors=True)
    rng, total, made = random.Random(SEED), 0, {}
    for name, kind in KINDS.items():
        folder = os.path.join(ROOT, "tokenizer", name)
        made[name] = train(kind, novel[:120000])
        save(made[name], folder, kind)
        total += write_cases(made[name], folder, rng, naughty)
        made[name].encode_special_tokens = False
    write_pieces(rng, naughty)
    write_classes()
    write_chats(shared, made)
    print(total, "texts")


if __name__ == "__main__":
    main()
