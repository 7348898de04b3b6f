#!/usr/bin/env python3
"""Writes tests/data/backend/ref_golden.txt: inputs and expected outputs of the fused rows, from PyTorch in float64.

Forward values come from plain tensor formulas, gradients from torch.autograd: nothing of the project is used. Inputs are
rounded to float32 first, so the same file serves the f32 and the f64 kernels exactly.

Format, one tensor a line:  <case> <name> <dims,comma separated or -> <values>
"""
import math
import sys

import torch

torch.manual_seed(20240611)
F64 = torch.float64
out = []


def real(*shape, scale=1.0):
    return (torch.randn(*shape, dtype=F64) * scale).float().double()


def emit(case, **tensors):
    for name, t in tensors.items():
        t = torch.as_tensor(t)
        dims = ",".join(str(d) for d in t.shape) or "-"
        values = t.detach().reshape(-1).tolist()
        out.append(f"{case} {name} {dims} " + " ".join(repr(float(v)) if t.is_floating_point() else str(int(v)) for v in values))


def grads(y, cotangents, inputs):
    total = sum((a * b).sum() for a, b in zip(y, cotangents))
    return torch.autograd.grad(total, inputs)


def leaf(t):
    return t.clone().requires_grad_()


# ---- generic rows ---------------------------------------------------------------------------------------------------------
a, b = real(3, 5), real(3, 5)
emit("binary", a=a, b=b, add=a + b, sub=a - b, mul=a * b, div=a / b, maximum=torch.maximum(a, b))
x = real(4, 3)
emit("unary", x=x, neg=-x, exp=x.exp(), sigmoid=x.sigmoid(), log=x.abs().log(), sqrt=x.abs().sqrt(), abs=x.abs())
x = real(2, 3, 4)
emit("reduce", x=x, sum02=x.sum((0, 2)), sum1=x.sum(1), sum=x.sum(), max02=x.amax((0, 2)), softmax1=x.softmax(1),
     softmax2=x.softmax(2), logsumexp0=x.logsumexp(0), logsumexp2=x.logsumexp(2), squares=(x * x).sum())
a, b = real(2, 3, 5), real(2, 5, 4)
emit("matmul", a=a, b=b, y=a @ b)

# ---- RMSNorm --------------------------------------------------------------------------------------------------------------
x, r, g, eps = leaf(real(4, 6)), leaf(real(4, 6)), leaf(real(6)), 1e-5
s = x + r
rstd = (s.pow(2).mean(-1, keepdim=True) + eps).rsqrt()
y = s * rstd * g
dy, dsum = real(4, 6), real(4, 6)
dx, dg = grads((y, s), (dy, dsum), (x, g))
emit("rms_norm", x=x, residual=r, g=g, eps=torch.tensor(eps, dtype=F64), y=y, sum=s, rstd=rstd.squeeze(-1), dy=dy, dsum=dsum,
     dx=dx, dg=dg)

# ---- SwiGLU ---------------------------------------------------------------------------------------------------------------
gate, up, dy = leaf(real(3, 5, scale=3)), leaf(real(3, 5)), real(3, 5)
y = torch.nn.functional.silu(gate) * up
dgate, dup = grads((y,), (dy,), (gate, up))
emit("swiglu", gate=gate, up=up, y=y, dy=dy, dgate=dgate, dup=dup)

# ---- RoPE: complex rotation, an independent form of the half-split pairing ------------------------------------------------
x, positions, scale = real(4, 2, 6), torch.tensor([0, 1, 7, 4095], dtype=torch.int32), 1.25
inv_freq = (10000.0 ** (-torch.arange(0, 6, 2, dtype=F64) / 6)).float().double()
turn = torch.polar(torch.full((4, 3), scale, dtype=F64), positions.double()[:, None] * inv_freq)
z = torch.complex(x[..., :3], x[..., 3:]) * turn[:, None]
zi = torch.complex(x[..., :3], x[..., 3:]) * turn.conj()[:, None]
emit("rope", x=x, positions=positions, inv_freq=inv_freq, scale=torch.tensor(scale, dtype=F64),
     y=torch.cat((z.real, z.imag), -1), inverse=torch.cat((zi.real, zi.imag), -1))


# ---- linear: three weights, two with adapters, one bias -------------------------------------------------------------------
N, K, M, R = 5, 8, (4, 3, 6), (2, 0, 3)
scale = (0.5, 0.0, 2.0)
x = leaf(real(N, K))
w = [real(m, K) for m in M]
bias = real(M[1])
A = [leaf(real(r, K)) for r in R]
B = [leaf(real(m, r)) for m, r in zip(M, R)]
h = [x @ A[i].T for i in range(3)]
y = torch.cat([x @ w[i].T + (bias if i == 1 else 0) + scale[i] * h[i] @ B[i].T for i in range(3)], 1)
dy = real(N, sum(M))
dx, dA0, dB0, dA2, dB2 = grads((y,), (dy,), (x, A[0], B[0], A[2], B[2]))
emit("linear", x=x, w0=w[0], w1=w[1], w2=w[2], bias1=bias, a0=A[0], b0=B[0], a2=A[2], b2=B[2], y=y, h0=h[0], h2=h[2], dy=dy,
     dx=dx, da0=dA0, db0=dB0, da2=dA2, db2=dB2)


# ---- attention: dense masks built from the definition ---------------------------------------------------------------------
def attention_case(name, H, G, D, Dscale, cu_q, cu_k, window, S=None):
    N, S = cu_q[-1], S or cu_k[-1]
    q, k, v = leaf(real(N, H, D)), leaf(real(S, G, D)), leaf(real(S, G, D))
    mask = torch.zeros(N, S, dtype=torch.bool)
    for s in range(len(cu_q) - 1):
        nq, nk = cu_q[s + 1] - cu_q[s], cu_k[s + 1] - cu_k[s]
        for i in range(nq):
            for j in range(nk):
                mask[cu_q[s] + i, cu_k[s] + j] = j <= i + nk - nq and (window == 0 or j > i + nk - nq - window)
    kk, vv = k.repeat_interleave(H // G, 1), v.repeat_interleave(H // G, 1)
    scores = Dscale * torch.einsum("nhd,shd->nhs", q, kk)
    scores = scores.masked_fill(~mask[:, None], -math.inf)
    lse = scores.logsumexp(-1)
    o = torch.einsum("nhs,shd->nhd", (scores - lse[..., None]).exp(), vv)
    do = real(N, H, D)
    dq, dk, dv = grads((o,), (do,), (q, k, v))
    emit(name, q=q, k=k, v=v, cu_q=torch.tensor(cu_q, dtype=torch.int32), cu_k=torch.tensor(cu_k, dtype=torch.int32),
         window=torch.tensor(window), scale=torch.tensor(Dscale, dtype=F64), o=o, lse=lse, do=do, dq=dq, dk=dk, dv=dv)


attention_case("attention_packed", 4, 2, 6, 0.4, [0, 5, 5, 6, 18], [0, 5, 5, 6, 18], 0)
attention_case("attention_window", 2, 1, 4, 0.5, [0, 9, 12], [0, 9, 12], 3)
attention_case("attention_cached", 3, 3, 2, 0.7, [0, 2, 3], [0, 6, 11], 0, S=13)


# ---- loss -----------------------------------------------------------------------------------------------------------------
h, w = leaf(real(11, 4)), real(7, 4)
targets = torch.tensor([0, 6, 3, 2, 1, 5, 4, 0, 2, 6, 6], dtype=torch.int32)
weights = torch.tensor([1, 0, 2.5, 0.25, 1, 0, 0, 1, 3, 0.5, 1], dtype=F64)
logp = (h @ w.T).log_softmax(-1)
token = logp.gather(1, targets.long()[:, None]).squeeze(1)
loss = -(weights * token).sum()
dh, = grads((loss,), (torch.tensor(1.0, dtype=F64),), (h,))
counted = weights != 0
emit("loss", h=h, w=w, targets=targets, weights=weights, loss=loss,
     stats=torch.stack((loss, -(token * counted).sum(), counted.sum().double())), logprobs=token * counted, dh=dh)

# ---- lookups --------------------------------------------------------------------------------------------------------------
table, ids = leaf(real(5, 3)), torch.tensor([4, 0, 4, 2], dtype=torch.int32)
dy = real(4, 3)
dtable, = grads((table[ids.long()],), (dy,), (table,))
emit("take", table=table, ids=ids, y=table[ids.long()], dy=dy, dtable=dtable)
a, ids = leaf(real(4, 5)), torch.tensor([4, 0, 3, 1], dtype=torch.int32)
dy = real(4)
y = a.gather(1, ids.long()[:, None]).squeeze(1)
da, = grads((y,), (dy,), (a,))
emit("take_along", a=a, ids=ids, y=y, dy=dy, da=da)

# ---- AdamW: torch.optim, three steps --------------------------------------------------------------------------------------
p = leaf(real(3, 4))
start = p.detach().clone()
optim = torch.optim.AdamW([p], lr=0.01, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
gs = [real(3, 4) for _ in range(3)]
for g in gs:
    p.grad = g * 0.5
    optim.step()
state = optim.state[p]
emit("adamw", p=start, g0=gs[0], g1=gs[1], g2=gs[2], result=p, m=state["exp_avg"], v=state["exp_avg_sq"])

path = sys.argv[1] if len(sys.argv) > 1 else "tests/data/backend/ref_golden.txt"
with open(path, "w") as f:
    f.write("\n".join(out) + "\n")
