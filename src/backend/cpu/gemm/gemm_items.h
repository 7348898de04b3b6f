/* gemm_items: how the two parallel loops of a packed product are cut into work items, so that all threads have work also
 * where C has few rows. Only shapes and the number of threads come in; gemm.h says why no result depends on them. */
#ifndef YA_BACKEND_CPU_GEMM_ITEMS_H
#define YA_BACKEND_CPU_GEMM_ITEMS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The part of C that the second loop computes at a time: m rows by n_panels packed panels of nr columns. */
struct gemm_items {
    int64_t m, n_panels;
    int64_t mr, block_rows; /* rows of a tile, and of a work item at most: a multiple of mr */
    int nr, threads;
    bool free_columns; /* A is read as it is, so that cutting columns costs nothing: blocks of rows may be large */
};

/* One work item of it: rows [row, row + rows) of panels [panel, panel + panels). */
struct gemm_item {
    int64_t row, rows, panel, panels;
};

/* Returns how many items there are; when `number` is one of them, *item becomes that one. Together they cover C once. */
int64_t gemm_items_find(const struct gemm_items *s, int64_t number, struct gemm_item *item);

/* How many blocks of rows the items have; every part of the columns has an item of each. */
int64_t gemm_items_blocks(const struct gemm_items *s);
/* For free columns: *item becomes one that nobody has taken, of the block of rows that the worker had before while there is
 * one, because its rows of A are in that core's L2. `taken` has as many zeros as there are blocks at first. False when all
 * are taken, which as many calls as there are items do not see. */
bool gemm_items_take(const struct gemm_items *s, atomic_int *taken, int worker, struct gemm_item *item);

/* Panels that a work item of the first loop packs where a panel's columns are rows as stored: at most `most`, fewer where
 * there are few panels for the threads, and always whole groups of 32 columns, as bf16_pack_panels wants them. */
int64_t gemm_items_packed(const struct gemm_items *s, int64_t most);

#endif
