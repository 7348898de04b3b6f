#!/usr/bin/env python3
"""Prints tests/data/array/mlx_affine.txt: what MLX makes of the numbers of gen_quant_encode.py in its own quantised form, for
tests/array/test_mlx_affine.c.

usage: tools/gen_mlx_affine.py >tests/data/array/mlx_affine.txt     needs: pip install mlx[cpu] gguf ggml-py (for the numbers)

Lines: BITS SET SHA256, the hash of words, scales and biases (bf16) one behind the other, of mx.quantize(bf16, group_size=64).
"""
import hashlib

import mlx.core as mx
import numpy as np

from gen_quant_encode import COUNT, SETS, numbers


def main():
    mx.set_default_device(mx.cpu)
    for which, name in enumerate(SETS):
        w = mx.array(numbers(which).reshape(COUNT // 256, 256)).astype(mx.bfloat16)
        for bits in 4, 8:
            digest = hashlib.sha256()
            words, scales, biases = mx.quantize(w, group_size=64, bits=bits)
            digest.update(np.array(words).tobytes())
            for part in scales, biases:
                digest.update((np.array(part.astype(mx.float32)).view(np.uint32) >> 16).astype(np.uint16).tobytes())
            print(bits, name, digest.hexdigest())


if __name__ == "__main__":
    main()
