/* cpu_attention_token: ATTENTION of one token. Called by cpu_attention. */
#ifndef YA_BACKEND_CPU_CPU_ATTENTION_TOKEN_H
#define YA_BACKEND_CPU_CPU_ATTENTION_TOKEN_H

#include "backend/cpu/attention/cpu_attention.h"

/* True for a call with one query in one segment, on kernels that can multiply stored rows with a vector. */
bool cpu_attention_token_fits(const struct op_call *call, const struct cpu_kernels *kernels);
/* The call as cpu_attention gets it: q (1, H, D), k and v (S, G, D); o (1, H, D), lse (1, H). E_MEMORY. */
enum status cpu_attention_token(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels);

#endif
