#!/usr/bin/env python3
"""How far gradients are from a reference: compare_gradients.py ADAPTER_DIR REFERENCE FILE...

The files hold f32 values in the order of the adapter's parameters, as gpu_step and gpu_peer.py write them; ADAPTER_DIR gives the
shapes. Prints for each file the norm of the difference over the reference's norm, 1 - cosine of the whole, the largest of both
over the tensors, and for all files but the first how many tensors have more than 1.25 times the first file's.
"""
import json
import struct
import sys

import numpy


def sizes(adapter):
    with open(adapter + "/adapter_model.safetensors", "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
    tensors = [(v["data_offsets"][0], v["shape"]) for k, v in header.items() if k != "__metadata__"]
    return [shape[0] * shape[1] for _, shape in sorted(tensors)]


def compare(x, reference):
    error = numpy.linalg.norm(x - reference) / numpy.linalg.norm(reference)
    cosine = x @ reference / (numpy.linalg.norm(x) * numpy.linalg.norm(reference))
    return error, 1 - cosine


def main():
    cuts = numpy.cumsum(sizes(sys.argv[1]))[:-1]
    reference = numpy.fromfile(sys.argv[2], dtype=numpy.float32).astype(numpy.float64)
    baseline = None
    for name in sys.argv[3:]:
        x = numpy.fromfile(name, dtype=numpy.float32).astype(numpy.float64)
        whole = compare(x, reference)
        parts = [compare(a, b) for a, b in zip(numpy.split(x, cuts), numpy.split(reference, cuts))]
        text = (f"{name.split('/')[-1]:24s} error {whole[0]:.3e}, 1 - cosine {whole[1]:.3e}; worst tensor error "
                f"{max(p[0] for p in parts):.3e}, 1 - cosine {max(p[1] for p in parts):.3e}")
        if baseline:
            over = [sum(p[i] > 1.25 * b[i] for p, b in zip(parts, baseline)) for i in (0, 1)]
            text += f"; over 1.25 times the first file's: error {over[0]}, 1 - cosine {over[1]} of {len(parts)} tensors"
        print(text)
        baseline = baseline or parts


if __name__ == "__main__":
    main()
