#!/usr/bin/env python3
"""What gpu_step or gpu_peer.py printed, short for people and whole for records: gpu_line.py WHAT FILE <JSON lines.

Appends each line with the words WHAT to FILE, and prints tokens/s, the spread of the steps that the median is of, peak memory, loss and
gradient norm of the first step, and the time of each primitive where there is one."""
import json
import sys


def main():
    what, path = sys.argv[1:]
    for text in sys.stdin:
        d = {"what": what, **json.loads(text)}
        with open(path, "a") as f:
            f.write(json.dumps(d) + "\n")
        steady = d.get("seconds", [])[3:]
        words = [f"{d.get('tokens_per_second', 0):,.1f} tokens/s"]
        if steady:
            words.append(f"spread {(max(steady) - min(steady)) / min(steady):.1%} of {len(steady)}")
        if "peak_gib" in d:
            words.append(f"{d['peak_gib']:.1f} GiB")
        if "losses" in d:
            words.append(f"loss {d['losses'][0]:.6f}, norm {d['grad_norms'][0]:.6f}")
        if "gigabytes_per_second" in d:
            words.append(f"{d['gigabytes_per_second']:,.0f} GB/s of weights")
        print(f"{what}: {', '.join(words)}", flush=True)
        if "milliseconds" in d:
            print("   ", {k: v[0] for k, v in d["milliseconds"].items()}, flush=True)


if __name__ == "__main__":
    main()
