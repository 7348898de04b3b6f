/* gemm: C (+)= A_0 B_0 + A_1 B_1 + .. with f32 operands and sums, the one matrix product of the CPU backend.
 *
 * A sum of products in one call, because that is what a linear layer with an adapter is: y = x W^T + h (s B)^T forward and
 * dx = dy_0 W_0 + .. + dh_0 A_0 + .. backward; the terms extend the reduction of the same tile of C, which then is read
 * and written once. B operands are frozen weights of any stored type, widened while their panels are packed, or f32 rows.
 *
 * An element of C is summed over k in runs, in order, by one thread at a time, and how runs are cut depends on the shape
 * alone: the same bytes for any number of threads and however rows of C are cut into items. A long reduction goes by chunks
 * of whole runs, so that a chunk of B over all columns is packed at once and A is read once. Panels of B are shared, but
 * where a product in bf16 has columns for every thread (bf16_columns.h). A is read in
 * place: a tile takes mr rows as mr streams, so packing A buys nothing (measured), and only rows whose stride is a
 * multiple of the page size (they would fall into one cache set) are copied. Blocking after Goto & van de Geijn 2008. */
#ifndef YA_BACKEND_CPU_GEMM_H
#define YA_BACKEND_CPU_GEMM_H

#include "array/weight.h"
#include "backend/cpu/cpu_kernels.h"

enum gemm_form {
    GEMM_ROWS,       /* B is (k, n): row r of the source holds B[r][0..n) */
    GEMM_TRANSPOSED, /* B is the transpose of (n, k): row r of the source holds B[0..k)[r] */
};

/* Where B comes from: rows of `weight`, or of f32 memory when weight is NULL. Entries are multiplied by `scale`. */
struct gemm_source {
    enum gemm_form form;
    const struct weight *weight;
    const float *data;
    int64_t ld; /* elements from row to row of data */
    float scale;
    bool bf16; /* of data: operands are rounded to bf16, as for a weight whose `compute` says so */
};

struct gemm_term {
    const float *a; /* (m, k), unit stride along k */
    int64_t lda;
    int64_t k;
    const uint32_t *rounded; /* the same in bf16 for products that want it so, or NULL; BF16_MAX_MR rows more may be read */
    int64_t rounded_rs; /* steps of two elements from row to row of it; 0: bf16_row_steps(k), as gemm_round.h has them */
    struct gemm_source b;
};

enum { GEMM_MAX_TERMS = 6 };

struct gemm {
    int64_t m, n;
    float *c; /* (m, n); must not overlap any operand */
    int64_t ldc;
    bool accumulate;   /* C is added to; else overwritten */
    const float *bias; /* (n) added to every row, or NULL */
    int n_terms;
    struct gemm_term term[GEMM_MAX_TERMS];
};

/* Runs it on the ctx's threads. Scratch comes from the step pool: the packed panels, at most about 8 MiB, or one panel where
 * that is larger; in bf16 up to bf16_kernels.thread_bytes, or 1 MiB where it goes by columns, for each thread. E_MEMORY. */
enum status gemm_run(struct ctx *c, const struct cpu_kernels *kernels, const struct gemm *g);

enum { GEMM_MAX_LIST = 3 };
/* n products that do not depend on each other. Those of a few rows share one parallel loop, and so do those that go by
 * columns. Where all panels fit at once the others share both loops, with panels for each; else one product runs after the
 * other, in the memory of one. */
enum status gemm_run_all(struct ctx *c, const struct cpu_kernels *kernels, const struct gemm *list, int n);

/* The loop over the tiles of one block on the calling thread: C (m, n) (+)= A (m, k) B. Row i, column k of A is at
 * a[i * rs + k * cs]; panel p of B (nr columns; all nr must be readable, also in the last) starts at b + p * panel_stride,
 * its rows are ldb apart. */
struct gemm_block {
    int64_t m, n, k;
    const float *a;
    int64_t rs, cs;
    const float *b;
    int64_t panel_stride, ldb;
    float *c;
    int64_t ldc;
    bool accumulate;
    int64_t run; /* k is cut into runs of this, the last may be shorter; 0: of gemm_run_length(k) */
};
/* GEMM_RUN: k of a run at most. A run of a panel of 16 columns is then 20 KiB, which stays in an L1 of 32 KiB; one of 32
 * columns is 40 KiB, a little more than that or within an L1 of 48. GEMM_CHUNK: k above which a reduction goes by chunks. */
enum { GEMM_RUN = 320, GEMM_CHUNK = 3 * GEMM_RUN };
/* How long the runs are into which a reduction of k is cut: as even as can be, at most GEMM_RUN. */
int64_t gemm_run_length(int64_t k);
void gemm_block(const struct cpu_kernels *kernels, const struct gemm_block *block);

/* Packs rows [from, from + k) of panels [panel, panel + n_panels) of an operand with n columns: element (from + r, j) of
 * panel p at dst[p * panel_stride + r * nr + j], columns past n are 0. TRANSPOSED: from is a multiple of GEMM_RUN.
 * `scratch` has gemm_pack_scratch() floats. */
struct gemm_pack {
    struct gemm_source source;
    int64_t from, k, n;
    int64_t panel, n_panels;
    float *dst;
    int64_t panel_stride;
};
int64_t gemm_pack_scratch(const struct cpu_kernels *kernels);
void gemm_pack_panels(const struct cpu_kernels *kernels, const struct gemm_pack *p, float *scratch);

/* Row r, columns [first, first + n) of the source as f32: a pointer into it when it is f32 already and aligned, else `out`
 * filled. Pieces may begin and end anywhere, but a block that is cut is widened once for each piece: gemm_strip cuts where
 * blocks end. scale is not applied. */
const float *gemm_source_row(const struct cpu_kernels *kernels, const struct gemm_source *s, int64_t r, int64_t first,
                             int64_t n, float *out);

/* Asks L2 for the same piece of a row of a weight, in the form in which it lies in memory. Many rows are read side by side
 * while panels are packed, a strip of each, more streams than processors follow by themselves. */
void gemm_source_ahead(const struct gemm_source *s, int64_t r, int64_t first, int64_t n);

/* How many of the columns [first, end) to widen at a time: at most 256, up to the next multiple of 256, where blocks of
 * every type end. */
int64_t gemm_strip(int64_t first, int64_t end);

/* Rows [0, rows) of f32 memory as an unpacked B operand of gemm_block (panel_stride nr, ldb *ld): `src` itself when its n
 * columns are whole panels and its stride does not fall into few cache sets, else `copy`, filled, columns padded with 0.
 * `copy` has rows * gemm_direct_ld(n) floats; *ld comes in as the stride of src. */
int64_t gemm_direct_ld(int64_t n);
const float *gemm_direct_rows(const struct cpu_kernels *kernels, const float *src, int64_t *ld, int64_t rows, int64_t n,
                              float *copy);

#endif
