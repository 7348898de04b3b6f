/* cpu_scratch: memory of one kernel call, from the step pool: taken before work fans out, given back by scope_close of the
 * mark that the kernel opened. The pool keeps it, so the second step allocates nothing. */
#ifndef YA_BACKEND_CPU_CPU_SCRATCH_H
#define YA_BACKEND_CPU_CPU_SCRATCH_H

#include "array/array.h"

/* n elements, 64-byte aligned, contents undefined, owned by the innermost scope. NULL with E_MEMORY. */
static inline void *cpu_scratch(struct ctx *c, enum dtype dtype, int64_t n)
{
    if (n < 1) n = 1;
    struct array *a = array_empty(c, dtype, 1, &n);
    return a ? a->data : NULL;
}

/* The same in f32. */
static inline float *cpu_scratch_f32(struct ctx *c, int64_t n)
{
    return cpu_scratch(c, DTYPE_F32, n);
}

/* a / b rounded up, for a >= 0, b > 0: how many blocks of b hold a. */
static inline int64_t cpu_div_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* The least multiple of b that is not below a. */
static inline int64_t cpu_round_up(int64_t a, int64_t b)
{
    return cpu_div_up(a, b) * b;
}

/* The smaller of two sizes. */
static inline int64_t cpu_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The larger one. */
static inline int64_t cpu_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Rows of an array of any strides: the last axis is a row of unit stride, all others count them, row-major. */
static inline int64_t cpu_row_length(const struct array *a)
{
    return a->ndim > 0 ? a->shape[a->ndim - 1] : 1;
}

/* Start of row number `row`, where rows are counted row-major over all axes but the last. Example: in an (N, H, D) array,
 * row n * H + h is head h of token n. */
static inline float *cpu_row_at(const struct array *a, int64_t row)
{
    int64_t at = 0;
    for (int d = a->ndim - 2; d > 0; d--) {
        at += row % a->shape[d] * a->stride[d];
        row /= a->shape[d];
    }
    return (float *)a->data + at + (a->ndim > 1 ? row * a->stride[0] : 0);
}

#endif
