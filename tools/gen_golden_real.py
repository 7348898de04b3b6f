#!/usr/bin/env python3
"""Makes tests/data/golden/NAME.json: what transformers computes on the dequantised weights of a real model.

For ten prompts: ids (by the tokenizer that transformers builds from the GGUF), the log-probability of every token after the
first, their mean, and the greedy continuation of 32 tokens. Run: tools/gguf_to_hf.py models/smollm2-135m.gguf DIR, then
tools/gen_golden_real.py smollm2 DIR models/smollm2-135m.gguf; likewise qwen2.5-coder-0.5b.
"""
import json
import os
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPTS = [
    "The capital of France is",
    "Water boils at a temperature of",
    "def fibonacci(n):\n    if n < 2:\n        return n\n    return",
    "Once upon a time, in a small village by the sea, there lived an old fisherman who",
    "In 1969, the first human beings walked on the Moon. The mission was called",
    "Q: What is 12 times 12?\nA:",
    "Der schnelle braune Fuchs springt über den faulen Hund. Übersetzung:",
    "Ingredients:\n- 2 eggs\n- 200 g flour\n- 1 pinch of salt\n\nInstructions:\n1.",
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
    "<|im_start|>user\nName three primary colours.<|im_end|>\n<|im_start|>assistant\n",
    "The mitochondria is the powerhouse of the cell. It produces energy in the form of",
]


def main(name, folder, gguf_path):
    torch.set_num_threads(2)
    tokenizer = AutoTokenizer.from_pretrained(os.path.dirname(gguf_path), gguf_file=os.path.basename(gguf_path))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    cases = []
    for prompt in PROMPTS:
        ids = tokenizer(prompt, add_special_tokens=False).input_ids
        x = torch.tensor([ids])
        with torch.no_grad():
            logp = torch.log_softmax(model(input_ids=x).logits[0].double(), dim=-1)
            scores = [logp[i, ids[i + 1]].item() for i in range(len(ids) - 1)]
            out = model.generate(x, attention_mask=torch.ones_like(x), max_new_tokens=32, do_sample=False, eos_token_id=None, pad_token_id=2)
        cases.append(dict(prompt=prompt, ids=ids, logprobs=[round(s, 6) for s in scores], mean=round(sum(scores) / len(scores), 8),
                          continuation=out[0, len(ids):].tolist()))
        print(cases[-1]["mean"], repr(tokenizer.decode(cases[-1]["continuation"])))
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "data", "golden", f"{name}.json")
    with open(path, "w") as f:
        json.dump(dict(transformers=transformers.__version__, torch=torch.__version__, cases=cases), f, ensure_ascii=False)
        f.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
