/* gemm: chunks, work items and threads of the packed product C = sum over terms of A_t B_t; gemm.h says what it computes.
 * Products of a few rows, and those in bf16 that have columns for every thread, go other ways (gemm_small, bf16_columns).
 *
 * From the outside in:
 *
 *   chunk    a part of the reduction (of every term), so long that all its panels of B fit into PACK_BYTES
 *   columns  where even that does not fit, as many panels of C's columns at a time as do
 *   pack     a first parallel loop: pieces of B are widened to f32 (or int8, bf16) and laid out as panels of nr columns
 *   blocks   a second parallel loop: a work item is a block of 24 to 256 rows of C (at most block_rows), whose A stays in
 *            L2; where such blocks are fewer than threads (the prompt of a chat), only some of the panels' columns
 *            of it. A of products in bf16 is rounded before (gemm_round.h); columns are then always cut (gemm_items.h)
 *   runs     within a block (gemm_block): at most 320 rows of a panel, 20 KiB for nr 16, which stay in L1
 *   tiles    the kernel: mr x nr elements of C in registers, over one run
 *
 * So B is widened once for all rows of C and then read from L3; A is read from memory once for each chunk; and an element
 * of C is read and written once for each run. Weights are most of the bytes: that packing widens them on the way saves a
 * pass over memory.
 *
 * Invariants: an element of C is summed by one thread at a time, in the order of terms, chunks and runs, and how the
 * reduction is cut into runs depends on the shape alone; a chunk is whole runs. So results are the same bytes for any number
 * of threads, any cutting of rows and columns, and whether a weight is laid out, on which the chunks depend. */
#include "backend/cpu/gemm/gemm.h"

#include <string.h>

#include "array/codec/int8.h"
#include "backend/cpu/cpu_scratch.h"
#include "backend/cpu/gemm_bf16/bf16_columns.h"
#include "backend/cpu/gemm_bf16/bf16_layout.h"
#include "backend/cpu/gemm_int/gemm_int.h"
#include "backend/cpu/gemm/gemm_items.h"
#include "backend/cpu/gemm/gemm_round.h"
#include "backend/cpu/gemm/gemm_small.h"
#include "base/threads.h"

enum {
    PACK_BYTES = 8 << 20,     /* of packed B at a time: half of a small L3 */
    LAID_OUT_CHUNK = 2048,    /* rows of panels that go at once where some are laid out: 2 MiB of A in blocks of 256 rows */
    PANELS_A_ITEM = 8,        /* packed by one work item, at most */
    ROWS_A_ITEM = 64,         /* packed by one work item where rows of B are rows as stored: memory is read in long pieces */
    PAGE_ELEMENTS = 4096 / 4, /* rows that are multiples of this apart fall into one set of the L1 */
};

/* How a term is computed, in integers when q is not NULL, in bf16 when bf16 is not, and its part in the chunk. */
struct gemm_plan {
    const struct int_kernels *q;
    const struct bf16_kernels *bf16;
    const uint32_t *rounded;  /* in bf16: A, all k of it (gemm_round.h) */
    const uint32_t *laid_out; /* in bf16: all panels of B, packed before (bf16_layout.h); NULL: a chunk's are packed here */
    int64_t run;              /* parts begin at multiples of this */
    float *scale;             /* of the weight's rows: of C's columns forward, folded into A backward */
    int64_t from, k;          /* the part of the reduction; k 0: none */
    struct int_cut cut;       /* of the part */
    int64_t first;            /* its first row in a panel, unless laid out */
};

/* One call of gemm_run. It goes chunk by chunk of the reduction, and within a chunk by as many columns of C as their
 * packed panels fit into PACK_BYTES: first all threads pack, then all threads multiply blocks of C. */
struct gemm_work {
    const struct cpu_kernels *kernels;
    const struct gemm *g;
    struct gemm_items items; /* how C is cut: blocks are whole tiles of all terms, n_panels those now packed */
    atomic_int *taken;       /* with free columns: of each block of rows, how many items are (gemm_items_take) */
    struct gemm_plan plan[GEMM_MAX_TERMS];
    int64_t panel_rows, panel; /* of C's columns, now packed: the first panel */
    bool is_first, is_last;    /* chunk */
    int64_t packed_floats;     /* of the largest chunk's panels */
    float *packed;             /* (n_panels, panel_rows, nr) */
    float *scratch;            /* scratch_floats for each worker */
    int64_t scratch_floats;
    int64_t chunks, panels, at_once, target;       /* of the reduction; of C; packed at a time; rows a chunk should have */
    struct gemm_rounding rounding[GEMM_MAX_TERMS]; /* done beside the first packing */
    int n_roundings;
};

/* ---- the reduction --------------------------------------------------------------------------------------------------- */

/* How k codes of a term's part are cut into runs. */
static struct int_cut cut_of(const struct gemm_plan *plan, int64_t k)
{
    return int_cut_part(plan->q, &(struct int_cut){.run = plan->run}, k);
}

/* Rows of a panel for k of the reduction. */
static int64_t gemm_rows_of(const struct gemm_plan *plan, int64_t k)
{
    if (plan->bf16) return bf16_steps(k);
    return plan->q && k > 0 ? cut_of(plan, k).panel_steps : k;
}

/* Gives each term its part in the chunk that follows: whole runs up to `target` rows, short terms whole. False when
 * nothing is left. */
static bool next_chunk(struct gemm_work *w, int64_t target)
{
    int64_t rows = 0;
    w->is_first = w->is_last = true;
    w->panel_rows = 0;
    for (int i = 0; i < w->g->n_terms; i++) {
        struct gemm_plan *plan = &w->plan[i];
        int64_t k = w->g->term[i].k, left = target - rows;
        plan->from += plan->k;
        plan->k = left > 0 ? k - plan->from : 0;
        if (k > GEMM_CHUNK && left > 0)
            plan->k = cpu_min(plan->k, cpu_div_up(left, gemm_rows_of(plan, plan->run)) * plan->run);
        if (plan->q) plan->cut = cut_of(plan, cpu_max(plan->k, 1));
        plan->first = w->panel_rows;
        rows += gemm_rows_of(plan, plan->k);
        if (!plan->laid_out) w->panel_rows += gemm_rows_of(plan, plan->k);
        w->is_first = w->is_first && plan->from == 0;
        w->is_last = w->is_last && plan->from + plan->k == k;
    }
    return rows > 0;
}

/* Rows of a panel that a chunk should have. Where C has few columns PACK_BYTES hold long chunks, and `least` is the
 * least; then all that there is, cut into as many chunks as that makes, of the same length. Panels that are laid out take
 * none of PACK_BYTES, but the rows of A that go with them have to stay in L2. */
static int64_t chunk_target(const struct gemm_work *w)
{
    int64_t all = 0, packed = 0, least = GEMM_CHUNK,
            row_bytes = cpu_round_up(w->g->n, w->kernels->nr) * (int64_t)sizeof(float);
    for (int i = 0; i < w->g->n_terms; i++) {
        int64_t rows = gemm_rows_of(&w->plan[i], w->g->term[i].k);
        all += rows;
        if (!w->plan[i].laid_out) packed += rows;
        if (w->plan[i].bf16) least = BF16_CHUNK;
    }
    int64_t chunks = cpu_div_up(packed, cpu_max(PACK_BYTES / row_bytes, least));
    if (packed < all) chunks = cpu_max(chunks, cpu_div_up(all, LAID_OUT_CHUNK));
    return cpu_div_up(all, chunks);
}

/* ---- panels of B ----------------------------------------------------------------------------------------------------- */

/* A piece of a term's part that one work item packs: rows [row, row + rows) of it, panels [panel, panel + panels). */
struct gemm_piece {
    int64_t row, rows, panel, panels;
};

/* Cuts a term's part into pieces; returns how many there are and, when number is one of them, that piece. */
static int64_t find_piece(const struct gemm_work *w, int term, int64_t number, struct gemm_piece *piece)
{
    const struct gemm_plan *plan = &w->plan[term];
    bool as_stored = w->g->term[term].b.form == GEMM_ROWS;
    int64_t rows = !as_stored ? plan->k
                   : plan->q  ? plan->run
                              : ROWS_A_ITEM,
            panels = as_stored ? w->items.n_panels : gemm_items_packed(&w->items, PANELS_A_ITEM);
    if (plan->k == 0 || plan->laid_out) return 0;
    int64_t across = cpu_div_up(w->items.n_panels, panels), n = across * cpu_div_up(plan->k, rows);
    if (number >= n) return n;
    piece->row = number / across * rows;
    piece->rows = cpu_min(rows, plan->k - piece->row);
    piece->panel = number % across * panels;
    piece->panels = cpu_min(panels, w->items.n_panels - piece->panel);
    return n;
}

/* A piece in codes: the weight is int8 already, so packing moves bytes. The scales of its rows go to plan->scale: forward
 * they scale columns of C, backward they scale dy before it is quantised. */
static void pack_integers(const struct gemm_work *w, int term, const struct gemm_piece *piece, float *dst)
{
    const struct gemm_plan *plan = &w->plan[term];
    const struct gemm_source *b = &w->g->term[term].b;
    int64_t nr = w->kernels->nr, stride = w->panel_rows * nr, row = plan->from + piece->row;
    int64_t first = (w->panel + piece->panel) * nr, n = cpu_min(piece->panels * nr, w->g->n - first);
    struct int_cut cut = cut_of(plan, piece->rows);
    if (b->form == GEMM_TRANSPOSED) {
        int_pack_transposed(w->kernels, plan->q, &cut, b->weight, row, first, n, dst, stride);
        for (int64_t j = first; j < first + n; j++) plan->scale[j] = b->scale * int8_row_scale(weight_row(b->weight, j));
        return;
    }
    int_pack_rows(w->kernels, plan->q, &cut, b->weight, row, first, n, dst, stride);
    for (int64_t r = row; r < row + piece->rows; r++) plan->scale[r] = b->scale * int8_row_scale(weight_row(b->weight, r));
}

/* A piece rounded to bf16. */
static void pack_bf16(const struct gemm_work *w, int term, const struct gemm_piece *piece, float *dst, float *scratch)
{
    const struct gemm_plan *plan = &w->plan[term];
    int64_t nr = w->kernels->nr, first = (w->panel + piece->panel) * nr;
    struct bf16_pack p = {.source = w->g->term[term].b,
                          .from = plan->from + piece->row,
                          .k = piece->rows,
                          .first = first,
                          .n = cpu_min(piece->panels * nr, w->g->n - first),
                          .dst = (uint32_t *)dst,
                          .panel_stride = w->panel_rows * nr};
    bf16_pack_panels(w->kernels, plan->bf16, &p, scratch);
}

/* Work item of the first loop: finds its term and piece, and packs it into the panels. */
static void gemm_pack_item(void *arg, int64_t item, int worker)
{
    const struct gemm_work *w = arg;
    struct gemm_piece piece;
    int term = 0;
    for (int64_t n; item >= (n = find_piece(w, term, item, &piece)); term++) item -= n;
    const struct gemm_plan *plan = &w->plan[term];
    int64_t stride = w->panel_rows * w->kernels->nr, row = plan->first + gemm_rows_of(plan, piece.row);
    float *dst = w->packed + piece.panel * stride + row * w->kernels->nr;
    if (plan->q) {
        pack_integers(w, term, &piece, dst);
        return;
    }
    if (plan->bf16) {
        pack_bf16(w, term, &piece, dst, w->scratch + worker * w->scratch_floats);
        return;
    }
    struct gemm_pack p = {.source = w->g->term[term].b,
                          .from = plan->from + piece.row,
                          .k = piece.rows,
                          .n = w->g->n,
                          .panel = w->panel + piece.panel,
                          .n_panels = piece.panels,
                          .dst = dst,
                          .panel_stride = stride};
    gemm_pack_panels(w->kernels, &p, w->scratch + worker * w->scratch_floats);
}

/* How many pieces all terms have in this chunk. */
static int64_t pack_items(const struct gemm_work *w)
{
    int64_t n = 0;
    for (int i = 0; i < w->g->n_terms; i++) n += find_piece(w, i, INT64_MAX, &(struct gemm_piece){0});
    return n;
}

/* ---- blocks of C ----------------------------------------------------------------------------------------------------- */

/* Rows of A that lie a multiple of the page size apart, copied to a stride that spreads over the cache's sets. */
static const float *spread_rows(const float *a, int64_t lda, int64_t m, int64_t k, float *copy, int64_t *stride)
{
    *stride = lda;
    if (lda % PAGE_ELEMENTS != 0) return a;
    *stride = k + 16;
    for (int64_t i = 0; i < m; i++) memcpy(copy + i * *stride, a + i * lda, (size_t)k * sizeof(float));
    return copy;
}

/* The item's panels of a term's part. */
static const float *panels_of(const struct gemm_work *w, const struct gemm_plan *plan, const struct gemm_item *at)
{
    return w->packed + (at->panel * w->panel_rows + plan->first) * w->kernels->nr;
}

/* A term's part, from `a` on, of the block of C, in integers; column_scale: of the block's columns, NULL backward. */
static void integer_part(const struct gemm_work *w, const struct gemm_plan *plan, const float *a, int64_t lda,
                         const float *column_scale, const struct gemm_block *block, float *scratch)
{
    float *scale = scratch + w->items.block_rows * plan->cut.row_steps;
    int_quantise_rows(plan->q, &plan->cut, a, lda, column_scale ? NULL : plan->scale + plan->from, block->m, scratch, scale);
    struct int_block b = {.q = plan->q,
                          .cut = &plan->cut,
                          .m = block->m,
                          .n = block->n,
                          .codes = scratch,
                          .scale = scale,
                          .panels = block->b,
                          .panel_stride = block->panel_stride,
                          .column_scale = column_scale,
                          .c = block->c,
                          .ldc = block->ldc,
                          .accumulate = block->accumulate};
    int_block(w->kernels, &b);
}

/* The same in bf16, of term t and those behind it that are in bf16, too. Returns the last of them. */
static int gemm_bf16_parts(const struct gemm_work *w, int t, const struct gemm_item *at, const struct gemm_block *block)
{
    const struct bf16_kernels *q = w->plan[t].bf16;
    struct bf16_block b = {
        .q = q, .m = block->m, .n = block->n, .c = block->c, .ldc = block->ldc, .accumulate = block->accumulate};
    int last = t;
    for (; t < w->g->n_terms && w->plan[t].bf16; t++) {
        const struct gemm_plan *plan = &w->plan[t];
        const struct gemm_term *term = &w->g->term[t];
        int64_t rs = term->rounded_rs ? term->rounded_rs : bf16_row_steps(term->k);
        last = t;
        if (plan->k == 0) continue;
        struct bf16_part *part = &b.part[b.n_parts++];
        *part = (struct bf16_part){.k = plan->k,
                                   .a = plan->rounded + at->row * rs + plan->from / 2,
                                   .rs = rs,
                                   .panels = (const uint32_t *)panels_of(w, plan, at),
                                   .panel_stride = block->panel_stride,
                                   .run = q->run ? plan->run / 2 : 0};
        if (!plan->laid_out) continue;
        int64_t nr = w->kernels->nr;
        part->panel_stride = bf16_steps(term->k) * nr;
        part->panels = plan->laid_out + (w->panel + at->panel) * part->panel_stride + plan->from / 2 * nr;
    }
    if (q->open) q->open();
    bf16_block(w->kernels, &b);
    if (q->close) q->close();
    return last;
}

/* Work item of the second loop: a block of C (m, n) (+)= the chunk's part of every term, rows of A times packed B; the bias
 * comes with the last chunk. */
static void product_item(const struct gemm_work *w, struct gemm_item at, int worker)
{
    const struct gemm *g = w->g;
    float *scratch = w->scratch + worker * w->scratch_floats;
    int64_t nr = w->kernels->nr, column = (w->panel + at.panel) * nr;
    struct gemm_block b = {.m = at.rows,
                           .n = cpu_min(at.panels * nr, g->n - column),
                           .cs = 1,
                           .panel_stride = w->panel_rows * nr,
                           .ldb = nr,
                           .c = g->c + at.row * g->ldc + column,
                           .ldc = g->ldc,
                           .accumulate = g->accumulate || !w->is_first};
    for (int t = 0; t < g->n_terms; t++) {
        const struct gemm_plan *plan = &w->plan[t];
        const struct gemm_term *term = &g->term[t];
        const float *a = term->a + at.row * term->lda + plan->from;
        if (plan->k == 0) continue;
        b.k = plan->k;
        b.run = gemm_run_length(term->k);
        b.b = panels_of(w, plan, &at);
        if (plan->q) {
            const float *column_scale = term->b.form == GEMM_TRANSPOSED ? plan->scale + column : NULL;
            integer_part(w, plan, a, term->lda, column_scale, &b, scratch);
        } else if (plan->bf16) {
            t = gemm_bf16_parts(w, t, &at, &b);
        } else {
            b.a = spread_rows(a, term->lda, at.rows, plan->k, scratch, &b.rs);
            gemm_block(w->kernels, &b);
        }
        b.accumulate = true;
    }
    for (int64_t i = 0; g->bias && w->is_last && i < b.m; i++)
        w->kernels->add(b.c + i * b.ldc, b.c + i * b.ldc, g->bias + column, b.n);
}

/* ---- the whole -------------------------------------------------------------------------------------------------------- */

/* Floats of scratch that a worker needs for the chunk. */
static int64_t chunk_scratch(const struct gemm_work *w)
{
    int64_t floats = gemm_pack_scratch(w->kernels);
    for (int t = 0; t < w->g->n_terms; t++) {
        const struct gemm_plan *plan = &w->plan[t];
        if (plan->q)
            floats = cpu_max(floats, w->items.block_rows * (plan->cut.row_steps + plan->cut.runs));
        else if (plan->bf16)
            floats = cpu_max(floats, bf16_pack_scratch(w->kernels));
        else if (w->g->term[t].lda % PAGE_ELEMENTS == 0)
            floats = cpu_max(floats, w->items.block_rows * (plan->k + 16));
    }
    return cpu_round_up(floats, 16);
}

/* How each term is computed; blocks of C get whole tiles of the largest kind of tile that occurs. A is rounded to bf16
 * here unless the caller has it so. */
static void make_plan(struct ctx *c, struct gemm_work *w)
{
    w->items.free_columns = true;
    for (int i = 0; i < w->g->n_terms; i++) {
        const struct gemm_term *t = &w->g->term[i];
        struct gemm_plan *plan = &w->plan[i];
        *plan = (struct gemm_plan){.q = int_kernels_for(w->kernels, t->b.weight), .run = GEMM_RUN};
        plan->bf16 = bf16_kernels_of(w->kernels, &t->b);
        w->items.free_columns = w->items.free_columns && plan->bf16;
        if (plan->bf16) {
            plan->laid_out = bf16_layout_of(&t->b);
            plan->run = plan->bf16->run ? 2 * bf16_run_steps(plan->bf16, t->k) : BF16_RUN;
            plan->rounded =
                t->rounded ? t->rounded : gemm_rounding_add(c, w->rounding, &w->n_roundings, t->a, t->lda, w->g->m, t->k);
            w->items.mr = plan->bf16->mr;
            w->items.block_rows = plan->bf16->block_rows;
        }
        if (!plan->q) continue;
        w->items.mr = cpu_max(w->items.mr, plan->q->mr);
        plan->run = int_cut(plan->q, t->k).run;
        plan->scale = cpu_scratch_f32(c, t->b.form == GEMM_ROWS ? t->k : cpu_round_up(w->g->n, w->kernels->nr));
    }
}

/* Cuts a product into chunks and takes its memory, except for panels and the workers' scratch, which products may share. The
 * chunks are walked here to learn how much the largest needs, and again to compute. */
static void gemm_work_open(struct ctx *c, struct gemm_work *w, const struct cpu_kernels *kernels, const struct gemm *g)
{
    *w = (struct gemm_work){.kernels = kernels, .g = g, .panels = cpu_div_up(g->n, kernels->nr)};
    w->items = (struct gemm_items){
        .m = g->m, .mr = kernels->mr, .block_rows = kernels->block_rows, .nr = kernels->nr, .threads = threads_count(c)};
    int64_t panel_rows = 0;
    make_plan(c, w);
    w->items.block_rows = cpu_round_up(w->items.block_rows, w->items.mr);
    if (w->items.free_columns) w->taken = cpu_scratch(c, DTYPE_I32, cpu_div_up(g->m, w->items.mr));
    w->target = chunk_target(w);
    while (next_chunk(w, w->target)) {
        panel_rows = cpu_max(panel_rows, w->panel_rows);
        w->scratch_floats = cpu_max(w->scratch_floats, chunk_scratch(w));
        w->chunks++;
    }
    BUG_ON(c, w->chunks < 1, "gemm: %d terms without a common axis", g->n_terms);
    int64_t panel_bytes = cpu_max(panel_rows, 1) * kernels->nr * (int64_t)sizeof(float); /* 0 rows: all are laid out */
    int64_t bytes = PACK_BYTES;
    for (int i = 0; i < g->n_terms; i++)
        if (w->plan[i].bf16) bytes = cpu_max(bytes, w->plan[i].bf16->thread_bytes * threads_count(c));
    int64_t most = cpu_max(bytes / panel_bytes / PANELS_A_ITEM, 1) * PANELS_A_ITEM;
    w->at_once = cpu_min(cpu_round_up(cpu_div_up(w->panels, cpu_div_up(w->panels, most)), PANELS_A_ITEM), w->panels);
    w->packed_floats = w->at_once * panel_rows * kernels->nr;
    for (int i = 0; i < g->n_terms; i++) w->plan[i].from = w->plan[i].k = 0;
}

/* Products whose loops are one: items count through those of the first, then of the second. */
struct gemm_batch {
    struct gemm_work *works;
    int n;
    bool round; /* A has yet to be rounded: before the first chunk */
};

/* Items of the first loop for one product: rounding A, then packing B. */
static int64_t first_loop_items(const struct gemm_batch *b, const struct gemm_work *w)
{
    return (b->round ? gemm_round_items(w->rounding, w->n_roundings) : 0) + pack_items(w);
}

static void batch_pack_item(void *arg, int64_t item, int worker)
{
    const struct gemm_batch *b = arg;
    struct gemm_work *w = b->works;
    for (int64_t n; item >= (n = first_loop_items(b, w)); w++) item -= n;
    int64_t roundings = b->round ? gemm_round_items(w->rounding, w->n_roundings) : 0;
    if (item < roundings)
        gemm_round_item(w->kernels->bf16, w->rounding, item);
    else
        gemm_pack_item(w, item - roundings, worker);
}

static void batch_product_item(void *arg, int64_t item, int worker)
{
    const struct gemm_batch *b = arg;
    struct gemm_work *w = b->works;
    for (int64_t n; item >= (n = gemm_items_find(&w->items, INT64_MAX, NULL)); w++) item -= n;
    struct gemm_item at = {0};
    if (!w->items.free_columns)
        gemm_items_find(&w->items, item, &at);
    else if (!gemm_items_take(&w->items, w->taken, worker, &at))
        return;
    product_item(w, at, worker);
}

/* Both loops over what the works have in hand: a chunk of the reduction and the panels from `panel` on. */
static void run_batch(struct ctx *c, struct gemm_work *works, int n, bool round)
{
    struct gemm_batch b = {works, n, round};
    int64_t pack = 0, products = 0;
    for (int i = 0; i < n; i++) {
        works[i].items.n_panels = cpu_min(works[i].at_once, works[i].panels - works[i].panel);
        pack += first_loop_items(&b, &works[i]);
        products += gemm_items_find(&works[i].items, INT64_MAX, NULL);
        if (works[i].items.free_columns)
            memset(works[i].taken, 0, (size_t)gemm_items_blocks(&works[i].items) * sizeof *works[i].taken);
    }
    threads_run(c, pack, batch_pack_item, &b);
    threads_run(c, products, batch_product_item, &b);
}

/* Panels of their own for products that run together; for those that run one after the other the same memory. */
static void take_panels(struct ctx *c, struct gemm_work *works, int n, bool together)
{
    int64_t most = 0;
    for (int i = 0; i < n; i++) most = cpu_max(most, works[i].packed_floats);
    float *shared = together ? NULL : cpu_scratch_f32(c, most);
    for (int i = 0; i < n; i++) works[i].packed = together ? cpu_scratch_f32(c, works[i].packed_floats) : shared;
}

/* Products of few rows go into one parallel loop. Of the others those that need one chunk and whose panels fit at once
 * share both loops: threads wait for each other twice for all of them, which counts where layers are narrow. */
enum status gemm_run_all(struct ctx *c, const struct cpu_kernels *kernels, const struct gemm *list, int n)
{
    struct gemm_work works[GEMM_MAX_LIST];
    bool small = true, together = true;
    int64_t floats = 0;
    for (int i = 0; i < n; i++) small = small && gemm_small_fits(&list[i]);
    if (small) return gemm_small_run(c, kernels, list, n);
    if (bf16_columns_fit(kernels, list, n, threads_count(c))) return bf16_columns_run(c, kernels, list, n);
    int mark = scope_open(c);
    for (int i = 0; i < n; i++) {
        gemm_work_open(c, &works[i], kernels, &list[i]);
        floats = cpu_max(floats, works[i].scratch_floats);
        together = together && works[i].chunks == 1 && works[i].at_once == works[i].panels;
    }
    take_panels(c, works, n, together);
    float *scratch = cpu_scratch_f32(c, floats * threads_count(c));
    for (int i = 0; i < n; i++) works[i].scratch = scratch, works[i].scratch_floats = floats;
    for (int i = 0; i < n && together && ctx_ok(c); i++) next_chunk(&works[i], works[i].target);
    if (together && ctx_ok(c)) run_batch(c, works, n, true);
    for (int i = 0; i < n && !together && ctx_ok(c); i++)
        for (bool first = true; next_chunk(&works[i], works[i].target);)
            for (works[i].panel = 0; works[i].panel < works[i].panels; works[i].panel += works[i].at_once, first = false)
                run_batch(c, &works[i], 1, first);
    scope_close(c, mark);
    return c->status;
}

enum status gemm_run(struct ctx *c, const struct cpu_kernels *kernels, const struct gemm *g)
{
    return gemm_run_all(c, kernels, g, 1);
}
