/* gemm_items: blocks of rows first, because A is read and, in integers, quantised once for each block; columns are
 * cut only where the blocks are too few. Example: 67 rows are 3 blocks. For 16 threads and 2,048 columns, 64 panels of 32,
 * each block is cut into 16 parts of 4 panels: 48 items, 3 a thread. Where A needs no work (free_columns), blocks are as
 * large as they may be and columns give the items. */
#include "backend/cpu/gemm/gemm_items.h"

#include "backend/cpu/cpu_scratch.h"

enum {
    LEAST_ROWS = 24,    /* of the last blocks of C, which are short so that threads end together */
    LEAST_COLUMNS = 64, /* of a part: rows of A are rounded again for each, which is to cost less than their products */
    WANTED = 3,         /* items for each thread where they are: threads then end within a third of each other */
    PACK_GROUP = 32,    /* columns */
};

/* Blocks of rows where columns are cut freely: few and large, since each reads all of B once; more only where there are too
 * few columns for the threads, as in products with an adapter. */
static int64_t free_blocks(const struct gemm_items *s)
{
    int64_t parts = cpu_max(s->n_panels / cpu_div_up(LEAST_COLUMNS, s->nr), 1);
    int64_t wanted = cpu_min(cpu_div_up(WANTED * s->threads, parts), cpu_div_up(s->m, LEAST_ROWS));
    return cpu_max(cpu_div_up(s->m, s->block_rows), wanted);
}

/* Blocks are whole tiles: block_rows, towards the end fewer. Returns the number of blocks of m rows, or block + 1 where that
 * is less; *row and *rows are then this block's. */
static int64_t find_block(const struct gemm_items *s, int64_t block, int64_t *row, int64_t *rows)
{
    int64_t n = 0;
    for (int64_t at = 0; at < s->m && n <= block; n++) {
        int64_t some = cpu_min(cpu_max((s->m - at) / (2 * s->threads), LEAST_ROWS), s->block_rows);
        if (s->free_columns) some = cpu_div_up(s->m, free_blocks(s));
        some = cpu_min(cpu_round_up(some, s->mr), s->block_rows);
        *row = at;
        *rows = cpu_min(some, s->m - at);
        at += some;
    }
    return n;
}

/* Panels of a part of the columns, for so many blocks of rows. A block for each thread is enough, unless columns are free:
 * to cut them as well then, for threads that end together, cost a tenth of the processor time in integers, which quantise A
 * again. */
static int64_t part_panels(const struct gemm_items *s, int64_t blocks)
{
    if (blocks >= (s->free_columns ? WANTED : 1) * s->threads) return s->n_panels;
    int64_t parts = cpu_div_up(WANTED * s->threads, blocks);
    return cpu_max(cpu_div_up(s->n_panels, parts), cpu_div_up(LEAST_COLUMNS, s->nr));
}

/* Items that follow one another are blocks of the same columns, so that threads read the same panels at the same time. */
int64_t gemm_items_find(const struct gemm_items *s, int64_t number, struct gemm_item *item)
{
    int64_t row = 0, rows = 0, blocks = find_block(s, INT64_MAX, &row, &rows);
    if (blocks == 0) return 0;
    int64_t panels = part_panels(s, blocks), n = blocks * cpu_div_up(s->n_panels, panels);
    if (number >= n) return n;
    find_block(s, number % blocks, &row, &rows);
    int64_t panel = number / blocks * panels;
    *item = (struct gemm_item){row, rows, panel, cpu_min(panels, s->n_panels - panel)};
    return n;
}

int64_t gemm_items_packed(const struct gemm_items *s, int64_t most)
{
    int64_t group = cpu_div_up(PACK_GROUP, s->nr), panels = cpu_min(s->n_panels / (WANTED * s->threads), most);
    return cpu_max(panels / group * group, group);
}
