/* cpu_kernels: the inner loops of one instruction set, as a table. Only what is worth writing once for each instruction
 * set is in it; the blocking, threading and meaning of the rows are in cpu_*.c and gemm*.c, which see only this table. A
 * new instruction set is one more file that fills it. mr and nr, the rows and columns of the micro-tile, may differ:
 * callers read them from the table.
 *
 * All loops take contiguous f32 unless said, allow n = 0, and never read or write past n. In and out may be the same
 * array. */
#ifndef YA_BACKEND_CPU_CPU_KERNELS_H
#define YA_BACKEND_CPU_CPU_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

#include "array/weight.h"

/* c[i][j] (+)= sum over k, in order, of a[i * rs + k * cs] * b[k * ldb + j] for i < rows <= mr and all j < nr. rs and cs
 * let A be rows of an array (cs 1), columns of one (rs 1) or a packed panel. Strides in elements. */
struct gemm_tile {
    int rows;
    int columns;     /* of nr that are wanted: a tile may leave the vectors behind them alone, or compute them all */
    bool accumulate; /* false: c is overwritten, its old contents are never read */
    int64_t k;
    const float *a;
    int64_t rs, cs;
    const float *b;
    int64_t ldb;
    float *c;
    int64_t ldc;
};

enum { CPU_MAX_MR = 16, CPU_MAX_NR = 64, CPU_DOT_ROWS = 4 };

/* A vector and the rows of a matrix to multiply it with; form and type as in weight.h, f32 memory is stored f32. */
struct cpu_dot {
    enum weight_form form;
    enum tensor_type type;
    int64_t k; /* a multiple of the block for block types */
    const float *x;
    const void *fixed;             /* x in fixed point, as `fix` of the table made it; NULL where fixed_bytes is 0 */
    const void *row[CPU_DOT_ROWS]; /* at any address */
    ptrdiff_t ahead;               /* bytes from a row to one that comes soon: where to prefetch (cpu_dot_prefetch) */
};

/* Prefetches what will be multiplied where `at` is now. Rows of a few hundred bytes are over before memory answers, so the
 * next rows are fetched and not the rest of this one: of four rows of Q6_K with 2048 columns, on a core that reads 22 GB/s,
 * 21 GB/s instead of 8. */
static inline __attribute__((always_inline)) void cpu_dot_prefetch(const struct cpu_dot *d, const void *at)
{
    __builtin_prefetch((const char *)at + d->ahead);
}

/* Calls the inlined tile_rows(T, rows) of a table of six rows with the count as a constant, so that each gets a loop of
 * its own. */
#define CPU_TILE_OF_SIX(T)                                                                                                  \
    switch ((T)->rows) {                                                                                                    \
    case 1:                                                                                                                 \
        tile_rows(T, 1);                                                                                                    \
        break;                                                                                                              \
    case 2:                                                                                                                 \
        tile_rows(T, 2);                                                                                                    \
        break;                                                                                                              \
    case 3:                                                                                                                 \
        tile_rows(T, 3);                                                                                                    \
        break;                                                                                                              \
    case 4:                                                                                                                 \
        tile_rows(T, 4);                                                                                                    \
        break;                                                                                                              \
    case 5:                                                                                                                 \
        tile_rows(T, 5);                                                                                                    \
        break;                                                                                                              \
    default:                                                                                                                \
        tile_rows(T, 6);                                                                                                    \
        break;                                                                                                              \
    }

struct adamw_constants {
    float lr, beta1, one_minus_beta1, beta2, one_minus_beta2, eps, weight_decay, inv_correction1, inv_correction2,
        grad_scale;
};

struct int_kernels;  /* gemm_int.h */
struct bf16_kernels; /* gemm_bf16.h */

struct cpu_kernels {
    const char *name;
    const struct int_kernels *integer[COMPUTES]; /* NULL: this instruction set has none, weights are widened to f32 */
    const struct bf16_kernels *bf16;             /* products by COMPUTE_BF16 */
    int mr, nr;                                  /* micro-tile: at most CPU_MAX_MR rows, CPU_MAX_NR columns */
    int column_step;                             /* a tile of so many columns, or a multiple, touches no others */
    int block_rows; /* of C a work item of gemm_run: fewer read B from L3 too often, more push A out of L2 */
    void (*tile)(const struct gemm_tile *t);

    /* dst[k * dst_ld + i] = scale * src[i * ld + k] for i < rows, k < n. */
    void (*transpose)(float *dst, int64_t dst_ld, const float *src, int64_t ld, int64_t rows, int64_t n, float scale);
    /* Stored weights as f32, the same bits as quant_to_f32; false for types that it does not know. src at any address. */
    bool (*widen)(enum tensor_type type, const void *src, float *dst, int64_t n);
    /* Elements [first, first + n) of a row of `cols` elements in NF4, the same bits as nf4_to_f32. */
    void (*widen_nf4)(const void *row, int64_t cols, int64_t first, int64_t n, float *dst);
    float (*dot)(const float *x, const float *y, int64_t n);
    /* out[i] = the dot product of d's vector and its row i, decoded on the way; the sum of a row does not depend on its
     * neighbours. False for rows that it does not know; NULL: it knows none, rows are widened first. */
    bool (*dot_rows)(const struct cpu_dot *d, float *out);
    /* The same for stored rows of any type that comes in blocks. */
    void (*dot_blocks)(const struct cpu_dot *d, float *out);
    /* Bytes of a vector of k floats in fixed point, as dot_rows wants it beside f32 for rows of such a type, which it then
     * multiplies in integers, or in another order of its elements; 0: it wants none. `fix` writes it, to memory aligned to
     * 64 bytes. Both NULL: dot_rows never wants one. */
    size_t (*fixed_bytes)(enum weight_form form, enum tensor_type type, int64_t k);
    void (*fix)(void *fixed, enum tensor_type type, const float *x, int64_t k);
    void (*add)(float *out, const float *x, const float *y, int64_t n);
    void (*mul)(float *out, const float *x, const float *y, int64_t n);
    void (*axpy)(float *y, float a, const float *x, int64_t n);    /* y += a x */
    void (*scale)(float *out, float a, const float *x, int64_t n); /* out = a x */
    double (*sum_squares)(const float *x, int64_t n);

    /* e^x, at most 1.25 ulp off; -inf and everything below the subnormals gives 0, overflow gives inf, NaN gives NaN. */
    void (*exp)(float *out, const float *x, int64_t n);
    /* out = silu(gate) * up, silu(g) = g / (1 + e^-g). */
    void (*swiglu)(float *out, const float *gate, const float *up, int64_t n);
    void (*swiglu_bwd)(float *dgate, float *dup, const float *dy, const float *gate, const float *up, int64_t n);

    /* Columns of a tile s (k, n) with row stride ld, one column a query, as attention and the loss need them; n is a
     * multiple of 16. First column_max: m[j] = max(m[j], scale * max over k of s[k][j]). Then column_exp: s = e^(scale * s -
     * m[j]), and sum[j] += the column's sum. Its exponents must not be positive but for rounding, as they are with those m.
     */
    void (*column_max)(float *m, const float *s, int64_t ld, int64_t k, int64_t n, float scale);
    void (*column_exp)(float *s, int64_t ld, int64_t k, int64_t n, float scale, const float *m, float *sum);
    /* The same for one row of n: *max = max(*max, max over s), s = e^(s - *max), *sum = the row's sum. */
    void (*row_softmax)(float *s, int64_t n, float *max, float *sum);
    /* ds[k][j] = p[k][j] * (dp[k][j] - delta[j]) * scale into dp. */
    void (*column_softmax_bwd)(float *dp, const float *p, int64_t ld, int64_t k, int64_t n, float scale, const float *delta);

    /* y = x * rstd * gain. */
    void (*norm_apply)(float *y, const float *x, const float *gain, float rstd, int64_t n);
    /* dx = rstd * (dy * gain) - x * coefficient (+ dsum when not NULL), coefficient = rstd^3 / n * norm_dot: cpu_norm.c. */
    void (*norm_bwd)(float *dx, const float *dy, const float *x, const float *gain, const float *dsum, float rstd,
                     float coefficient, int64_t n);
    /* sum of dy * gain * x, f64 over blocks. */
    double (*norm_dot)(const float *dy, const float *gain, const float *x, int64_t n);
    /* Halves of one head: out_a = a * cos - b * sin, out_b = b * cos + a * sin. */
    void (*rotate)(float *out_a, float *out_b, const float *a, const float *b, const float *cosine, const float *sine,
                   int64_t n);
    void (*adamw)(float *p, const float *g, float *m, float *v, const struct adamw_constants *k, int64_t n);
};

extern const struct cpu_kernels cpu_kernels_portable;
#if defined(__x86_64__)
extern const struct cpu_kernels cpu_kernels_avx2;
extern const struct cpu_kernels cpu_kernels_avx512, cpu_kernels_avx512vnni; /* F, BW, DQ, VL; and VNNI */
extern const struct cpu_kernels cpu_kernels_avx512bf16, cpu_kernels_amx;    /* and BF16; and AMX's tiles of bf16 and int8 */
#elif defined(__aarch64__)
extern const struct cpu_kernels cpu_kernels_neon, cpu_kernels_neon_dot; /* _dot: with dot products of bytes */
#endif

#endif
