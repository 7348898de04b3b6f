#!/usr/bin/env python3
"""Makes the golden files of the chat templates: what transformers' apply_chat_template renders for many conversations.

  gen_template_golden.py OUT [TEMPLATES]

OUT/conversations.jsonl   the conversations, one a line: {"messages", "tools"?, "add_generation_prompt", ...}
OUT/own.jsonl             for each template in OUT/templates: {"template", "row", "text"} or {"template", "row", "error"}
OUT/snippets.jsonl        small pieces of Jinja over the variables of OUT/snippets.json: {"source", "text"} or {"source", "error"}
OUT/corpora.jsonl         the same for the templates in TEMPLATES (models' own, not committed), with the first 16 digits of the
                          text's SHA-256 in the place of the text: {"template", "rows": [digest or {"error"}, ...]}

Needs transformers (5.24 was used) and jinja2. Deterministic: the date is fixed at 2026-03-05 14:07:09."""
import datetime
import glob
import hashlib
import json
import os
import random
import sys
import warnings

warnings.filterwarnings("ignore")
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
from tokenizers import Tokenizer, models  # noqa: E402
from transformers import PreTrainedTokenizerFast  # noqa: E402
from transformers.utils import chat_template_utils  # noqa: E402


class Date(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 3, 5, 14, 7, 9)


chat_template_utils.datetime = Date

TEXTS = ["Hello", "What is 2+2?", "  spaces at both ends \n", "line one\nline two\n\nline four", "", "Grüße aus 東京 🙂 é",
         "It's a \"quote\" \\ and a tab\there", "<|im_end|> and <|eot_id|> and </s> in the text", "<b>&amp; 'html'</b>",
         "{{ messages }} {% raw %}", "a</think>b", "<think>plan</think>\n\nDone.", "\u2028separators\u0085\x1f\x00end",
         "def f(x):\n    return x ** 2  # ok", "1e5 0.1 True None null"]
REASONS = ["I add two and two.", "\nFirst this.\n\nThen that.\n", "Grüße: denke nach.", ""]
ARGUMENTS = [{"city": "Paris"}, {"city": "São Paulo", "days": 3, "metric": True, "ratio": 0.1}, {}, {"a": {"b": [1, 2.5, None, False, "x"]}},
             {"big": 123456789012, "small": 1e-07, "huge": 1e22, "neg": -0.0, "text": "it's \"so\"\n"}]
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "Get the weather.", "parameters": {
        "type": "object", "properties": {"city": {"type": "string", "description": "The city's name"},
                                         "days": {"type": "integer", "default": 1}}, "required": ["city"]}}},
    {"type": "function", "function": {"name": "search", "description": "Search for <things> & \"more\" – ünïcode", "parameters": {
        "type": "object", "properties": {"query": {"type": "string", "enum": ["a", "b"]},
                                         "filters": {"type": "array", "items": {"type": "object", "properties": {
                                             "key": {"type": "string"}, "value": {"type": ["string", "null"]}}}},
                                         "ratio": {"type": "number"}, "exact": {"type": "boolean"}},
        "required": []}, "return": {"type": "string"}}},
    {"type": "function", "function": {"name": "noop", "description": "Nothing", "parameters": {"type": "object", "properties": {}}}},
]


class Maker:
    """Conversations out of a seed: `features` says what may occur in them."""

    def __init__(self, seed, features):
        self.r = random.Random(seed)
        self.features = features

    def text(self):
        return self.r.choice(TEXTS) if "odd" in self.features else self.r.choice(TEXTS[:2] + TEXTS[3:4] + TEXTS[5:7] + TEXTS[13:])

    def content(self):
        text = self.text()
        if "parts" not in self.features:
            return text
        parts = [{"type": "text", "text": text}]
        if self.r.random() < 0.4:
            parts.append({"type": "text", "text": self.text()})
        return parts

    def calls(self, n):
        return [{"id": "call0000%d" % i if "ids" in self.features else "abcdefgh%d" % i, "type": "function",
                 "function": {"name": self.r.choice(["get_weather", "search"]), "arguments": self.arguments()}} for i in range(n)]

    def arguments(self):
        arguments = self.r.choice(ARGUMENTS)
        return json.dumps(arguments) if "strings" in self.features else arguments

    def assistant(self, last):
        m = {"role": "assistant", "content": self.content()}
        if "reasoning" in self.features and self.r.random() < 0.8:
            m["reasoning_content"] = self.r.choice(REASONS)
        return m

    def make(self, turns):
        messages = []
        if "system" in self.features:
            messages.append({"role": "system", "content": self.content()})
        for i in range(turns):
            messages.append({"role": "user", "content": self.content()})
            if "tools" in self.features and (i == 0 or self.r.random() < 0.5):
                calls = self.calls(2 if "parallel" in self.features and i == 0 else 1)
                m = {"role": "assistant", "content": self.r.choice(["", "Let me see."]), "tool_calls": calls}
                if "null" in self.features:
                    m["content"] = None
                if "reasoning" in self.features:
                    m["reasoning_content"] = self.r.choice(REASONS)
                messages.append(m)
                for call in calls:
                    messages.append({"role": "tool", "tool_call_id": call["id"], "name": call["function"]["name"],
                                     "content": self.r.choice(["sunny, 21 °C", '{"temp": 21, "unit": "C"}', ""])})
            if i + 1 < turns or "open" not in self.features:
                messages.append(self.assistant(i + 1 == turns))
        row = {"messages": messages, "add_generation_prompt": "open" in self.features}
        if "tools" in self.features or "unused" in self.features:
            row["tools"] = TOOLS[: 1 + self.r.randrange(len(TOOLS))]
        return row


def conversations():
    plans = [("", 1), ("open", 1), ("system", 1), ("system open", 1), ("", 2), ("system", 3), ("open", 3), ("system open", 5), ("odd", 2),
             ("odd system open", 3), ("odd system", 4), ("parts", 1), ("parts system open", 2), ("parts odd", 3), ("tools", 1),
             ("tools open", 1), ("tools system", 2), ("tools system open parallel", 2), ("tools strings", 1), ("tools null", 1),
             ("tools odd system", 3), ("reasoning", 1), ("reasoning open", 2), ("reasoning system", 3), ("reasoning tools", 2),
             ("reasoning tools open parallel", 3), ("unused", 1), ("unused system open", 2), ("tools parts ids", 2), ("odd reasoning open", 4)]
    rows = []
    for seed, (features, turns) in enumerate(plans):
        rows.append(Maker(seed, features.split()).make(turns))
    rows.append({"messages": [{"role": "system", "content": "One."}, {"role": "system", "content": "Two."}, {"role": "user", "content": "Hi"}],
                 "add_generation_prompt": True})
    rows.append({"messages": [{"role": "user", "content": "Hi"}, {"role": "user", "content": "again"}], "add_generation_prompt": True})
    rows.append({"messages": [{"role": "assistant", "content": "I begin."}, {"role": "user", "content": "Hi"}], "add_generation_prompt": False})
    rows.append({"messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi", "name": "ann"}],
                 "add_generation_prompt": True})
    rows.append({"messages": [{"role": "user", "content": "Think."}], "add_generation_prompt": True, "enable_thinking": False})
    rows.append({"messages": [{"role": "user", "content": "Think."}], "add_generation_prompt": True, "enable_thinking": True,
                 "reasoning_effort": "high"})
    rows.append({"messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}],
                 "add_generation_prompt": True})
    rows.append({"messages": [{"role": "user", "content": "Find it."}], "add_generation_prompt": True,
                 "documents": [{"title": "A title", "text": "Some text"}, {"title": "B", "text": "Other \"text\""}]})
    flat = [{"name": "get_weather", "description": "Get the weather.", "parameter_definitions": {
        "city": {"type": "str", "description": "The city", "required": True}, "days": {"type": "List[int]", "required": False}},
        "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "The city"}}, "required": ["city"]}}]
    for prompt in (True, False):
        rows.append({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Weather?"}]
                     + ([] if prompt else [{"role": "assistant", "content": "Sunny."}]), "add_generation_prompt": prompt, "tools": flat,
                     "functions": "[{\"name\": \"get_weather\"}]", "datetime": "2026-03-05"})
    return rows


VARIABLES = {"s": "Hello, World", "u": "Grüße 東京 🙂", "e": "", "sp": " \t x y \n", "n": 7, "z": 0, "f": 2.5, "t": True, "no": None,
             "l": [3, 1, 2], "w": ["b", "A", "c"], "d": {"b": 1, "a": "x", "items": "mine", "k": {"deep": [1, {"x": "y"}]}},
             "rows": [{"n": "x", "v": 2}, {"n": "y", "v": 1}, {"n": "x"}], "q": "it's \"q\" <b> & \\ \n\u2028\x7f", "lines": "a\n\nb\r\nc\n"}

# Pieces of Jinja: one a line; "@" stands for a line break.
SNIPPETS = r"""
a{% if t %}b{% endif %}@c
  {% if t %}  @  b@  {% endif %}  @c
a  {%- if t -%}  b  {%- endif -%}  c
a  {%+ if t %}b{% endif +%}@c
x {#- note -#} y {# note #}@z
  {# note #}@  {{ n }}@  z
{{- n -}}  @  {{+ n }}
{% raw %}{{ n }} {% if %}{% endraw %}@x
  {% raw -%}  a {% endraw %}@x
{{ '}}' }}{{ "{%" }}{{ {'a': {'b': 1}}['a']['b'] }}
a@
a@@
{{ 'a\n\t\x41\u00e9\'\q\\' "b" 'c' }}
{{ 'Ü🙂\U0001F600\101' }}
{{ 1 + 2 * 3 - 4 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ -2 ** 2 }}
{{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 1.0 }} {{ 1e16 }} {{ 1e-5 }} {{ 0.1 + 0.2 }} {{ 123456789.125 }} {{ 1_000 }} {{ 1e22 }} {{ 5e-324 }}
{{ 1 / 0 }}
{{ 1 % 0 }}
{{ n ~ s ~ no ~ t ~ f ~ l ~ d.k }}
{{ 1 < 2 < 3 }} {{ 1 < 2 > 5 }} {{ 1 == 1.0 == true }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 'é' > 'z' }}
{{ 1 < 'a' }}
{{ not t }} {{ t and n }} {{ z or e or 'x' }} {{ z and 1 }} {{ not z == 1 }}
{{ 'a' if t }}{{ 'a' if z }}{{ 'a' if z else 'b' if no else 'c' }}
{{ 3 in l }} {{ 9 not in l }} {{ 'ell' in s }} {{ 'b' in d }} {{ 'x' in undefined_name }} {{ not 3 in l }}
{{ 1 in s }}
{{ s[0] }} {{ s[-1] }} {{ u[6] }} {{ u[-1] }} {{ s[99] }}| {{ l[0] }} {{ l[-1] }} {{ l[5] }}| {{ s[1:4] }} {{ u[::-1] }} {{ u[2:] }} {{ s[:-3] }} {{ s[::3] }} {{ l[::-1] }} {{ l[1:] }}
{{ s[5:2] }}| {{ l[-99:99] }} {{ s[10:0:-3] }} {{ l[::0] }}
{{ no[1:] }}
{{ l['a':] }}
{{ d.a }} {{ d['a'] }} {{ d.missing }}| {{ d['items'] }} {{ d.k.deep[1].x }} {{ d.items() | list | length }}
{{ d.missing.more }}
{{ undefined_name.more }}
{{ no.more }}| {{ n.more }}|
{{ undefined_name + 1 }}
{{ undefined_name }}|{{ undefined_name is defined }} {{ d.x is undefined }} {% for x in undefined_name %}x{% endfor %}|
{{ (1, 2) }} {{ (1,) }} {{ () }} {{ [1, 'a', none, true, 2.0] }} {{ {'a': [1], 2: none} }} {{ 1, 2 }}
{{ ["it's", 'a"b', "both'\"", "\n\t\r\\", 'é東🙂', '\x00\x7f\u2028\xa0\u200b'] }}
{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{{ loop.revindex0 }}{{ x }};{% endfor %}
{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }};{% endfor %}
{% for x in l if x > 1 %}{{ x }}{{ loop.last }}{{ loop.length }}{% else %}none{% endfor %}|{% for x in [] %}{% else %}none{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }},{% endfor %}{% for c in u %}[{{ c }}]{% endfor %}
{% for a, b in [[1, 2], (3, 4)] %}{{ a + b }},{% endfor %}
{% for a, b in [[1, 2, 3]] %}{{ a }}{% endfor %}
{% for x in no %}{% endfor %}
{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% for x in [1, 2] %}{% for y in [1, 2] %}{% if y == 2 %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}{% endfor %}
{% set x = 1 %}{% for i in l %}{% set x = x + i %}{{ x }},{% endfor %}{{ x }}
{% set ns = namespace(x=0, y='a') %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}{{ ns.y }}{{ ns.z }}
{% set ns = namespace(found=false) %}{% for i in l if not ns.found %}{{ i }}{% set ns.found = true %}{% endfor %}
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set c %}  text {{ a }} {% endset %}[{{ c }}]{% set d2 | upper | trim %} up {% endset %}[{{ d2 }}]
{% if z %}a{% elif n %}b{% else %}c{% endif %}{% if z %}a{% elif z %}b{% elif z %}d{% else %}c{% endif %}
{% if t %}{% set inner = 5 %}{% endif %}{{ inner }}
{% macro m(a, b=2, c='x') %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, c=3) }}{{ m(1, 2, 3) }}{{ m() }}{{ m(b=1, a=2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}
{% macro f(x) %}{% if x > 0 %}{{ x }}{{ f(x - 1) }}{% endif %}{% endmacro %}{{ f(5) }}{{ f(2) | length }}
{% macro show() %}<{{ caller() }}|{{ caller(2) if false else '' }}>{% endmacro %}{% call show() %}body {{ n }}{% endcall %}
{% macro each(l) %}{% for x in l %}{{ caller(x) }},{% endfor %}{% endmacro %}{% call(v) each(l) %}{{ v * 2 }}{% endcall %}
{% set v = 1 %}{% macro m() %}{{ v }}{% endmacro %}{% set v = 2 %}{{ m() }}
{% filter upper | replace('A', 'b') %}abc {{ s }}{% endfilter %}
{% generation %}gen {{ n }}{% set inside = 1 %}{% endgeneration %}{{ inside }}|
{{ sp | trim }}|{{ 'xxaxx' | trim('x') }}|{{ sp.strip() }}|{{ sp.lstrip() }}|{{ sp.rstrip() }}|{{ '--a-b--'.strip('-') }}|{{ 'abc'.lstrip('ab') }}|{{ '\u3000a\x1f'.strip() }}|
{{ 'a,b,,c'.split(',') }}{{ ' a  b '.split() }}{{ 'a b c'.split(' ', 1) }}{{ 'a.b.c'.rsplit('.', 1) }}{{ ''.split(',') }}{{ ''.split() }}{{ 'a  b c'.split(none, 1) }}{{ lines.splitlines() }}
{{ 'abc'.split('') }}
{{ s.startswith('He') }}{{ s.endswith(('x', 'ld')) }}{{ s.upper() }}{{ u.upper() }}{{ u.lower() }}{{ 'hello wORLD'.title() }}{{ 'hELLO'.capitalize() }}{{ s.find('o') }}{{ s.rfind('o') }}{{ s.find('zz') }}{{ s.count('l') }}
{{ s.replace('l', 'L') }}{{ s.replace('l', 'L', 1) }}{{ 'aa'.replace('', '-') }}{{ s | replace('o', 0) }}{{ 'ab'.removeprefix('a') }}{{ 'ab'.removesuffix('b') }}{{ '-'.join(w) }}{{ '12'.isdigit() }}{{ 'a'.isalpha() }}
{{ '-'.join(l) }}
{{ '{} and {}'.format(1, 'b') }}{{ '{0}{1}{0} {{x}} {k}'.format('a', none, k=2) }}
{{ d.get('a') }}{{ d.get('zz') }}{{ d.get('zz', 5) }}{{ d.keys() | list }}{{ d.values() | list | length }}{{ l.index(2) }}{{ l.count(3) }}
{{ l.append(4) }}
{{ d.update({'a': 1}) }}
{{ s.foo() }}
{{ s | length }}{{ u | length }}{{ l | count }}{{ d | length }}{{ l | first }}{{ l | last }}{{ [] | first }}|{{ l | sum }}{{ l | max }}{{ l | min }}{{ l | sort }}{{ w | sort }}{{ w | sort(case_sensitive=true) }}{{ l | sort(reverse=true) }}{{ l | reverse | list }}{{ s | reverse }}
{{ w | join }}{{ w | join('-') }}{{ rows | join(',', attribute='n') }}{{ rows | map(attribute='v', default=0) | list }}{{ rows | map(attribute='n') | join }}{{ w | map('upper') | list }}{{ w | map('replace', 'b', 'X') | join }}
{{ rows | selectattr('v') | list | length }}{{ rows | selectattr('n', 'equalto', 'x') | list | length }}{{ rows | rejectattr('v', 'defined') | list }}{{ l | select('odd') | list }}{{ l | reject('gt', 1) | list }}{{ [0, 1, ''] | select | list }}
{{ rows | map(attribute='n') | unique | list }}{{ ['a', 'A', 'b'] | unique | list }}{{ d | dictsort | map('first') | list }}{{ {'b': 1, 'A': 2} | dictsort }}{{ {'b': 1, 'A': 2} | dictsort(by='value', reverse=true) }}{{ d | items | list | length }}
{{ undefined_name | default('d') }}{{ no | default('d') }}{{ no | default('d', true) }}{{ e | d('x', boolean=true) }}{{ undefined_name | default }}|{{ '42' | int }}{{ '4.9' | int }}{{ 'x' | int }}{{ 'x' | int(5) }}{{ 4.9 | int }}{{ '2.5' | float }}{{ -3 | abs }}
{{ 'a@b@@c' | indent }}|{{ 'a@b' | indent(2, true) }}|{{ 'a@@b' | indent(width='>>', blank=true) }}|{{ '' | indent }}|
{{ q | tojson }}{{ d | tojson }}{{ [1.0, 1e22, 1e-7, true, none, -0.0, 12345678901234] | tojson }}{{ u | tojson(ensure_ascii=true) }}{{ '🙂' | tojson(ensure_ascii=true) }}
{{ d | tojson(indent=2) }}{{ [] | tojson(indent=2) }}{{ {} | tojson(indent=2) }}{{ d | tojson(separators=(',', ':')) }}{{ d | tojson(sort_keys=true) }}{{ {1: 2, true: 3, none: 4} | tojson }}{{ [(1, 2)] | tojson(indent='\t') }}
{{ undefined_name | tojson }}
{{ (l | map('string')) | tojson }}
{{ '<a>' | safe ~ '<b>' }}{{ '<a>' + ('<b>' | safe) }}{{ ('<a>' | safe) + "'&\"" }}{{ ('x' | safe) | upper + '<' }}
{{ d is mapping }}{{ l is sequence }}{{ s is iterable }}{{ n is number }}{{ t is boolean }}{{ f is float }}{{ n is integer }}{{ t is integer }}{{ no is none }}{{ t is true }}{{ z is false }}{{ n is odd }}{{ n is divisibleby 7 }}{{ n is divisibleby(2) }}{{ s is string }}{{ d is string }}{{ 'a' is lower }}{{ 'a1' is upper }}{{ no is sameas none }}{{ 2 is in l }}{{ n is eq 7 }}{{ n is gt 5 }}{{ s is callable }}{{ range is callable }}
{{ (l | map('string')) is sequence }}{{ d.items() is sequence }}{{ d.items() is iterable }}{{ n is iterable }}{{ undefined_name is sequence }}{{ none is defined }}{{ not n is defined }}
{% if l | select('gt', 99) %}always{% endif %}{% set g = l | map('string') %}{{ g | list }}{{ g | list }}
{{ range(3) | list }}{{ range(1, 8, 3) | list }}{{ range(3, 0, -1) | list }}{{ range(5)[2] }}{{ range(5)[1:3] | list }}{{ range(3) | length }}
{{ range(200000) }}
{{ raise_exception('no ' ~ n) }}
{{ strftime_now('%Y-%m-%d %d %b %B %A %a %H:%M:%S %I %p %j %y %%') }}
{{ dict(a=1, b='x') }}{{ dict(d, c=2) | length }}
{{ 'abc' * 2 }}{{ [1] * 2 }}{{ 2 * 'x' }}{{ 'a' * -1 }}|{{ [1] + [2] }}{{ (1,) + (2,) }}
{{ 'a' + 1 }}
{{ [1] + 'a' }}
{{ {} + {} }}
{{ {[1]: 2} }}
{{ s() }}
{{ u | nosuchfilter }}
{% if z %}{{ u | nosuchfilter }}{% endif %}fine
{% if t %}{{ u | nosuchfilter }}{% endif %}
{{ n is nosuchtest }}
{% for x in [1, 2, 3] %}{% if loop.first %}{% set y = 'first' %}{% endif %}{{ y }};{% endfor %}
{% set x = [1, 2] %}{% set x = x + [3] %}{{ x }}{% set messages = d %}{{ messages.a }}
{%- set content = 'x' -%}{%- for m in rows -%}{%- set content = content ~ m.n -%}{{ content }}{%- endfor -%}{{ content }}
{{ {'a': 1, 'a': 2} }}{{ {1: 'a', true: 'b'} }}{{ {'a': 1} == {'a': 1.0} }}{{ [1] == (1,) }}{{ 'a' == 1 }}{{ none == undefined_name }}{{ undefined_name == other_name }}
{{ -n }}{{ +n }}{{ -f }}{{ not not n }}{{ -n | abs }}{{ (-n) | string }}
{{ -'a' }}
{{ l.0 }}{{ rows.1.n }}{{ d.k['deep'].0 }}
{{ s|upper|lower|capitalize }}
{{ lines | replace('\n', '|') }}{{ q | string }}{{ q }}
{{ 'x' if undefined_name is defined and undefined_name.x else 'y' }}
{% set x = namespace(d) %}{{ x.a }}{% set x.a = 'new' %}{{ x.a }}{{ d.a }}
{{ ('a', 'b') | join }}{{ 'abc' | list }}{{ d | list }}{{ 'abc' | join('-') }}{{ no | string }}{{ l | string | length }}
{{ rows | selectattr('n', '==', 'x') | list | length }}{{ l | select('!=', 2) | list }}{{ l | select('<', 2) | list }}{{ l | select('<=', 2) | list }}{{ l | select('>', 2) | list }}{{ l | reject('>=', 2) | list }}
{{ [{'a': 1}, {'a': 2}] | sum(attribute='a') }} {{ l | sum(start=10) }} {{ [[1, 2], [3]] | sum(start=[]) }} {{ l | map('string') | map('int') | sum }}
{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}{% set a, (b, c) = (1, (2, 3)) %}{{ a }}{{ b }}{{ c }}
{{ 1.0 // 0.1 }} {{ -1.0 // 0.1 }} {{ 7.0 // -2 }} {{ -4.0 % 2.0 }} {{ 4.0 % -2.0 }} {{ -0.0 // 3.0 }} {{ 1e16 // -3.0 }}
{{ 0.0 ** -1 }}
{{ 10.0 ** 400 }}
{{ '123456789012345678' | int }} {{ '9223372036854775807' | int }} {{ '00000000000000000000000000000000000000000000000000000000000000000000007' | int }} {{ '123456789012345678' | float }}
{{ 9007199254740993 == 9007199254740992.0 }} {{ 9007199254740993 > 9007199254740992.0 }} {{ 9007199254740992.0 < 9007199254740993 }} {{ 2 ** 62 - 1 + 2 ** 62 < 2.0 ** 63 }} {{ 2 ** 62 - 1 + 2 ** 62 == 2.0 ** 63 }} {{ {9007199254740993: 'a'}[9007199254740992] is defined }} {{ 3 == 3.0 }} {{ 3 < 3.5 }} {{ -3 < -2.5 }}
{{+ 'abc' }}|{{+undefined_name }}|{{+ -n }}|{{- +n }}
a {#-#} b {#+#} c {#--#} d {#+-#} e
{% set ns = namespace() %}{% for x in l %}{% macro m() %}{{ loop.index }}{{ loop.last }}{{ x }}{% endmacro %}{% set ns.m = m %}{{ m() }}{% endfor %}|{{ ns.m() }}
{% set ns = namespace() %}{% for x in l %}{% if loop.index == 2 %}{% macro m() %}{{ loop.index }}/{{ loop.length }}{{ loop.first }}{{ loop.last }}{{ loop.revindex }}{{ loop.previtem }}{{ loop.nextitem }}{% endmacro %}{% set ns.m = m %}{% endif %}{% endfor %}{{ ns.m() }}
{% set ns = namespace() %}{% for x in l %}{% macro m() %}{{ loop.index }}{{ loop.nextitem is defined }}{{ loop.previtem }}{% endmacro %}{% set ns.m = m %}{% if loop.index == 2 %}{% break %}{% endif %}{% endfor %}{{ ns.m() }}
{% set ns = namespace() %}{% for x in l if x > 1 %}{% macro m() %}{{ loop.index }}{{ loop.last }}{{ loop.length }}{{ loop.revindex0 }}{% endmacro %}{% set ns.m = m %}{% endfor %}{{ ns.m() }}{{ ns.m() }}
{% set ns = namespace(l=none) %}{% for x in l %}{% set ns.l = loop %}{% endfor %}{{ ns.l.index }}{{ ns.l.last }}{{ ns.l.length }}{{ ns.l.revindex }}{{ ns.l.previtem }}
{% macro m() %}{{ loop.index }}{% endmacro %}{% for x in l %}{{ m() }}{% endfor %}
{% for x in l %}{% for y in w %}{% macro m() %}{{ loop.index }}{{ x }}{{ y }}{% endmacro %}{{ m() }}{% endfor %}{% endfor %}
{% for x in l %}{% set outer = loop %}{% for y in w %}{{ outer.index }}{{ loop.index }}{{ outer.last }}{% endfor %}{% endfor %}
{% macro m() %}{% for x in l %}{{ loop.index }}{{ caller(x) }}{% endfor %}{% endmacro %}{% for z in w %}{% call(v) m() %}[{{ loop.index }}{{ v }}{{ z }}]{% endcall %}{% endfor %}
{{ rows | sort(attribute='v') | list | length }}
{{ rows | sort(attribute='missing') | map(attribute='n') | join }}
{{ rows | sort(attribute='n') | map(attribute='n') | join }}
{{ [{'v': 1}] | sort(attribute='x') | length }}
{{ [] | sort(attribute='x') | length }}
{{ [{'v': 1}, {}] | sort(attribute='v') | length }}
{{ [{}, {}] | sort(attribute='v') | length }}
{{ l | sort(attribute='v') | join }}
{{ [{'v': none}, {'v': 1}] | sort(attribute='v') | length }}
{{ [{'v': {'w': 2}}, {'v': {'w': 1}}] | sort(attribute='v.w') | map(attribute='v') | list }}
{{ [{'v': 1}, {'v': {'w': 1}}] | sort(attribute='v.w') | length }}
{{ rows | min(attribute='v') }}
{{ rows | max(attribute='missing') }}
{{ [{'v': 1}] | max(attribute='missing') }}
{{ rows | unique(attribute='v') | map(attribute='n') | join }}
{{ rows | unique(attribute='missing') | map(attribute='n') | join }}
{{ rows | map(attribute='v') | list }}
{{ rows | sum(attribute='v') }}
{{ undefined_name | sort(attribute='v') }}
{{ [undefined_name, undefined_name] | sort }}
{{ [undefined_name] | sort | length }}
{{ undefined_name < 1 }}
{{ 'a b c'.isspace() }}{{ ' \t\n'.isspace() }}{{ ''.isspace() }}{{ u.isspace() }}{{ '東京'.isspace() }}{{ '\u00a0\u2003'.isspace() }}{{ '\u200b'.isspace() }}
{% set ns = namespace() %}{% for x in l %}{% if loop.first %}{% macro m() %}{{ x }}{{ loop.index }}{% endmacro %}{% set ns.m = m %}{% endif %}{{ ns.m() }}{% endfor %}
{% set ns = namespace() %}{% for x in l %}{% set y = x * 2 %}{% if loop.first %}{% macro m() %}{{ y }}{% endmacro %}{% set ns.m = m %}{% endif %}{{ ns.m() }}{% endfor %}|{{ ns.m() }}
{% set ns = namespace() %}{% for x in l %}{% macro m() %}{{ x is defined }}{{ loop is defined }}{{ loop.index is defined }}{{ loop.index }}{% endmacro %}{% set ns.m = m %}{% endfor %}{{ ns.m() }}
{% macro f(n) %}{% for x in [1] %}{% if n > 0 %}.{{ f(n - 1) }}{% endif %}{% endfor %}{% endmacro %}{{ f(180) }}
{% macro f(n) %}{{ 'x' ~ (f(n - 1) if n > 0 else '') }}{% endmacro %}{{ f(180) }}
{{ rows | sort(attribute='n,v') | map(attribute='v') | list }}
{{ [{'a': 2, 'b': 'Y'}, {'a': 1, 'b': 'z'}, {'a': 2, 'b': 'x'}] | sort(attribute='a,b') | map(attribute='b') | join }}{{ [{'a': 2, 'b': 'Y'}, {'a': 2, 'b': 'x'}] | sort(attribute='a,b', case_sensitive=true, reverse=true) | map(attribute='b') | join }}
{{ [[1, 'b'], [0, 'a']] | sort(attribute=1) | map('first') | list }}{{ [[1, 'b'], [0, 'a']] | sort(attribute='0') | map('last') | join }}
""".strip("\n").split("\n")

TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def render(source, row):
    t = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), **TOKENS)
    keys = {k: v for k, v in row.items() if k not in ("messages",)}
    try:
        return t.apply_chat_template(json.loads(json.dumps(row["messages"])), chat_template=source, tokenize=False, **keys)
    except Exception as e:  # whatever the template or Python raises
        return {"error": str(e), "raised": "TemplateError" in type(e).__name__}


def named(config, tools):
    """The template that transformers takes: of a list "tool_use" with tools, if there, else "default"."""
    if isinstance(config, str):
        return config
    named = {t["name"]: t["template"] for t in config}
    return named["tool_use"] if tools and "tool_use" in named else named["default"]


def snippets(out):
    with open(os.path.join(out, "snippets.json"), "w", encoding="utf-8") as f:
        json.dump(VARIABLES, f, ensure_ascii=False)
        f.write("\n")
    with open(os.path.join(out, "snippets.jsonl"), "w", encoding="utf-8") as f:
        for source in SNIPPETS:
            source = source.replace("@", "\n")
            got = render(source, {"messages": [{"role": "user", "content": "x"}], **VARIABLES})
            f.write(json.dumps({"source": source, **({"text": got} if isinstance(got, str) else got)}, ensure_ascii=False) + "\n")


def main():
    out = sys.argv[1]
    rows = conversations()
    snippets(out)
    with open(os.path.join(out, "conversations.jsonl"), "w", encoding="utf-8") as f:
        for row in rows:
            f.write(json.dumps(row, ensure_ascii=False) + "\n")
    with open(os.path.join(out, "own.jsonl"), "w", encoding="utf-8") as f:
        for path in sorted(glob.glob(os.path.join(out, "templates", "*.jinja"))):
            with open(path, encoding="utf-8", newline="") as g:
                source = g.read()
            for i, row in enumerate(rows):
                got = render(source, row)
                entry = {"template": os.path.basename(path), "row": i, **({"text": got} if isinstance(got, str) else got)}
                f.write(json.dumps(entry, ensure_ascii=False) + "\n")
    if len(sys.argv) < 3:
        return
    with open(os.path.join(out, "corpora.jsonl"), "w", encoding="utf-8") as f:
        paths = sorted(glob.glob(os.path.join(sys.argv[2], "jinja", "*.jinja"))) + sorted(glob.glob(os.path.join(sys.argv[2], "*.json")))
        for path in paths:
            with open(path, encoding="utf-8", newline="") as g:
                source = g.read()
            if path.endswith(".json"):
                source = json.loads(source)["chat_template"]
            answers = []
            for row in rows:
                got = render(named(source, row.get("tools")), row)
                answers.append(hashlib.sha256(got.encode()).hexdigest()[:16] if isinstance(got, str) else got)
                if len(sys.argv) > 3:
                    json.dump({"got": got}, open(os.path.join(sys.argv[3], "%s.%02d.json" % (os.path.basename(path), len(answers) - 1)), "w"))
            f.write(json.dumps({"template": os.path.relpath(path, sys.argv[2]), "rows": answers}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
