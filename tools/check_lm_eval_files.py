#!/usr/bin/env python3
"""Holds the files of `your_ai validate -o` against those that lm-evaluation-harness itself writes for the same tiny model and rows
(tests/data/lm_eval): the same members, of the same types, with the same values, in results_*.json (results, groups, group_subtasks,
configs, versions, n-shot, higher_is_better, n-samples, config) and in each line of samples_*.jsonl. Then the harness's own functions
read our files: its search for the newest results and samples of a model, and its table.

What may be missing or null is listed below, with the reason; anything else is a failure.

Needs: lm-eval and what tools/golden_lm_eval.py needs. Run: tools/check_lm_eval_files.py build/your_ai
"""
import glob
import json
import os
import subprocess
import sys
import tempfile

import golden_lm_eval as golden
import lm_eval
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager
from lm_eval.utils import get_latest_filename, get_results_filenames, get_sample_results_filenames, make_table

# Members of results_*.json that describe the harness's own process, and have nothing behind them here.
NOT_OURS = {"pretty_env_info", "upper_git_hash", "tokenizer_pad_token", "tokenizer_eos_token", "tokenizer_bos_token", "eot_token_id",
            "max_length", "system_instruction_sha", "chat_template_sha", "total_evaluation_time_seconds"}
# How the harness finds rows and builds texts: the program has this in C.
NOT_IN_CONFIG = {"dataset_path", "dataset_name", "dataset_kwargs", "test_split", "validation_split", "training_split", "fewshot_split",
                 "doc_to_text", "doc_to_target", "doc_to_choice", "process_docs", "process_results", "unsafe_code", "description", "fewshot_config",
                 "should_decontaminate", "doc_to_decontamination_query", "tag", "metadata", "metric_list"}
NOT_IN_MODEL = {"model_num_parameters", "model_dtype", "model_revision", "model_sha"}
BENCHMARKS = {"truthfulqa": ["truthfulqa_mc1", "truthfulqa_mc2"], "arc": ["arc"], "hellaswag": ["hellaswag"], "mmlu": None}
faults = []


def expect(ok, text):
    if not ok:
        faults.append(text)


def harness(folder, out):
    """The harness on the same rows, with tasks of our names."""
    rows = {n: [json.loads(x) for x in open(os.path.join(golden.OUT, n + ".jsonl"), encoding="utf-8")] for n in ("mmlu", "mmlu_dev")}
    golden.make_tasks(folder, rows["mmlu"], rows["mmlu_dev"])
    for path in glob.glob(os.path.join(folder, "*_rows*.yaml")):
        text = open(path, encoding="utf-8").read()
        name = os.path.basename(path)[:-5].replace("_rows", "")
        text = text.replace(f"task: {os.path.basename(path)[:-5]}\n", f"task: {name}\n")
        os.remove(path)
        open(os.path.join(folder, name + ".yaml"), "w", encoding="utf-8").write(text)
    subjects = [f"mmlu_{s}" for s in golden.SUBJECTS]
    with open(os.path.join(folder, "mmlu.yaml"), "w", encoding="utf-8") as f:
        f.write("group: mmlu\ntask:\n" + "".join(f"  - {s}\n" for s in subjects) +
                "aggregate_metric_list:\n  - metric: acc\n    weight_by_size: true\nmetadata:\n  version: 2\n")
    model = golden.HFLM(pretrained=os.path.join(golden.OUT, "model"), dtype="float32", device="cpu", batch_size=1)
    manager = TaskManager(include_path=folder, include_defaults=False)
    for tasks in (["truthfulqa_mc1", "truthfulqa_mc2"], ["arc"], ["hellaswag"], ["mmlu"]):
        tracker = EvaluationTracker(output_path=os.path.join(out, tasks[0]))
        got = lm_eval.simple_evaluate(model, tasks=tasks, task_manager=manager, log_samples=True, bootstrap_iters=100000)
        samples = got.pop("samples")
        tracker.save_results_aggregated(results=got, samples=samples)
        for task in samples:
            tracker.save_results_samples(task_name=task, samples=samples[task])


def only(pattern):
    found = glob.glob(pattern, recursive=True)
    if len(found) != 1:
        sys.exit(f"{len(found)} files {pattern}")
    return found[0]


def same(where, ours, theirs, rel=1e-6):
    """Numbers within rounding of f32 products; everything else as it is."""
    if isinstance(theirs, (int, float)) and not isinstance(theirs, bool) and isinstance(ours, (int, float)):
        expect(abs(ours - theirs) <= rel * max(1, abs(theirs)), f"{where}: {ours}, not {theirs}")
    else:
        expect(ours == theirs, f"{where}: {ours!r}, not {theirs!r}")


def compare_results(name, ours, theirs):
    for key in theirs:
        expect(key in ours or key in NOT_OURS, f"{name}: lacks {key}")
    for key in ours:
        expect(key in theirs, f"{name}: {key} is no member of the harness's")
    for part in ("results", "groups", "versions", "n-shot", "higher_is_better", "n-samples", "configs", "group_subtasks"):
        left, right = ours.get(part, {}), theirs.get(part, {})
        tasks = set(right) - ({"mmlu"} if part in ("versions", "n-shot", "higher_is_better") else set())  # of the group they say nothing new
        expect(set(left) == tasks, f"{name}: {part} of {sorted(left)}, not {sorted(tasks)}")
        for task in set(left) & tasks:
            if not isinstance(right[task], dict):
                same(f"{name} {part} {task}", left[task], right[task])
                continue
            for key, value in right[task].items():
                if part == "configs" and key in NOT_IN_CONFIG:
                    continue
                if key == "alias" or (key.endswith("_stderr,none") and value == "N/A"):
                    continue
                expect(key in left[task], f"{name}: {part} {task} lacks {key}")
                # errors of mc2 are bootstrapped in the harness, exact here
                same(f"{name} {part} {task} {key}", left[task].get(key), value, 0.02 if "stderr" in key else 1e-4)
    for key in theirs["config"]:
        expect(key in ours["config"] or key in NOT_IN_MODEL, f"{name}: config lacks {key}")


def compare_samples(name, ours, theirs):
    """A line each; the log-likelihood of a continuation within 1e-4 relative, is_greedy unknown here."""
    theirs = sorted(theirs, key=lambda x: x["doc_id"])
    expect(len(ours) == len(theirs), f"{name}: {len(ours)} lines, not {len(theirs)}")
    for a, b in zip(ours, theirs):
        expect(list(a) == list(b), f"{name} {a['doc_id']}: members {list(a)}, not {list(b)}")
        for key in ("doc_id", "arguments", "filter", "metrics", "prompt_hash", "target", "target_hash"):
            if name.startswith("truthfulqa_mc2") and key.startswith("target"):
                continue  # a list of labels there; there is no one target
            same(f"{name} {a['doc_id']} {key}", a[key], b[key])
        for x, y in zip(a["filtered_resps"], b["filtered_resps"]):
            same(f"{name} {a['doc_id']} response", float(x[0]), float(y[0]), 1e-4)
            expect(x[1] is None and type(x[0]) is type(y[0]), f"{name}: a response {x} for {y}")
        for key in ("acc", "acc_norm"):
            same(f"{name} {a['doc_id']} {key}", a.get(key), b.get(key), 1e-4)


def read_lines(path):
    return [json.loads(x) for x in open(path, encoding="utf-8")]


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as work:
        theirs, ours, tasks = (os.path.join(work, x) for x in ("theirs", "ours", "tasks"))
        os.mkdir(tasks)
        harness(tasks, theirs)
        for benchmark, names in BENCHMARKS.items():
            out = os.path.join(ours, benchmark)
            subprocess.run([program, "validate", "-m", os.path.join(golden.OUT, "model"), "--benchmark", benchmark, "-d",
                            os.path.join(golden.OUT, benchmark + ".jsonl"), "--compute", "f32", "-o", out], check=True, stdout=subprocess.DEVNULL)
            names = names or [f"mmlu_{s}" for s in golden.SUBJECTS]
            first = "mmlu" if benchmark == "mmlu" else names[0]
            mine, other = only(f"{out}/*/results_*.json"), only(f"{theirs}/{first}/**/results_*.json")
            compare_results(benchmark, json.load(open(mine, encoding="utf-8")), json.load(open(other, encoding="utf-8")))
            for n in names:
                compare_samples(n, read_lines(only(f"{out}/*/samples_{n}_*.jsonl")), read_lines(only(f"{theirs}/{first}/**/samples_{n}_*.jsonl")))
            # the harness's own readers
            files = glob.glob(f"{out}/*/*")
            expect(get_latest_filename(get_results_filenames(files)) == mine, f"{benchmark}: results are not found")
            expect(len(get_sample_results_filenames(files)) == len(names), f"{benchmark}: samples are not found")
            table = make_table(json.load(open(mine, encoding="utf-8")))
            expect(all(n in table for n in names), f"{benchmark}: the table lacks a task:\n{table}")
    print("\n".join(faults[:40]) if faults else "lm-eval files: members, values, readers and table agree")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
