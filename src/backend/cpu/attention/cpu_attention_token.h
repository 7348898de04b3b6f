/* cpu_attention_token: ATTENTION of one token. Called by cpu_attention. */
#ifndef YA_BACKEND_CPU_CPU_ATTENTION_TOKEN_H
#define YA_BACKEND_CPU_CPU_ATTENTION_TOKEN_H

#include "backend/cpu/attention/cpu_attention.h"

/* One query in one segment, and kernels that multiply stored rows. */
bool cpu_attention_token_fits(const struct op_call *call, const struct cpu_kernels *kernels);
enum status cpu_attention_token(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels);

#endif
