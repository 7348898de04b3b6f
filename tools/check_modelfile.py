#!/usr/bin/env python3
"""Checks a Modelfile against Ollama's documented grammar, as Ollama itself cannot run everywhere:

    # comment
    INSTRUCTION arguments          FROM (needed), PARAMETER, TEMPLATE, SYSTEM, ADAPTER, LICENSE, MESSAGE; in any case and order

An argument is the rest of the line, or text in "quotes" or in three double quotes, which may run over several lines; nothing is
escaped. FROM and ADAPTER name files relative to the Modelfile: those must be there and be GGUF, but for a FROM that a placeholder
or a name of Ollama's library stands for. PARAMETER takes one documented name and a value of its kind.

A TEMPLATE is rendered, as far as Go's language is used in ours (if, else if, else, eq, range, end, fields), and compared with what the
chat template in the GGUF file makes of the same conversations (jinja2, as transformers sets it up), without BOS at the start.

    tools/check_modelfile.py FOLDER ...        a folder with a Modelfile; a TEMPLATE needs the packages gguf and jinja2
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


def go_value(expression, dot, root):
    """`.Name`, `"text"`, or `eq A B`."""
    words = re.findall(r'"[^"]*"|\S+', expression)
    if words[0] == "eq" and len(words) == 3:
        return go_value(words[1], dot, root) == go_value(words[2], dot, root)
    if len(words) != 1 or words[0][0] not in '."':
        raise Fault(f"TEMPLATE: {{{{ {expression} }}}} is not of the language that is checked")
    return words[0][1:-1] if words[0][0] == '"' else (dot if dot is not None else root)[words[0][1:]]


def go_render(parts, at, dot, root, live):
    """(text, next part): parts alternate between text and actions, to the `end` or `else` of the block that they are in."""
    out = ""
    while at < len(parts):
        if at % 2 == 0:
            out, at = out + (parts[at] if live else ""), at + 1
            continue
        word, _, rest = parts[at].strip().partition(" ")
        if word in ("end", "else"):
            return out, at
        if word == "if":
            done, taken = False, parts[at].strip()
            while True:  # one branch after the other
                word, _, rest = taken.partition(" ")
                want = live and not done and (word == "else" or bool(go_value(rest, dot, root)))
                text, at = go_render(parts, at + 1, dot, root, want)
                out, done = out + text, done or want
                if parts[at].strip() == "end":
                    break
                taken = parts[at].strip().removeprefix("else ")
            at += 1
        elif word == "range":
            items, start = go_value(rest, dot, root) if live else [], at
            _, at = go_render(parts, start + 1, None, root, False)
            for item in items:
                out += go_render(parts, start + 1, item, root, True)[0]
            at += 1
        else:
            out, at = out + (str(go_value(parts[at].strip(), dot, root)) if live else ""), at + 1
    return out, at


def render_go(template, messages):
    """As Ollama calls a template that ranges over messages: with the system texts as .System, too."""
    root = {"System": "\n\n".join(m["content"] for m in messages if m["role"] == "system"),
            "Messages": [{"Role": m["role"], "Content": m["content"]} for m in messages]}
    return go_render(re.split(r"\{\{(.*?)\}\}", template, flags=re.S), 0, None, root, True)[0]


def conversations():
    texts = ["Be brief.", "What is 2 + 2?", "4.\n\n- one {{ x }}", "Grüße, \"it's\" <b>&amp;</b>", "Yes", "and 3 + 3?"]
    for roles in ("u", "su", "uau", "suau", "suauau"):
        names = {"s": "system", "u": "user", "a": "assistant"}
        yield [{"role": names[r], "content": t} for r, t in zip(roles, texts if roles[0] == "s" else texts[1:])]


def check_template(template, path):
    """How many conversations render as the chat template of the GGUF file does."""
    import gguf
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    fields = gguf.GGUFReader(path).fields

    def token(key):
        return fields["tokenizer.ggml.tokens"].contents(fields[key].contents()) if key in fields else ""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    own, bos, n = environment.from_string(fields["tokenizer.chat_template"].contents()), token("tokenizer.ggml.bos_token_id"), 0
    added = "tokenizer.ggml.add_bos_token" in fields and fields["tokenizer.ggml.add_bos_token"].contents()
    for messages in conversations():
        want = own.render(messages=messages, add_generation_prompt=True, bos_token=bos, eos_token=token("tokenizer.ggml.eos_token_id"))
        got = render_go(template, messages)
        if got != (want.removeprefix(bos) if added else want):
            raise Fault(f"TEMPLATE makes {got!r} of what the chat template makes {want!r} of")
        n += 1
    return n


def check(folder):
    try:
        with open(os.path.join(folder, "Modelfile"), encoding="utf-8") as f:
            text = f.read()
        check_text(text, folder)
        found = {}
        for word, value in parse(text):
            found.setdefault(word, value)
        path = os.path.join(folder, found["FROM"])
        if "TEMPLATE" in found and os.path.exists(path):
            return check_template(found["TEMPLATE"], path)
    except (Fault, OSError) as error:
        raise SystemExit(f"{folder}/Modelfile: {error}") from error
    return 0


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
    talk = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]
    go = 'b{{ if .System }}[{{ .System }}]{{ else }}none{{ end }}{{ range .Messages }}{{ if eq .Role "user" }}U{{ .Content }}{{ else if eq .Role ' \
         '"assistant" }}A{{ .Content }}{{ end }}{{ end }}e'
    if render_go(go, talk) != "b[s]UuAae" or render_go(go, talk[1:]) != "bnoneUuAae":
        raise SystemExit(f"self-test: {render_go(go, talk)}")
    print(f"self-test: {len(GOOD)} texts read, {len(BAD)} refused")


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        self_test()
    for given in sys.argv[1:]:
        if given != "--self-test":
            n = check(given)
            print(f"{given}/Modelfile: as documented{f'; {n} conversations as by the chat template' if n else ''}")
