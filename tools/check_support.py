"""What check_merge.py and check_peft.py share: log-probabilities of a text from our program and from transformers."""
import json
import os
import subprocess

import torch
from transformers import AutoModelForCausalLM

TEXT = """The capital of France is Paris. It lies on the Seine, and about 2,100,000 people live there.
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)
Im Jahr 1912 sank die Titanic; 1,517 Menschen starben. "Why?", asked the boy - nobody knew.
"""


def run(*command):
    """Runs a command; its stdout as text. Stops with its stderr when it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def ours(program, model, folder, adapter=None):
    """(ids, log-probabilities of ids[1:]) of TEXT by our program."""
    path = os.path.join(folder, "text.txt")
    with open(path, "w", encoding="utf-8") as f:
        f.write(TEXT)
    extra = ["--adapter", adapter] if adapter else []
    lines = [json.loads(line) for line in run(program, "perplexity", "-m", model, "-f", path, "--json", *extra).splitlines()]
    return [line["id"] for line in lines], torch.tensor([line["logprob"] for line in lines[1:]], dtype=torch.float64)


def theirs(model, ids):
    """log-probabilities of ids[1:] by a transformers or PEFT model, computed in f32."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0].double()
    return logits.log_softmax(-1)[:-1].gather(1, torch.tensor(ids[1:])[:, None])[:, 0]


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def compare(what, a, b, tolerance):
    worst = (a - b).abs().max().item()
    print(f"{what}: {len(a)} tokens, mean log-probability {a.mean():.6f}, largest difference {worst:.2e}", flush=True)
    if not worst <= tolerance:
        raise SystemExit(f"{what}: {worst} is above {tolerance}")
