#!/usr/bin/env python3
"""Makes tests/data/io/chat/marks.jsonl: ids and assistant masks that transformers gives for templates with {% generation %} marks
(apply_chat_template with return_assistant_tokens_mask), which --mask exact must equal. One line each: {"template", "tokenizer",
"messages", "tools", "ids", "trained"}. Needs transformers (5.24 was used).

  gen_chat_golden.py tests/data"""
import json
import os
import sys

from transformers import PreTrainedTokenizerFast

BEGIN, END = "{% generation %}", "{% endgeneration %}"
ASK = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
LLAMA_ASK = "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"


def chatml(inside, after, other="{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}", before="", head=""):
    """A ChatML template: `inside` is marked in turns of the assistant."""
    return (head + "{% for m in messages %}{% if m.role == 'assistant' %}{{ '<|im_start|>assistant\\n' }}" + before + BEGIN + inside + END
            + after + "{% else %}" + other + "{% endif %}{% endfor %}" + ASK)


def llama(inside, after):
    return ("{% for m in messages %}{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' }}{% if m.role == 'assistant' %}" + BEGIN
            + inside + END + "{% else %}{{ m.content | trim + '<|eot_id|>' }}{% endif %}" + after + "{% endfor %}" + LLAMA_ASK)


# The forms in which training copies of public templates put their marks, in our own words.
TEMPLATES = [
    ("qwen", chatml("{{ m.content + '<|im_end|>' }}", "{{ '\\n' }}")),
    ("qwen", chatml("{{ m.content }}", "{{ '<|im_end|>\\n' }}")),
    ("smollm", chatml("{{ m.content + '<|im_end|>\\n' }}", "")),
    ("qwen", chatml("{{- m.content | trim -}}", "{{- '<|im_end|>' + '\\n' -}}")),
    ("qwen", chatml("{% if m.reasoning_content %}{{ '<think>\\n' + m.reasoning_content + '\\n</think>\\n\\n' }}{% endif %}"
                    "{{ m.content }}{% for t in m.tool_calls or [] %}{{ '\\n<tool_call>\\n' ~ t.function | tojson ~ '\\n</tool_call>' }}"
                    "{% endfor %}{{ '<|im_end|>' }}", "{{ '\\n' }}")),
    ("smollm", chatml("{{ m.content + '<|im_end|>' }}", "{{ '\\n' }}",
                      head="{% if messages[0].role != 'system' %}{{ '<|im_start|>system\\nBe kind.<|im_end|>\\n' }}{% endif %}")),
    ("qwen", chatml("{{ m.content + '<|im_end|>' }}", "{{ '\\n' }}", before="{{ '<think>\\n\\n</think>\\n\\n' if loop.last else '' }}")),
    ("llama3", llama("{{ m.content | trim + '<|eot_id|>' }}", "")),
    ("llama3", llama("{{ m.content }}{{ '<|eot_id|>' }}", "")),
    ("llama3", llama("{{ m.content | upper }}", "{{ '<|eot_id|>' if m.role == 'assistant' }}")),
]
TEXTS = ["Hi", "", "  two  words \n", "Grüße 東京 🙂", "\u3000wide ", "e\u0301 and Привет", "line\n\nbreaks", "\nfirst"]


def talks():
    for i in range(len(TEXTS)):
        a, b, c, d = (TEXTS[(i + k) % len(TEXTS)] for k in range(4))
        yield [{"role": "user", "content": a}, {"role": "assistant", "content": b}]
        yield [{"role": "system", "content": d}, {"role": "user", "content": a}, {"role": "assistant", "content": b},
               {"role": "user", "content": c}, {"role": "assistant", "content": d}]
    yield [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4.", "reasoning_content": "two and two"},
           {"role": "user", "content": "Sure?"}, {"role": "assistant", "content": "", "tool_calls": [
               {"type": "function", "function": {"name": "add", "arguments": {"x": 2, "y": 2.5}}}]}]


def main():
    data = sys.argv[1]
    with open(os.path.join(data, "io", "chat", "marks.jsonl"), "w", encoding="utf-8") as f:
        for kind, source in TEMPLATES:
            t = PreTrainedTokenizerFast(tokenizer_file=os.path.join(data, "io", "tokenizer", kind, "tokenizer.json"))
            for messages in talks():
                if "tool_calls" not in source and any("tool_calls" in m for m in messages):
                    continue
                got = t.apply_chat_template(json.loads(json.dumps(messages)), chat_template=source, return_dict=True,
                                            return_assistant_tokens_mask=True)
                f.write(json.dumps({"template": source, "tokenizer": kind, "messages": messages, "ids": got["input_ids"],
                                    "trained": "".join(map(str, got["assistant_masks"]))}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
