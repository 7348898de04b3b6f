#!/usr/bin/env python3
"""Checks a Modelfile against Ollama's documented grammar, as Ollama itself cannot run everywhere:

    # comment
    INSTRUCTION arguments          FROM (needed), PARAMETER, TEMPLATE, SYSTEM, ADAPTER, LICENSE, MESSAGE; in any case and order

An argument is the rest of the line, or text in "quotes" or in three double quotes, which may run over several lines; nothing is
escaped. FROM and ADAPTER name files relative to the Modelfile: those must be there and be GGUF, but for a FROM that a placeholder
or a name of Ollama's library stands for. PARAMETER takes one documented name and a value of its kind.

    tools/check_modelfile.py FOLDER ...        a folder with a Modelfile
    tools/check_modelfile.py --self-test       texts that must be read, and texts that must be refused
"""
import os
import re
import sys
import tempfile

INSTRUCTIONS = {"FROM", "PARAMETER", "TEMPLATE", "SYSTEM", "ADAPTER", "LICENSE", "MESSAGE"}
PARAMETERS = {"num_ctx": int, "repeat_last_n": int, "repeat_penalty": float, "temperature": float, "seed": int, "stop": str,
              "num_predict": int, "top_k": int, "top_p": float, "min_p": float}
QUOTES = '"""'


class Fault(Exception):
    pass


def read_value(lines, at, rest):
    """(value, number of the next line) of an argument that begins with `rest`, on the line before `at`."""
    rest = rest.strip()
    if rest.startswith(QUOTES):
        text = rest[3:]
        while not text.rstrip().endswith(QUOTES):
            if at == len(lines):
                raise Fault("three double quotes are not closed")
            text, at = text + "\n" + lines[at], at + 1
        return text.rstrip()[:-3], at
    if rest.startswith('"'):
        if len(rest) < 2 or not rest.endswith('"'):
            raise Fault(f"a quote is not closed: {rest}")
        return rest[1:-1], at
    return rest, at


def parse(text):
    """[(instruction, value)] of a Modelfile."""
    lines, at, out = text.split("\n"), 0, []
    while at < len(lines):
        line, at = lines[at].lstrip(), at + 1
        if not line or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        if word.upper() not in INSTRUCTIONS:
            raise Fault(f"line {at}: unknown instruction {word}")
        value, at = read_value(lines, at, rest)
        if not value and word.upper() not in ("SYSTEM", "LICENSE"):
            raise Fault(f"line {at}: {word} without an argument")
        out.append((word.upper(), value))
    if not any(word == "FROM" for word, _ in out):
        raise Fault("no FROM")
    return out


def check_parameter(value):
    name, _, rest = value.partition(" ")
    kind = PARAMETERS.get(name)
    if not kind:
        raise Fault(f"PARAMETER {name} is not documented")
    text, _ = read_value([], 0, rest)
    try:
        kind(text)
    except ValueError as error:
        raise Fault(f"PARAMETER {value}: {text} is not {kind.__name__}") from error
    if not text:
        raise Fault(f"PARAMETER {name} without a value")


def check_file(folder, instruction, value):
    path = os.path.join(folder, value)
    if instruction == "FROM" and re.fullmatch(r"[\w./-]+(:[\w.-]+)?", value) and not value.startswith((".", "/")) and not os.path.exists(path):
        return  # a model of Ollama's library, or the placeholder that a comment explains
    with open(path, "rb") as f:
        if f.read(4) != b"GGUF":
            raise Fault(f"{instruction} {value} is not GGUF")


def check_text(text, folder):
    for instruction, value in parse(text):
        if instruction == "PARAMETER":
            check_parameter(value)
        elif instruction in ("FROM", "ADAPTER"):
            check_file(folder, instruction, value)
        elif instruction == "MESSAGE" and value.split(" ")[0] not in ("system", "user", "assistant"):
            raise Fault(f"MESSAGE of {value.split(' ')[0]}")


def check(folder):
    try:
        with open(os.path.join(folder, "Modelfile"), encoding="utf-8") as f:
            check_text(f.read(), folder)
    except (Fault, OSError) as error:
        raise SystemExit(f"{folder}/Modelfile: {error}") from error


GOOD = ['FROM ./a.gguf\n', '# x\nfrom ./a.gguf\nSYSTEM """one\n"two"\n"""\nPARAMETER stop "<|im_end|>"\n', 'FROM llama3.2:1b\nPARAMETER top_p 0.9\n',
        'ADAPTER ./a.gguf\nFROM ./a.gguf\nMESSAGE user hello\n']
BAD = ['SYSTEM a\n', 'FROM\n', 'FROM ./b.gguf\n', 'FROM ./a.gguf\nSYSTEM """one\n', 'FROM ./a.gguf\nPARAMETER stop "a\n',
       'FROM ./a.gguf\nPARAMETER stops "a"\n', 'FROM ./a.gguf\nPARAMETER top_k few\n', 'FROM ./a.gguf\nADAPTER ./Modelfile\n',
       'FROM ./a.gguf\nENTRYPOINT x\n', 'FROM ./a.gguf\nMESSAGE robot hello\n', 'FROM ./a.gguf\nPARAMETER stop\n']


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        for name, data in (("a.gguf", b"GGUF"), ("Modelfile", b"FROM")):
            with open(os.path.join(folder, name), "wb") as f:
                f.write(data)
        for text in GOOD + BAD:
            try:
                check_text(text, folder)
                good = True
            except (Fault, OSError):
                good = False
            if good != (text in GOOD):
                raise SystemExit(f"self-test: {text!r} was {'read' if good else 'refused'}")
    print(f"self-test: {len(GOOD)} texts read, {len(BAD)} refused")


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        self_test()
    for given in sys.argv[1:]:
        if given != "--self-test":
            check(given)
            print(f"{given}/Modelfile: as documented")
