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

/* Panels of the part of the columns that begins at panel `at`, for so many blocks of rows. A block for each thread is
 * enough, unless columns are free: to cut them as well then, for threads that end together, cost a tenth of the processor
 * time in integers, which quantise A again. Free columns give parts that shrink towards the end, each WANTED * threads-th of
 * what is left of all blocks: how fast a core of a server is changes with what its neighbours do. */
static int64_t part_panels(const struct gemm_items *s, int64_t blocks, int64_t at)
{
    int64_t wanted = WANTED * s->threads, least = cpu_div_up(LEAST_COLUMNS, s->nr), left = s->n_panels - at;
    if (s->threads == 1 || (!s->free_columns && blocks >= s->threads)) return left;
    int64_t some = s->free_columns ? cpu_div_up(left * blocks, wanted) : cpu_div_up(s->n_panels, cpu_div_up(wanted, blocks));
    return cpu_min(cpu_max(some, least), left);
}

/* Returns the number of parts, or part + 1 where that is less; *panel and *panels are then this part's. */
static int64_t find_part(const struct gemm_items *s, int64_t blocks, int64_t part, int64_t *panel, int64_t *panels)
{
    int64_t n = 0;
    for (int64_t at = 0; at < s->n_panels && n <= part; at += *panels, n++) {
        *panel = at;
        *panels = part_panels(s, blocks, at);
    }
    return n;
}

/* Items that follow one another are blocks of the same columns, so that threads read the same panels at the same time. */
int64_t gemm_items_find(const struct gemm_items *s, int64_t number, struct gemm_item *item)
{
    int64_t row = 0, rows = 0, panel = 0, panels = 0, blocks = gemm_items_blocks(s);
    if (blocks == 0) return 0;
    int64_t n = blocks * find_part(s, blocks, INT64_MAX, &panel, &panels);
    if (number >= n) return n;
    find_block(s, number % blocks, &row, &rows);
    find_part(s, blocks, number / blocks, &panel, &panels);
    *item = (struct gemm_item){row, rows, panel, panels};
    return n;
}

int64_t gemm_items_blocks(const struct gemm_items *s)
{
    int64_t row, rows;
    return find_block(s, INT64_MAX, &row, &rows);
}

bool gemm_items_take(const struct gemm_items *s, atomic_int *taken, int worker, struct gemm_item *item)
{
    int64_t blocks = gemm_items_blocks(s), n = gemm_items_find(s, INT64_MAX, NULL);
    for (int64_t i = 0; i < blocks; i++) {
        int64_t block = (worker * blocks / s->threads + i) % blocks;
        int64_t number = (int64_t)atomic_fetch_add_explicit(&taken[block], 1, memory_order_relaxed) * blocks + block;
        if (number >= n) continue;
        gemm_items_find(s, number, item);
        return true;
    }
    return false;
}

int64_t gemm_items_packed(const struct gemm_items *s, int64_t most)
{
    int64_t group = cpu_div_up(PACK_GROUP, s->nr), panels = cpu_min(s->n_panels / (WANTED * s->threads), most);
    return cpu_max(panels / group * group, group);
}
