#!/usr/bin/env python3
"""Golden data for test_tokenizer_forms: tokenizers in SentencePiece's form (tokenizer.model and three forms of tokenizer.json of the
same small vocabulary), one with the other normalizers and pre-tokenizers, and expressions, with the ids, places and pieces
that the references give.

    pip install tokenizers==0.23.3 sentencepiece==0.2.3
    python tools/gen_tokenizer_forms.py README.md docs/*.md
"""
import io
import json
import os
import random
import shutil
import sys

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "data", "io", "forms")
SEED, CASES = 20261128, 250
MARK = "\u2581"

LLAMA = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
WORD = r"[^\r\n\p{L}\p{N}]?"
EXPRESSIONS = [
    LLAMA + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    WORD + UPPER + "*" + LOWER + "+" + LLAMA + "?|" + WORD + UPPER + "+" + LOWER + "*" + LLAMA
    + r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    r"(?=(\d{3})+(?!\d))", r"\d{1,3}(?=(?:\d{3})*\b)", r"\s+$", r"^\s+", "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e]+",
    "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", r"[\u4e00-\u9fa5\x{10400}-\x{1044f}]",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    " ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+",
    LLAMA + r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+",
    r"\b\w+\b", r"(?<=a)b|(?<!\s)[A-Z]", r"[\p{L}&&[^a-c\p{Han}]]+", r"a*?b|\w{2,3}?", r"\p{Han}+|[\p{Hiragana}\p{Katakana}]+",
    r"\h+|\S{2}|\W\D", r"\s{5}(?!\S)|\s{2}(?!\S)|\s{1,2}(?!\S)|\s{1}", r"a\Z|\n\z|.$", r"(a|ab)(c|bcd)(d*)|\s*\s*x", r"\p{^L}{,3}",
    r"(?i:[a-s])+|\P{Lu}", r" ", r"(?:ab|a)(?!b)", r"\p{N}+", r"\p{N}",
]
BEHAVIORS = {"isolated": "Isolated", "removed": "Removed", "merged_with_previous": "MergedWithPrevious",
             "merged_with_next": "MergedWithNext", "contiguous": "Contiguous"}
ALPHABET = list(" \n\r\t'sStTrReEvVmMlLdD09aAbBcCxzZ,!-_/`~$+<=|@[(\\") + [
    "  ", "   ", "\n\n", "123", "1234567", "'ll", "\u00e9", "\u0300", "\u4e2d", "\u3042", "\u30a2", "\uac00", "\u00bd", "\u00b2",
    "\u0663", "\u01c5", "\u02b0", "\u00aa", "\u00df", "\u017f", "\u212a", "\u3000", "\u00a0", "\u200b", "\u3002", "\u201c", "\u2019",
    "\U0001f600", "\U00010400", "\ufb01", "\u2460", "e\u0301", MARK, "the ", "Hello", " world"]
EXTRA = ["<tool>", "<pad>", "</s>", "<s>"]


def text_of(rng, extra=()):
    words = ALPHABET + list(extra) * 3
    return "".join(rng.choice(words) for _ in range(rng.randrange(1, rng.choice([4, 12, 30]))))


def dump(f, row):
    f.write(json.dumps(row, ensure_ascii=True, separators=(",", ":")) + "\n")


def write_expressions(rng):
    with open(os.path.join(ROOT, "expressions.jsonl"), "w") as f:
        for pattern in EXPRESSIONS:
            for i in range(60):
                behavior, invert = rng.choice(list(BEHAVIORS)) if i >= 30 else "isolated", i >= 30 and rng.random() < 0.3
                text = text_of(rng)
                pieces = pre_tokenizers.Split(Regex(pattern), behavior, invert).pre_tokenize_str(text)
                starts = [[len(text[:a].encode()), len(text[:b].encode())] for _, (a, b) in pieces]
                dump(f, {"pattern": pattern, "behavior": BEHAVIORS[behavior], "invert": invert, "text": text, "pieces": starts})


def train_pieces(text):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text.splitlines()), model_writer=out, model_type="bpe", vocab_size=640, byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, character_coverage=0.9995,
        user_defined_symbols=["<tool>"], num_threads=1, minloglevel=2, allow_whitespace_only_pieces=True)
    return out.getvalue()


def merges_of(sp):
    """The merges that transformers' conversion makes out of scores."""
    plain = {sp.id_to_piece(i): i for i in range(len(sp)) if not (sp.is_control(i) or sp.is_unknown(i) or sp.is_byte(i))}
    plain.pop("<tool>")
    merges = []
    for piece, i in plain.items():
        for cut in range(1, len(piece)):
            if piece[:cut] in plain and piece[cut:] in plain:
                merges.append((piece[:cut], piece[cut:], sp.get_score(i), -plain[piece[:cut]], -plain[piece[cut:]]))
    merges.sort(key=lambda m: m[2:], reverse=True)
    return [m[:2] for m in merges]


def char_tokenizer(sp, form):
    vocab = {sp.id_to_piece(i): i for i in range(len(sp))}
    t = Tokenizer(models.BPE(vocab, merges_of(sp), unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    to_space = decoders.Replace(MARK, " ")
    t.decoder = decoders.Sequence([to_space, decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    if form == "prepend":
        t.normalizer = normalizers.Sequence([normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)])
    elif form == "metaspace":
        t.pre_tokenizer = pre_tokenizers.Metaspace(MARK, prepend_scheme="first", split=False)
    else:
        t.pre_tokenizer = pre_tokenizers.Metaspace(MARK, prepend_scheme="always", split=True)
        t.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(MARK, prepend_scheme="always")])
    t.add_special_tokens([AddedToken(s, normalized=False) for s in ("<unk>", "<s>", "</s>")])
    t.add_tokens([AddedToken("<tool>", normalized=False), AddedToken("<pad>", normalized=form == "prepend", rstrip=True)])
    t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    return t


def other_tokenizer(text):
    """Every normalizer and pre-tokenizer that test_tokenizer's do not have."""
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Strip(True, True), normalizers.Replace(Regex(r"\d{4,}"), "#"),
                                         normalizers.Replace("zz", "")])
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("merged_with_previous"), pre_tokenizers.Split(Regex(r"(?=[A-Z])"), "isolated"),
        pre_tokenizers.Split(" ", "merged_with_next"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(text.splitlines(True), trainers.BpeTrainer(
        vocab_size=500, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
    t.add_tokens([AddedToken("<tool>", normalized=True), AddedToken("<pad>", lstrip=True, normalized=False)])
    return t


def prefix_tokenizer(text):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(text.splitlines(True), trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
    t.add_special_tokens([AddedToken("</s>", normalized=False)])
    return t


def write_cases(rng, name, encode):
    with open(os.path.join(ROOT, name, "cases.jsonl"), "w") as f:
        for i in range(CASES):
            text = text_of(rng, EXTRA)
            if name == "proto" and text.startswith("<tool>"):  # no space in front: tokenizer.json's way, not SentencePiece's
                text = "x" + text
            dump(f, encode(text, i % 2 == 0))


def reference(t):
    def encode(text, special):
        t.encode_special_tokens = not special
        e = t.encode(text, add_special_tokens=False)
        spans = [[len(text[:a].encode()), len(text[:b].encode())] for a, b in e.offsets]
        row = {"text": text, "special": special, "ids": e.ids, "spans": spans}
        if "<pad>" not in text:  # the reference writes a space before a normalised added token that has none
            row["decoded"] = t.decode(e.ids, skip_special_tokens=False)
        return row
    return encode


def main():
    text = "\n".join(open(p, encoding="utf-8").read() for p in sys.argv[1:])
    rng = random.Random(SEED)
    shutil.rmtree(ROOT, ignore_errors=True)
    os.makedirs(ROOT)
    write_expressions(rng)
    model = train_pieces(text)
    sp = sentencepiece.SentencePieceProcessor(model_proto=model)
    os.makedirs(os.path.join(ROOT, "proto"))
    with open(os.path.join(ROOT, "proto", "tokenizer.model"), "wb") as f:
        f.write(model)
    write_cases(rng, "proto", lambda text, _: {"text": text, "special": False, "ids": sp.encode(text)})
    made = {form: char_tokenizer(sp, form) for form in ("prepend", "metaspace", "words")}
    made.update(other=other_tokenizer(text), prefix=prefix_tokenizer(text))
    for name, t in made.items():
        os.makedirs(os.path.join(ROOT, name))
        with open(os.path.join(ROOT, name, "tokenizer.json"), "w") as f:
            json.dump(json.loads(t.to_str()), f, ensure_ascii=True, separators=(",", ":"))
        write_cases(rng, name, reference(t))
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(text.splitlines()[:200]), model_writer=out, model_type="unigram",
                                             vocab_size=150, hard_vocab_limit=False, character_coverage=0.98, normalization_rule_name="identity", num_threads=1, minloglevel=2)
    os.makedirs(os.path.join(ROOT, "unigram"))
    with open(os.path.join(ROOT, "unigram", "tokenizer.model"), "wb") as f:
        f.write(out.getvalue())


if __name__ == "__main__":
    main()
