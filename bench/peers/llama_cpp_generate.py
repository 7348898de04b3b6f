#!/usr/bin/env python3
"""The peer of `your_ai bench-kernels --only generate`: greedy generation with llama-cpp-python on the same GGUF.

  llama_cpp_generate.py MODEL.gguf PROMPT.txt [--new 128] [--runs 2] [--threads 2]

Prints one JSON line: tokens/s and processor seconds a token of the prompt's pass and of decoding, each of the fastest run, and
the ids. The prompt's pass ends with the first new token, as on our side; stop tokens do not stop it.
"""
import argparse
import json
import time

import llama_cpp


def one_run(model, tokens, new):
    """Seconds and processor seconds of the prompt's pass and of the tokens after the first; the ids."""
    model.reset()
    marks, ids = [(time.perf_counter(), time.process_time())], []
    for token in model.generate(tokens, top_k=1, temp=0.0, repeat_penalty=1.0, reset=True):
        ids.append(token)
        if len(ids) in (1, new):
            marks.append((time.perf_counter(), time.process_time()))
        if len(ids) == new:
            break
    return [(b[0] - a[0], b[1] - a[1]) for a, b in zip(marks, marks[1:])], ids


def phase(tokens, runs):
    seconds, cpu = min(runs)
    return {"tokens": tokens, "seconds": seconds, "cpu_seconds": cpu, "tokens_per_second": tokens / seconds,
            "cpu_seconds_per_token": cpu / tokens}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("prompt")
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    model = llama_cpp.Llama(options.model, n_ctx=1024, n_threads=options.threads, n_threads_batch=options.threads, verbose=False)
    with open(options.prompt, "rb") as file:
        tokens = model.tokenize(file.read(), add_bos=False, special=False)
    runs, ids = [], []
    for _ in range(options.runs):
        times, ids = one_run(model, tokens, options.new)
        runs.append(times)
    print(json.dumps({
        "peer": "llama.cpp",
        "version": "llama-cpp-python " + llama_cpp.__version__,
        "build": llama_cpp.llama_print_system_info().decode(),
        "threads": options.threads,
        "prompt": phase(len(tokens), [r[0] for r in runs]),
        "decode": phase(options.new - 1, [r[1] for r in runs]),
        "prompt_ids": tokens,
        "ids": ids,
    }))


if __name__ == "__main__":
    main()
