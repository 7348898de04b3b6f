/* cpu_adapter: what backward of a linear layer computes for its LoRA adapters (Hu et al. 2021), in one pass over dy and x.
 * An adapter adds s (x A^T) B^T to the layer's result; with h = x A^T from forward, and u = s dy B:
 *
 *   u (N, R)      dA (R, K) (+)= u^T x      dB (M, R) (+)= s dy^T h
 *
 * The caller uses u for the adapter's part of dx = u A. All f32; operands are rounded to bf16 where the layer's products are
 * (cpu_adapter_bf16_run). */
#ifndef YA_BACKEND_CPU_CPU_ADAPTER_H
#define YA_BACKEND_CPU_CPU_ADAPTER_H

#include "array/array.h"
#include "backend/cpu/cpu_kernels.h"

/* One adapter. Strides in elements; rows of unit stride. */
struct cpu_adapter {
    int64_t m, k, r;
    const float *dy; /* (N, M) */
    int64_t ldy;
    const uint32_t *dy_rounded; /* the same in bf16, dy_rs steps of two from row to row, for cpu_adapter_bf16_run */
    int64_t dy_rs;
    const void *x; /* (N, K) f32, with its dropout; adapters may share it. Not read without da */
    int64_t ldx;
    bool x_is_rounded; /* x is in bf16, for cpu_adapter_bf16_run */
    const float *h;    /* (N, R); not read without db */
    int64_t ldh;
    const float *b; /* (M, R) */
    int64_t ldb;
    float scale;
    float *u;       /* (N, R), dense: overwritten */
    float *da, *db; /* (R, K), (M, R), or NULL */
    int64_t ld_da, ld_db;
};

enum { CPU_ADAPTERS_MAX = 3 };

/* Computes all of them over the same n tokens, on the ctx's threads. accumulate: dA and dB are added to, else overwritten;
 * u is always overwritten. At most CPU_ADAPTERS_MAX adapters. Scratch comes from the step pool, at most 16 times the size
 * of dA and dB, and is given back on return. The same bits with any number of threads. E_MEMORY (results are then
 * undefined). */
enum status cpu_adapter_run(struct ctx *c, const struct cpu_kernels *kernels, int64_t n, const struct cpu_adapter *adapters,
                            int n_adapters, bool accumulate);
/* The same with dy, x, B, h and u rounded to bf16 and sums in f32 as gemm_bf16.h has them; dy is read as dy_rounded. */
enum status cpu_adapter_bf16_run(struct ctx *c, const struct cpu_kernels *kernels, int64_t n,
                                 const struct cpu_adapter *adapters, int n_adapters, bool accumulate);

#endif
