/* bf16_columns: bf16 products that are parallel over the columns of C (the N of a GEMM), where each thread packs the panels
 * of B for its columns itself.
 *
 * gemm.c packs panels in one loop and multiplies in a second one, which reads them from L3, once for each block of rows.
 * Where C has few rows for the weight's size, as in a step of a document or two, writing panels to L3 and waiting for all
 * of them takes a good part of the time. Here a thread packs the panels of 128 columns into a buffer that stays in its L2,
 * streams all rows of A from L3 through them, and takes the next 128 columns. One parallel loop computes all products of a
 * list (before it, A is rounded to bf16 unless it is already), and a weight stored in 4 bits is read from memory as 4 bits.
 *
 * For tables that sum the whole reduction of an element in one tile (bf16_kernels.run 0): there a sum is the same bits
 * at whichever groups (BF16_GROUP) the reduction is cut, and whichever thread adds the next chunk. */
#ifndef YA_BACKEND_CPU_BF16_COLUMNS_H
#define YA_BACKEND_CPU_BF16_COLUMNS_H

#include "backend/cpu/gemm_bf16/gemm_bf16.h"

/* Whether the products of a list are to be computed so: all are in bf16, by such a table, of a number of rows that was
 * measured, and every thread has a part. */
bool bf16_columns_fit(const struct cpu_kernels *kernels, const struct gemm *list, int n, int threads);

/* Computes them. E_MEMORY. */
enum status bf16_columns_run(struct ctx *c, const struct cpu_kernels *kernels, const struct gemm *list, int n);

#endif
