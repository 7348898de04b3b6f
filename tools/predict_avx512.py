#!/usr/bin/env python3
"""Predicts the cycles of the AVX-512 tiles' inner loops with llvm-mca, for machines without AVX-512.

    tools/predict_avx512.py [COMPILER]     (default: gcc; needs llvm-mca)

Takes from the compiler's assembly the loop over k of each 14-row tile (for adjacent elements of A where the compiler made
two) and prints cycles a step beside the floor of two multiply-adds a cycle. llvm-mca knows the ports and latencies of a
core; everything is in its L1 and every branch is taken as guessed: an upper bound of speed, not a measurement."""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ["-std=gnu11", "-O3", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma", "-mf16c", "-fno-math-errno",
         "-ffp-contract=off", "-D_GNU_SOURCE", "-g0", "-S", "-I", str(ROOT / "src")]
ITERATIONS = 1000
# function, source, what multiplies, processors whose model knows it
TILES = [
    ("wide_14", "gemm_avx512.c", "vfmadd", ["skylake-avx512", "icelake-server"]),
    ("narrow_14", "gemm_avx512.c", "vfmadd", ["skylake-avx512", "icelake-server"]),
    ("madd_14", "gemm_int_avx512.c", "vpmaddwd", ["skylake-avx512", "icelake-server"]),
    ("dot_16_14", "gemm_int_avx512.c", "vpdpwssd", ["icelake-server"]),
    ("dot_8_14", "gemm_int_avx512.c", "vpdpbusd", ["icelake-server"]),
]


def assembly(compiler, source):
    with tempfile.NamedTemporaryFile(suffix=".s") as out:
        subprocess.run([compiler, *FLAGS, str(ROOT / "src/backend/cpu" / source), "-o", out.name], check=True)
        return Path(out.name).read_text().splitlines()


def loops(lines, function):
    """The innermost loops of a function: from a label to a jump back to it, with nothing else that jumps between."""
    start = next(i for i, line in enumerate(lines) if line.startswith(function + ":"))
    end = next(i for i in range(start, len(lines)) if lines[i].strip().startswith(".size"))
    label = None
    for i in range(start, end):
        text = lines[i].split("#")[0].rstrip()
        named = re.match(r"(\.L\w+):", text)
        if named:
            label, first = named.group(1), i + 1
            continue
        jump = re.match(r"\s+j\w+\s+(\.L\w+)", text)
        if jump and label == jump.group(1):
            yield [line for line in lines[first:i + 1] if not line.strip().startswith((".", "#"))]
        if jump:
            label = None


def cycles(body, processor):
    text = "head:\n" + "\n".join(re.sub(r"(j\w+\s+)\.L\w+", r"\1head", line.split("#")[0]) for line in body) + "\n"
    out = subprocess.run(["llvm-mca", "-mtriple=x86_64", f"-mcpu={processor}", f"-iterations={ITERATIONS}",
                          "-resource-pressure=0", "-instruction-info=0"], input=text, capture_output=True, text=True, check=True)
    return int(re.search(r"Total Cycles:\s+(\d+)", out.stdout).group(1)) / ITERATIONS


def main():
    compiler = sys.argv[1] if len(sys.argv) > 1 else "gcc"
    texts = {}
    print(f"{'loop':10} {'processor':15} multiply-adds  floor  cycles a step  of floor")
    for function, source, name, processors in TILES:
        if source not in texts:
            texts[source] = assembly(compiler, source)
        lines = texts[source]
        found = [body for body in loops(lines, function) if any(name in line for line in body)]
        if not found:
            sys.exit(f"error: no loop with {name} in {function}")
        body = min(found, key=len)
        if any("zmm" in line and re.search(r"\(%rsp", line) for line in body):
            print(f"{function}: a register is spilled inside the loop")
        count = sum(name in line for line in body)
        for processor in processors:
            c = cycles(body, processor)
            print(f"{function:10} {processor:15} {count:13d} {count / 2:6.1f} {c:14.2f} {count / 2 / c:8.1%}")


if __name__ == "__main__":
    main()
