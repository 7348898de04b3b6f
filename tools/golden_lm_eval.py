#!/usr/bin/env python3
"""Makes tests/data/lm_eval: a tiny model, rows of multiple-choice benchmarks, and what lm-evaluation-harness scores on them.

The rows are generated (the published files are not at hand where this runs) in the forms in which the benchmarks are published:
the hub's rows (JSON Lines; HellaSwag also as Parquet), and the authors' files: TruthfulQA's mc_task.json and CSV, ARC's nested
JSON Lines, MMLU's CSV. They hold what the rules of the harness are about: Unicode, brackets and " [title]", double spaces, spaces at
the end, answers as letters and numbers, contexts longer than the model's.

  model/           config.json, model.safetensors (f32), tokenizer.json
  *.jsonl, ...     rows
  expected.json    per task: "loglik" (items x choices), "acc", "acc_stderr" and with a norm "acc_norm", as the harness has them

Needs: lm-eval, torch, transformers, tokenizers, datasets, safetensors, pyarrow (versions go to versions.json).
Run: tools/golden_lm_eval.py
"""
import csv
import importlib.metadata
import json
import os
import random
import shutil
import tempfile

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
import lm_eval
import pyarrow
import pyarrow.parquet
import tokenizers
import torch
import transformers
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "..", "tests", "data", "lm_eval")
TASKS = os.path.join(os.path.dirname(lm_eval.__file__), "tasks")
SUBJECTS = ["abstract_algebra", "us_foreign_policy"]
N, SHOTS, CONTEXT, VOCAB = 24, 2, 320, 420

NOUNS = "lamp river coat garden stone window letter bridge oven clock café field ocean müsli ladder 木 market engine".split()
VERBS = "opens carries follows hides paints turns keeps sells breaks finds".split()
ADJECTIVES = "old bright heavy quiet naïve broken green narrow fast Émile's".split()


def phrase(r, n):
    return " ".join(f"the {r.choice(ADJECTIVES)} {r.choice(NOUNS)} {r.choice(VERBS)}" for _ in range(n))


def truthfulqa(r):
    rows = []
    for _ in range(N):
        true = [phrase(r, r.randint(1, 3)) + r.choice(["", "."]) for _ in range(r.randint(1, 3))]
        false = [phrase(r, r.randint(1, 3)) for _ in range(r.randint(1, 4))]
        rows.append({"question": "What if " + phrase(r, 2) + "?",
                     "mc1_targets": {"choices": true[:1] + false, "labels": [1] + [0] * len(false)},
                     "mc2_targets": {"choices": true + false, "labels": [1] * len(true) + [0] * len(false)}})
    return rows


def arc(r):
    rows = []
    for i in range(N):
        n = r.choice([3, 4, 4, 5])
        labels = list("ABCDE"[:n]) if i % 3 else [str(k + 1) for k in range(n)]
        rows.append({"id": f"row_{i}", "question": "Why is it that " + phrase(r, 2) + r.choice(["?", "? "]),
                     "choices": {"text": [phrase(r, r.randint(1, 2)) for _ in range(n)], "label": labels},
                     "answerKey": r.choice(labels)})
    return rows


def hellaswag(r):
    marks = ["", " [title] ", " [step] ", " [substeps] ", "  ", " [a] [b]"]
    return [{"ind": i, "activity_label": r.choice(["Baking", "Home and Garden"]), "ctx_a": r.choice(["", " "]) + phrase(r, 2) + ".",
             "ctx_b": r.choice(["then the MAN ", "élan ", "[header] Then ", ""]) + phrase(r, 1),
             "endings": [phrase(r, 1) + r.choice(marks) + phrase(r, 1) + r.choice(["", ".", "  "]) for _ in range(4)],
             "label": str(r.randint(0, 3))} for i in range(N)]


def mmlu(r, n):
    return [{"question": r.choice(["", " ", "\n"]) + "Which of these " + phrase(r, 1) + r.choice(["?", "? ", ":\n(1) x, \"y\""]),
             "subject": s, "choices": [phrase(r, 1) for _ in range(4)], "answer": r.randint(0, 3)} for s in SUBJECTS for _ in range(n)]


def write_lines(name, rows):
    with open(os.path.join(OUT, name), "w", encoding="utf-8") as f:
        for row in rows:
            f.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_authors(tqa, arc_rows, mmlu_rows):
    with open(os.path.join(OUT, "mc_task.json"), "w", encoding="utf-8") as f:
        json.dump([{"question": q["question"], **{k: dict(zip(q[k]["choices"], q[k]["labels"])) for k in ("mc1_targets", "mc2_targets")}}
                   for q in tqa], f, indent=1, ensure_ascii=False)
    with open(os.path.join(OUT, "TruthfulQA.csv"), "w", encoding="utf-8", newline="") as f:
        w = csv.writer(f)
        w.writerow(["Type", "Category", "Question", "Best Answer", "Correct Answers", "Incorrect Answers", "Source"])
        for q in tqa:
            split = lambda label: "; ".join(c for c, l in zip(q["mc2_targets"]["choices"], q["mc2_targets"]["labels"]) if l == label)
            w.writerow(["x", "y", q["question"], q["mc1_targets"]["choices"][0], split(1), split(0), "z"])
    write_lines("arc_authors.jsonl", [{"id": a["id"], "question": {"stem": a["question"], "choices": [
        {"text": t, "label": l} for t, l in zip(a["choices"]["text"], a["choices"]["label"])]}, "answerKey": a["answerKey"]} for a in arc_rows])
    for s in SUBJECTS:
        with open(os.path.join(OUT, f"{s}_test.csv"), "w", encoding="utf-8", newline="") as f:
            csv.writer(f).writerows([m["question"], *m["choices"], "ABCD"[m["answer"]]] for m in mmlu_rows if m["subject"] == s)


def make_model(texts):
    folder = os.path.join(OUT, "model")
    t = tokenizers.Tokenizer(tokenizers.models.BPE())
    t.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = tokenizers.decoders.ByteLevel()
    t.train_from_iterator(texts, tokenizers.trainers.BpeTrainer(
        vocab_size=VOCAB, special_tokens=["<|endoftext|>"], initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    transformers.PreTrainedTokenizerFast(tokenizer_object=t, eos_token="<|endoftext|>", bos_token="<|endoftext|>").save_pretrained(folder)
    torch.manual_seed(5)
    config = transformers.LlamaConfig(vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                                      num_key_value_heads=2, max_position_embeddings=CONTEXT, initializer_range=0.3, bos_token_id=0,
                                      eos_token_id=0, tie_word_embeddings=True)
    transformers.LlamaForCausalLM(config).to(torch.float32).save_pretrained(folder)
    return folder


def task_file(folder, name, include, files, extra=""):
    with open(os.path.join(folder, name + ".yaml"), "w", encoding="utf-8") as f:
        f.write(f"include: {os.path.join(TASKS, include)}\ntask: {name}\ntag: null\ndataset_path: json\ndataset_name: null\n"
                f"dataset_kwargs:\n  data_files:\n" + "".join(f"    {k}: {os.path.join(folder, v)}\n" for k, v in files.items()) + extra)


def make_tasks(folder, mmlu_rows, mmlu_dev):
    for name in ("truthfulqa.jsonl", "arc.jsonl", "hellaswag.jsonl"):
        shutil.copy(os.path.join(OUT, name), folder)
    task_file(folder, "truthfulqa_mc1_rows", "truthfulqa/truthfulqa_mc1.yaml", {"validation": "truthfulqa.jsonl"})
    task_file(folder, "truthfulqa_mc2_rows", "truthfulqa/truthfulqa_mc2.yaml", {"validation": "truthfulqa.jsonl"})
    task_file(folder, "arc_rows", "arc/arc_easy.yaml", {"test": "arc.jsonl"}, "training_split: null\nvalidation_split: null\n")
    task_file(folder, "hellaswag_rows", "hellaswag/hellaswag.yaml", {"validation": "hellaswag.jsonl"}, "training_split: null\n")
    for s in SUBJECTS:
        for split, rows in (("test", mmlu_rows), ("dev", mmlu_dev)):
            with open(os.path.join(folder, f"{s}_{split}.jsonl"), "w", encoding="utf-8") as f:
                f.writelines(json.dumps(m, ensure_ascii=False) + "\n" for m in rows if m["subject"] == s)
        task_file(folder, f"mmlu_rows_{s}", "mmlu/default/_default_template_yaml", {"test": f"{s}_test.jsonl", "dev": f"{s}_dev.jsonl"},
                  f'description: "The following are multiple choice questions (with answers) about {s.replace("_", " ")}.\\n\\n"\n')


def evaluate(model, folder, tasks, shots):
    r = lm_eval.simple_evaluate(model=model, tasks=tasks, num_fewshot=shots, log_samples=True, bootstrap_iters=0,
                                task_manager=TaskManager(include_path=folder))
    out = {}
    for name in tasks:
        got = r["results"][name]
        samples = sorted(r["samples"][name], key=lambda s: s["doc_id"])
        acc = [s["acc"] for s in samples]
        mean = sum(acc) / len(acc)
        error = (sum((a - mean) ** 2 for a in acc) / (len(acc) - 1) / len(acc)) ** 0.5
        out[name] = {"loglik": [[float(x[0]) for x in s["filtered_resps"]] for s in samples], "acc": float(got["acc,none"]), "acc_stderr": float(error),
                     "prompt_hash": [s["prompt_hash"] for s in samples]}
        if "acc_norm,none" in got:
            out[name]["acc_norm"] = float(got["acc_norm,none"])
    return out


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)
    r = random.Random(11)
    tqa, arc_rows, swag, mmlu_rows, mmlu_dev = truthfulqa(r), arc(r), hellaswag(r), mmlu(r, N // 2), mmlu(r, 3)
    for name, rows in (("truthfulqa", tqa), ("arc", arc_rows), ("hellaswag", swag), ("mmlu", mmlu_rows), ("mmlu_dev", mmlu_dev)):
        write_lines(name + ".jsonl", rows)
    write_authors(tqa, arc_rows, mmlu_rows)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(swag), os.path.join(OUT, "hellaswag.parquet"), compression="snappy")
    model = HFLM(pretrained=make_model([json.dumps(x, ensure_ascii=False) for x in tqa + arc_rows + swag]), dtype="float32", device="cpu", batch_size=1)
    with tempfile.TemporaryDirectory() as folder:
        make_tasks(folder, mmlu_rows, mmlu_dev)
        got = evaluate(model, folder, ["truthfulqa_mc1_rows", "truthfulqa_mc2_rows", "arc_rows", "hellaswag_rows"], 0)
        subjects = [f"mmlu_rows_{s}" for s in SUBJECTS]
        for shots in (0, SHOTS):
            parts = evaluate(model, folder, subjects, shots)
            got["mmlu" if shots == 0 else "mmlu_shots"] = {k: sum((parts[s][k] for s in subjects), []) for k in ("loglik", "prompt_hash")} | {
                "acc": sum(parts[s]["acc"] for s in subjects) / len(subjects)}
    with open(os.path.join(OUT, "expected.json"), "w", encoding="utf-8") as f:
        json.dump({k.removesuffix("_rows"): v for k, v in got.items()}, f, indent=0, sort_keys=True)
    with open(os.path.join(OUT, "versions.json"), "w", encoding="utf-8") as f:
        json.dump({p: importlib.metadata.version(p) for p in ("lm-eval", "torch", "transformers", "tokenizers", "datasets", "pyarrow")}, f, indent=1)


if __name__ == "__main__":
    main()
