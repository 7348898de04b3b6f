/* gemm_small: products for a few rows of C (generation). Called by gemm_run_all. */
#ifndef YA_BACKEND_CPU_GEMM_SMALL_H
#define YA_BACKEND_CPU_GEMM_SMALL_H

#include "backend/cpu/gemm/gemm.h"

enum { GEMM_SMALL_M = 4 };

/* True when every B is transposed and C has at most GEMM_SMALL_M rows. */
bool gemm_small_fits(const struct gemm *g);
/* n <= GEMM_MAX_LIST products that fit, in one parallel loop: a token's products are too short to wake threads for each.
 * Scratch comes from the step pool; E_MEMORY. */
enum status gemm_small_run(struct ctx *c, const struct cpu_kernels *kernels, const struct gemm *list, int n);

#endif
