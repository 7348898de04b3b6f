/* gemm_bf16: products whose operands are both rounded to bf16, with sums in f32: activations and weights, and the products
 * of attention.
 *
 *   y_ij = sum over k of bf16(x_ik) bf16(w_jk)      dx_ik = sum over j of bf16(dy_ij) bf16(w_jk)
 *
 * Rounding is to nearest, halves to even; values below 2^-126 become 0. Weights that are stored in bf16 are used as they
 * are. k goes in groups of BF16_GROUP, in order; within a group the even and the odd k are summed separately, one after
 * the other, each step rounded (a product of two bf16 is exact in f32), then even + odd is added to the sum. That is what
 * AMX's tdpbf16ps computes, and every table but `avx512bf16` does the same: the same bits wherever a sum is not below
 * 2^-126. `avx512bf16` (vdpbf16ps) adds the two products of a step to one sum.
 *
 * Memory: a step is two k, 4 bytes. Rows of A are steps, padded with zeros to whole groups. B lies in panels like gemm's,
 * nr columns wide, step by step, so that its memory is counted in the same unit, a float. */
#ifndef YA_BACKEND_CPU_GEMM_BF16_H
#define YA_BACKEND_CPU_GEMM_BF16_H

#include "backend/cpu/gemm/gemm.h"

enum {
    BF16_GROUP = 32, /* k of a group */
    BF16_GROUP_STEPS = BF16_GROUP / 2,
    BF16_RUN = 512,    /* chunks of a reduction begin at multiples of it */
    BF16_CHUNK = 1088, /* steps of a chunk at least: 2,048 k and an adapter of rank 128 go at once */
    BF16_MAX_MR = 32
};

/* A part of a reduction: of one term of a sum of products. */
struct bf16_tile_part {
    int64_t steps;     /* whole groups */
    const uint32_t *a; /* rows of steps, rs steps apart; all mr may be read */
    int64_t rs;
    const uint32_t *b; /* nr pairs in each step */
};

/* What a tile may ask the caches for meanwhile. */
struct bf16_ahead {
    const char *next; /* panels or rows of A of tiles that follow: so many cache lines with each group, for L2 */
    int64_t lines;
    float *c; /* the tile of C that is read or written next, of mr rows; NULL: none */
};

struct bf16_tile {
    int rows, columns; /* of C, at most mr and nr; no other element of C is touched */
    bool accumulate;   /* false: C is overwritten, its old contents are never read */
    float *c;
    int64_t ldc;
    int n_parts; /* summed in order; one unless the kernels join parts */
    const struct bf16_tile_part *part;
    struct bf16_ahead ahead;
};

/* The kernels of one instruction set. nr is that of its struct cpu_kernels. */
struct bf16_kernels {
    int mr;
    int64_t block_rows;   /* of C a work item of gemm_run at most, whose A of a chunk is to stay in L2 */
    int64_t run;          /* k of a panel that all rows of a block go through before the next: a multiple of BF16_GROUP.
                             0: the whole reduction, and all parts of it in one tile */
    int64_t thread_bytes; /* of panels packed at a time, for each thread, where that is more than gemm.c takes by itself: the
                             fewer times, the less threads wait for each other; a server's caches grow with its cores */
    bool fast;            /* faster than f32 products on this instruction set, and no slower than integers' */
    /* Around the tiles of a work item, on the thread that computes them; NULL: nothing to do. */
    void (*open)(void);
    void (*close)(void);
    void (*tile)(const struct bf16_tile *t);
    /* out = x rounded as said above, n elements; NaN stays NaN. */
    void (*round)(uint16_t *out, const float *x, int64_t n);
    /* Elements [first, first + n) of a row of `cols` elements in NF4, rounded: the same bits as nf4_to_f32 and `round`.
     * NULL: no faster than those two. */
    void (*widen_nf4)(const void *row, int64_t cols, int64_t first, int64_t n, uint16_t *out);
    /* The k of nr columns, which are the rows (n <= nr of them, the other columns are 0), into a panel. Steps are written
     * up to a whole group. Rows are aligned to 2 bytes. */
    void (*pack_columns)(uint32_t *panel, const uint16_t *const *rows, int n, int64_t k);
    /* The same from rows of B: columns [0, n) of k rows, into the panels from `panel` on, panel_stride steps apart. */
    void (*pack_rows)(uint32_t *panel, int64_t panel_stride, const uint16_t *const *rows, int64_t k, int64_t n);
};

/* NULL unless products with the weight, or with the f32 rows of a source, are to be computed in bf16. */
const struct bf16_kernels *bf16_kernels_for(const struct cpu_kernels *kernels, const struct weight *w);
const struct bf16_kernels *bf16_kernels_of(const struct cpu_kernels *kernels, const struct gemm_source *b);

/* Steps of k along a panel, and from row to row of A: the second avoids strides that fall into few sets of the L1. */
int64_t bf16_steps(int64_t k);
int64_t bf16_row_steps(int64_t k);

/* How long the runs are into which kernels cut a reduction of k (bf16_kernels.run): as even as can be, in steps. On a table
 * whose tile begins the sum of each run at 0 the bits depend on it. */
int64_t bf16_run_steps(const struct bf16_kernels *q, int64_t k);

/* Row i of x, k elements from x + i * ldx on, to out + i * bf16_row_steps(k). */
void bf16_round_rows(const struct bf16_kernels *q, const float *x, int64_t ldx, int64_t m, int64_t k, uint32_t *out);

/* Panels of the B operand. TRANSPOSED (columns of B are rows [first, first + n) of the source): k of them from `from` on;
 * ROWS (rows of B are the k rows of the source from `from` on): columns [first, first + n). `first` is a multiple of nr
 * and of 32, `from` of 32. scratch: bf16_pack_scratch() floats. */
struct bf16_pack {
    struct gemm_source source;
    int64_t from, k, first, n;
    uint32_t *dst;
    int64_t panel_stride; /* in steps */
};
int64_t bf16_pack_scratch(const struct cpu_kernels *kernels);
void bf16_pack_panels(const struct cpu_kernels *kernels, const struct bf16_kernels *q, const struct bf16_pack *p,
                      float *scratch);

/* The same from rows that bf16_round_rows made, rs steps apart. TRANSPOSED: n rows of k elements; ROWS: k rows of n.
 * Panels are panel_stride steps apart, at least bf16_steps(k) * nr. Panels up to the one that column n - 1 lies in are
 * written. */
void bf16_pack_rounded(const struct cpu_kernels *kernels, const struct bf16_kernels *q, enum gemm_form form,
                       const uint32_t *rows, int64_t rs, int64_t k, int64_t n, uint32_t *panels, int64_t panel_stride);

/* C (m, n) (+)= the sum of A_p B_p over its parts, on the calling thread, between q's open and close. */
struct bf16_part {
    int64_t k;
    const uint32_t *a; /* rows of bf16_round_rows; m rounded up to mr may be read */
    int64_t rs;
    const uint32_t *panels;
    int64_t panel_stride;
    int64_t run; /* steps of a run, where k is a part of a longer reduction: those of the whole; 0: bf16_run_steps(k) */
};
struct bf16_block {
    const struct bf16_kernels *q;
    int64_t m, n;
    int n_parts;
    struct bf16_part part[GEMM_MAX_TERMS]; /* in this order: C (+)= sum of A_p B_p */
    float *c;
    int64_t ldc;
    bool accumulate;
    bool rows_first;     /* needs q->run 0: rows of A are the outer loop and are read once, while all panels stay in L2 */
    int64_t rows_behind; /* with rows_first, of A behind the m: asked for ahead, since they probably come next */
};
void bf16_block(const struct cpu_kernels *kernels, const struct bf16_block *g);

/* One table for each instruction set; `portable` is plain C, what the others are held against. */
extern const struct bf16_kernels bf16_kernels_portable;
#if defined(__x86_64__)
extern const struct bf16_kernels bf16_kernels_avx2, bf16_kernels_avx512, bf16_kernels_avx512bf16, bf16_kernels_amx;
#elif defined(__aarch64__)
extern const struct bf16_kernels bf16_kernels_neon;
#endif

#endif
