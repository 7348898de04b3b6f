#!/usr/bin/env python3
"""PEFT folders of `your_ai` in AutoPeftModelForCausalLM, which gets the folder and nothing else, for a base that is

  a folder           base_model_name_or_path is its path;
  a hub name         the model lies in a Hugging Face cache of this check's own (HF_HOME), and the network is off: our program is
                     given owner/name and writes that, and transformers finds it there by that name.

Both after training (RUN/adapter) and after `export --to peft`; log-probabilities of a text as ours, every token within 1e-3, and
not those of the base alone. A random model of the least size (`your_ai init --like tiny`). Needs torch, transformers, peft.

    tools/check_autopeft.py build/your_ai
"""
import json
import os
import shutil
import sys
import tempfile

HOME = tempfile.mkdtemp()
os.environ.update(HF_HOME=HOME, HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")  # before the packages read them

import torch  # noqa: E402
from peft import AutoPeftModelForCausalLM  # noqa: E402

from check_merge import train  # noqa: E402
from check_support import compare, ours, run, theirs  # noqa: E402

NAME = "someone/tiny-model"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def cache(folder):
    """The folder as a snapshot in the cache, which is where a download would put it."""
    at = os.path.join(HOME, "hub", "models--" + NAME.replace("/", "--"))
    shutil.copytree(folder, os.path.join(at, "snapshots", COMMIT))
    os.makedirs(os.path.join(at, "refs"))
    with open(os.path.join(at, "refs", "main"), "w", encoding="utf-8") as f:
        f.write(COMMIT)


def check(program, base, named, work):
    adapter = train(program, base, work)
    exported = os.path.join(work, "exported")
    run(program, "export", adapter, "--to", "peft", "-o", exported)
    ids, alone = ours(program, base, work)
    for what, folder in (("as trained", adapter), ("exported", exported)):
        with open(os.path.join(folder, "adapter_config.json"), encoding="utf-8") as f:
            name = json.load(f)["base_model_name_or_path"]
        if name != named:
            raise SystemExit(f"{folder} names its base {name}, not {named}")
        _, wanted = ours(program, base, work, folder)
        if not (wanted - alone).abs().max() > 0.1:
            raise SystemExit("the adapter changes nothing, so this would prove nothing")
        model = AutoPeftModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        compare(f"base {named if '/' in named and named[0] != '/' else 'a folder'}, {what}: AutoPeftModelForCausalLM, ours",
                theirs(model, ids), wanted, 1e-3)


def main(program):
    try:
        with tempfile.TemporaryDirectory() as work:
            base = os.path.join(os.path.realpath(work), "base")
            run(program, "init", "--like", "tiny", "-o", base)
            os.mkdir(os.path.join(work, "one"))
            check(program, base, base, os.path.join(work, "one"))
            cache(base)
            os.mkdir(os.path.join(work, "two"))
            check(program, NAME, NAME, os.path.join(work, "two"))
    finally:
        shutil.rmtree(HOME)


if __name__ == "__main__":
    main(*sys.argv[1:])
