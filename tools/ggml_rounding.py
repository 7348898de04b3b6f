"""A third computation beside ours and llama.cpp's: the weights of a GGUF file, dequantised by the package gguf, in PyTorch, f32.

ggml multiplies block types not with the activations but with what is left of them in blocks of 8 bits: 32 of them with one scale for
Q8_0, Q4_0, Q5_0, Q4_1 and Q5_1 (its q8_0 and q8_1), 256 for K-quants (q8_K); F16 and BF16 round them to these types. With
`rounds` true the input of every linear layer is rounded so first, which is llama.cpp's arithmetic; without, the products are what the
file's weights give.

    model = GgmlRounding("model-Q4_K_M.gguf")
    model.logits(ids), model.logits(ids, rounds=True)       numpy, f32, after the last token

Needs torch, transformers, gguf.
"""
import os

import gguf
import torch
from transformers import AutoModelForCausalLM

PLACES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
          "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}


def round_q8(x, block, half_scale):
    """x in blocks of 8-bit integers times a scale, which is rounded to f16 in blocks of 32. The scale takes the largest magnitude to
    127; in q8_K the element of that magnitude to -127."""
    blocks = x.reshape(-1, block)
    scale = blocks.abs().amax(dim=1, keepdim=True) / 127
    whole = torch.where(scale > 0, torch.round(blocks / scale), torch.zeros_like(blocks))
    return (whole * (scale.half().float() if half_scale else scale)).reshape(x.shape)


def round_activations(x, kind):
    if kind == "F32":
        return x
    if kind in ("F16", "BF16"):
        return x.to(torch.float16 if kind == "F16" else torch.bfloat16).float()
    return round_q8(x, 256, False) if kind.endswith("_K") else round_q8(x, 32, True)


class GgmlRounding:
    def __init__(self, path):
        kinds = {t.name: t.tensor_type.name for t in gguf.GGUFReader(path).tensors}
        kinds.setdefault("output.weight", kinds["token_embd.weight"])
        folder, name = os.path.split(path)
        self.model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()
        self.rounds, self.known = False, {}
        for layer, block in enumerate(self.model.model.layers):
            for place, stem in PLACES.items():
                self.hook(block.get_submodule(place), kinds[f"blk.{layer}.{stem}.weight"])
        self.hook(self.model.lm_head, kinds["output.weight"])

    def hook(self, module, kind):
        module.register_forward_pre_hook(lambda _, args: (round_activations(args[0], kind), *args[1:]) if self.rounds else None)

    def logits(self, ids, rounds=False):
        key = (tuple(ids), rounds)
        if key not in self.known:
            self.rounds = rounds
            with torch.no_grad():
                self.known[key] = self.model(input_ids=torch.tensor([ids])).logits[0, -1].numpy()
        return self.known[key]

    def moved(self, ids):
        """The most that rounding changes the difference of two logits by: which of two is larger it can decide within that."""
        change = self.logits(ids, rounds=True) - self.logits(ids)
        return float(change.max() - change.min())
