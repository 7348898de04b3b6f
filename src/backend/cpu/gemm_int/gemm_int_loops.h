/* gemm_int_loops: the parts of struct int_kernels for 16-bit codes that compilers vectorise by themselves, compiled once
 * for each instruction set. All of it is exact or rounds step by step, and the files that include it are compiled without
 * contraction into fused multiply-adds, so every instruction set gives the same bits. */
#ifndef YA_BACKEND_CPU_GEMM_INT_LOOPS_H
#define YA_BACKEND_CPU_GEMM_INT_LOOPS_H

#include <math.h>
#include <string.h>

#include "backend/cpu/gemm_int/gemm_int.h"

/* Largest |x[i] * fold[i]| as bits, which sort like the values, infinity and NaN last. */
static inline uint32_t int_largest_bits(const float *x, const float *fold, int64_t n)
{
    uint32_t most = 0;
    for (int64_t i = 0; i < n; i++) {
        float value = fold ? x[i] * fold[i] : x[i];
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        bits &= 0x7fffffffu;
        most = bits > most ? bits : most;
    }
    return most;
}

/* Adding 1.5 * 2^23 leaves the nearest integer in the low bits, halves to even. */
static inline void int_round(int16_t *out, const float *x, const float *fold, int64_t n, float inverse)
{
    for (int64_t i = 0; i < n; i++) {
        float value = fold ? x[i] * fold[i] : x[i];
        float shifted = value * inverse + 12582912.0f;
        int32_t bits;
        memcpy(&bits, &shifted, sizeof bits);
        out[i] = (int16_t)(bits - 0x4b400000);
    }
}

/* The scale of n values whose largest has these bits; *inverse is 0 where codes are to be 0. */
static inline float int_scale(uint32_t most, int limit, float *inverse)
{
    float largest;
    memcpy(&largest, &most, sizeof largest);
    *inverse = 0;
    if (most >= 0x7f800000u) return NAN;
    if (largest <= 1e-30f) return 0;
    *inverse = (float)limit / largest;
    return largest / (float)limit;
}

/* struct int_kernels.quantise for 16-bit codes, of any limit. `fold` is tested outside of the loops, so that each of them
 * is vectorised without a branch. */
static inline float int_quantise_16(void *codes, const float *x, const float *fold, int64_t n, int limit)
{
    float inverse, scale = int_scale(fold ? int_largest_bits(x, fold, n) : int_largest_bits(x, NULL, n), limit, &inverse);
    int16_t *out = codes;
    int64_t padded = (n + INT_ALIGN - 1) / INT_ALIGN * INT_ALIGN;
    if (inverse == 0) { /* 0 * x would be NaN where x is not finite */
        memset(out, 0, (size_t)padded * sizeof *out);
        return scale;
    }
    if (fold)
        int_round(out, x, fold, n, inverse);
    else
        int_round(out, x, NULL, n, inverse);
    memset(out + n, 0, (size_t)(padded - n) * sizeof *out);
    return scale;
}

/* A struct int_kernels of 16-bit codes from -LIMIT to LIMIT (32767 for int8x2, 127 for int8), of the including file's
 * functions int_SET_tile, int_SET_pack_columns and int_SET_pack_rows. */
#define INT_KERNELS_16(SET, MR, LIMIT)                                                                                      \
    {                                                                                                                       \
        .mr = MR, .codes = 2, .panel_codes = 2, .group = 2, .limit = LIMIT, .tile = int_##SET##_tile,                       \
        .quantise = int_quantise_16, .pack_columns = int_##SET##_pack_columns, .pack_rows = int_##SET##_pack_rows           \
    }

#endif
