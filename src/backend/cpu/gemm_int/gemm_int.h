/* gemm_int: products of f32 activations with 8-bit weights (array/codec/int8.h) in integers.
 *
 * With s a weight row's scale, q codes, and activations cut into runs of at most INT_RUN along the reduction, each quantised
 * with a scale t of its own:
 *
 *   y_ij  = s_j sum over runs r of t_ir (sum over k in r of qx_ik qw_jk)              x = t qx, forward
 *   dx_ik = sum over runs r of t_ir (sum over j in r of qg_ij qw_jk)                  s_j dy_ij = t qg, backward
 *
 * The sum of a run is exact in 32 bits (32767 * 127 * 512 < 2^31), so every instruction set gives the same bits; runs are
 * added in f32. A run of its own scale is what keeps an outlier among the activations from costing the precision of a whole
 * row, and is free: the tile is cut there anyway, to stay in L1.
 *
 * Codes lie in steps of 4 bytes along the reduction, which is what one multiply-add instruction takes a lane: 2 of 16 bits,
 * or 4 of 8. The B operand is packed in panels like gemm's (nr columns, step by step), so that its memory is counted in the
 * same unit, a float. AMX multiplies bytes only, 64 of a row at a time: there a run's codes of both operands are filled with
 * zeros up to whole groups of 64, and 16-bit codes lie as two planes of bytes (gemm_int_amx.c). Rejected: unpacking codes to
 * f32 (no gain over f32 weights); 8-bit limbs without VNNI (two multiplications for the work of one vpmaddwd). */
#ifndef YA_BACKEND_CPU_GEMM_INT_H
#define YA_BACKEND_CPU_GEMM_INT_H

#include "array/weight.h"
#include "backend/cpu/cpu_kernels.h"

enum {
    INT_RUN = 512,
    INT_RUN_8 = 64, /* with codes of 8 bits, which have none to spare for an outlier's neighbours */
    INT_ALIGN = 16  /* runs begin at multiples of this, and rows of codes are as long as multiples of it */
};

/* c[i][j] (+)= (float)(sum over k, exact, of a_i b_j) * row_scale[i] [* column_scale[j]] for i < rows <= mr and all j < nr,
 * every product and sum of floats rounded by itself. Strides in steps but for c (floats) and row_scale (floats). */
struct int_tile {
    int rows;
    bool accumulate; /* false: c is overwritten, its old contents are never read */
    int64_t steps;   /* of B */
    const void *a;
    int64_t rs;
    const void *b; /* a run of a panel, with its head */
    const float *row_scale;
    int64_t row_scale_stride;
    const float *column_scale; /* (nr) or NULL */
    float *c;
    int64_t ldc;
};

/* The kernels of one instruction set for one precision of activations. nr is that of its struct cpu_kernels. */
struct int_kernels {
    int mr;          /* rows of a tile at most; a tile may read the codes of all mr rows */
    int codes;       /* of an activation's row in a step: 2 of 16 bits or 4 of 8 */
    int panel_codes; /* of a column of B in a step */
    int group;       /* runs of both operands are filled with zeros up to a multiple of so many codes */
    int head;  /* rows of nr steps in front of each run of a panel: what its sums begin with (gemm_int_avx512.c), or 0 */
    int limit; /* largest |code| of an activation */
    /* Around the tiles of a work item, on the thread that computes them; NULL: nothing to do. */
    void (*open)(void);
    void (*close)(void);
    void (*tile)(const struct int_tile *t);
    /* x[i] (times fold[i], rounded to f32, unless fold is NULL: in backward the s_j) as codes, i < n; up to the next
     * multiple of INT_ALIGN follow codes that count as nothing. Returns the scale t = max |x| / limit; 0 when nothing is
     * above 1e-30; NaN when a number is not finite. Codes are rounded to nearest, halves to even. */
    float (*quantise)(void *codes, const float *x, const float *fold, int64_t n, int limit);
    /* A run of a panel: nr columns that are `n` rows of weight codes (n <= nr, the others 0), k of them each. Writes head
     * and steps. */
    void (*pack_columns)(void *run, const int8_t *const *rows, int n, int64_t k);
    /* The same from rows of B: columns [0, n) of k rows into the panels from `run` on, panel_stride steps apart; columns
     * past n in the last panel are 0. */
    void (*pack_rows)(void *run, int64_t panel_stride, const int8_t *const *rows, int64_t k, int64_t n);
};

/* The kernels for w's `compute`. NULL: w is to be widened to f32, because its compute says so or because this instruction
 * set has no kernels for it. */
const struct int_kernels *int_kernels_for(const struct cpu_kernels *kernels, const struct weight *w);

/* How k codes are cut: even runs of `run` codes, the last may be shorter. */
struct int_cut {
    int64_t k, run, runs;
    int64_t stride;      /* codes from the start of a run to that of the next, in memory */
    int64_t row_steps;   /* of a quantised row */
    int64_t panel_steps; /* rows of a panel, heads counted: times nr is its size in floats */
};
struct int_cut int_cut(const struct int_kernels *q, int64_t k);
/* The cut of k codes that start where a run does and end where one does, or the reduction. */
struct int_cut int_cut_part(const struct int_kernels *q, const struct int_cut *cut, int64_t k);

/* Rows [0, m) of x (row stride ldx) as codes: row i at codes + i * row_steps * 4 bytes, its scales at scale + i * runs.
 * fold: (k) factors of the columns of x, or NULL: in dx the scales s_j of the weight's rows, which are its reduction there.
 */
void int_quantise_rows(const struct int_kernels *q, const struct int_cut *cut, const float *x, int64_t ldx,
                       const float *fold, int64_t m, void *codes, float *scale);

/* Panels of the B operand. TRANSPOSED (columns of B are rows [first, first + n) of w): the columns' k codes from `from` on;
 * ROWS (rows of B are the k rows of w from `row` on): columns [first, first + n). first is a multiple of nr. Element layout:
 * cut.panel_steps rows of nr steps a panel, panel_stride (floats) apart. `weight` is of form WEIGHT_INT8. */
void int_pack_transposed(const struct cpu_kernels *kernels, const struct int_kernels *q, const struct int_cut *cut,
                         const struct weight *w, int64_t from, int64_t first, int64_t n, float *dst, int64_t panel_stride);
void int_pack_rows(const struct cpu_kernels *kernels, const struct int_kernels *q, const struct int_cut *cut,
                   const struct weight *w, int64_t row, int64_t first, int64_t n, float *dst, int64_t panel_stride);

/* C (m, n) (+)= A B on the calling thread, as gemm_block. column_scale: (n rounded up to nr) or NULL. */
struct int_block {
    const struct int_kernels *q;
    const struct int_cut *cut;
    int64_t m, n;
    const void *codes;  /* (m, row_steps); m rounded up to mr may be read */
    const float *scale; /* (m, runs) */
    const float *panels;
    int64_t panel_stride;
    const float *column_scale;
    float *c;
    int64_t ldc;
    bool accumulate;
};
void int_block(const struct cpu_kernels *kernels, const struct int_block *g);

/* One table for each instruction set and precision. */
extern const struct int_kernels int_kernels_portable_16, int_kernels_portable_8;
#if defined(__x86_64__)
extern const struct int_kernels int_kernels_avx2_16, int_kernels_avx2_8;
extern const struct int_kernels int_kernels_avx512_16, int_kernels_avx512_8, int_kernels_avx512vnni_16,
    int_kernels_avx512vnni_8, int_kernels_amx_16, int_kernels_amx_8;
#elif defined(__aarch64__)
extern const struct int_kernels int_kernels_neon_16, int_kernels_neon_8, int_kernels_neon_dot_16, int_kernels_neon_dot_8;
#endif

#endif
