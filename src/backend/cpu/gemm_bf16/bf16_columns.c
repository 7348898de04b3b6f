/* bf16_columns: see bf16_columns.h. C is cut into parts of 128 columns. A thread takes a part, walks the reduction, all
 * terms one after the other, in chunks whose panels fit into its memory, packs a chunk and multiplies blocks of rows of A
 * with it. When no part is left to take, a thread helps the others with their blocks of rows: cores of a server are not
 * equally fast, and parts are too few to end together. Example: TinyLlama's q, k and v make 2,048, 256 and 256 columns, 20
 * parts; of 16 threads four begin a second part, and the twelve others, when they have ended their own, help them with it.
 */
#include "backend/cpu/gemm_bf16/bf16_columns.h"

#include <sched.h>
#include <stdatomic.h>

#include "backend/cpu/cpu_scratch.h"
#include "backend/cpu/gemm/gemm_round.h"
#include "backend/cpu/gemm_bf16/bf16_layout.h"
#include "base/threads.h"

enum {
    COLUMNS = 128,              /* of a part: whole panels of every table; fewer make A come from L3 more often */
    OWN_FLOATS = (1 << 20) / 4, /* of a thread's panels at most: half of the L2 of a server with AMX */
    BLOCK_ROWS = 64,            /* of A, multiplied at a time */
    /* Rows of C for which products go this way: measured with 512 and 2,048, so from half of the one to twice the other.
     * With fewer, packing is most of the work, which gemm.c spreads more evenly; with more, A may not stay in L3. Panels
     * that are laid out come from memory, which gained with 2,048 rows and not with 512. */
    LEAST_ROWS = 256,
    LEAST_ROWS_LAID_OUT = 1024,
    MOST_ROWS = 4096,
    LOOKS = 200,               /* rounds over all parts, by a thread that finds nothing to help with, before it leaves */
    SERIAL_ELEMENTS = 1 << 15, /* of A: at most this many are rounded by the calling thread, more in a loop */
};

_Static_assert(COLUMNS % CPU_MAX_NR == 0 && COLUMNS % 32 == 0 && OWN_FLOATS % (COLUMNS * BF16_GROUP_STEPS) == 0,
               "parts are whole panels, and chunks whole groups");

/* One product: A of each term in bf16, and how the reduction is cut. */
struct columns_product {
    const struct gemm *g;
    const uint32_t *rounded[GEMM_MAX_TERMS];
    int64_t chunk_steps;
    int n_blocks; /* of rows */
};

/* Columns [first, first + n) of a product. `block` is the chunk in hand, all rows of it. Its owner writes it only while no
 * block of rows can be taken (next >= n_blocks) and none is being multiplied (done == n_blocks). */
struct columns_part {
    const struct columns_product *product;
    int64_t first, n;
    struct bf16_block block;
    bool is_last;                 /* chunk */
    _Alignas(64) atomic_int next; /* block of rows to take; n_blocks or more: there is none now */
    atomic_int done;              /* blocks of rows that have been multiplied */
};

struct columns_work {
    const struct cpu_kernels *kernels;
    const struct bf16_kernels *q;
    struct columns_product product[GEMM_MAX_LIST];
    struct columns_part *part;
    int n_parts, threads;
    float *own, *scratch; /* for each worker */
    int64_t own_floats, scratch_floats;
    atomic_int taken, left; /* parts; not finished */
};

static int64_t block_rows(const struct bf16_kernels *q)
{
    return cpu_round_up(BLOCK_ROWS, q->mr);
}

/* Where a walk along the reduction stands. */
struct columns_cursor {
    int term;
    int64_t from; /* of the term's k */
};

/* Steps [from, from + steps) of a term for the part's columns: packed into `own`, or where they are laid out. */
static struct bf16_part term_part(const struct columns_work *w, const struct columns_part *p, struct columns_cursor at,
                                  int64_t steps, uint32_t *own, float *scratch)
{
    const struct gemm_term *t = &p->product->g->term[at.term];
    const uint32_t *laid_out = bf16_layout_of(&t->b);
    const int64_t nr = w->kernels->nr;
    struct bf16_part part = {.k = cpu_min(2 * steps, t->k - at.from),
                             .a = p->product->rounded[at.term] + at.from / 2,
                             .rs = t->rounded_rs ? t->rounded_rs : bf16_row_steps(t->k)};
    if (laid_out) {
        part.panel_stride = bf16_steps(t->k) * nr;
        part.panels = laid_out + p->first / nr * part.panel_stride + at.from / 2 * nr;
        return part;
    }
    const struct bf16_pack pack = {
        .source = t->b, .from = at.from, .k = part.k, .first = p->first, .n = p->n, .dst = own, .panel_stride = steps * nr};
    bf16_pack_panels(w->kernels, w->q, &pack, scratch);
    part.panels = pack.dst;
    part.panel_stride = pack.panel_stride;
    return part;
}

/* Takes a chunk of the reduction from *at on. Panels that are laid out are counted although nothing is packed for them: they
 * have to stay in L2 as well. Chunks end at groups of the reduction, so no sum depends on them. */
static void take_chunk(const struct columns_work *w, struct columns_part *p, struct columns_cursor *at, int worker)
{
    const struct gemm *g = p->product->g;
    const int64_t columns = cpu_round_up(p->n, w->kernels->nr);
    uint32_t *own = (uint32_t *)(w->own + worker * w->own_floats);
    int64_t room = p->product->chunk_steps;
    for (p->block.n_parts = 0; at->term < g->n_terms && room > 0; at->term++, at->from = 0) {
        int64_t k = g->term[at->term].k, steps = cpu_min(bf16_steps(k - at->from), room);
        p->block.part[p->block.n_parts++] = term_part(w, p, *at, steps, own, w->scratch + worker * w->scratch_floats);
        own += columns * steps;
        room -= steps;
        at->from += 2 * steps;
        if (at->from < k) return;
    }
}

/* Multiplies one block of rows of the part's chunk that nobody has taken; false when there is none. Nothing in here may
 * panic (base/panic.h): the owner waits until all blocks are done. */
static bool multiply_some(const struct columns_work *w, struct columns_part *p)
{
    if (atomic_load_explicit(&p->next, memory_order_relaxed) >= p->product->n_blocks) return false;
    int number = atomic_fetch_add(&p->next, 1);
    if (number >= p->product->n_blocks) return false;
    const struct gemm *g = p->product->g;
    struct bf16_block b = p->block;
    int64_t row = number * block_rows(w->q);
    b.m = cpu_min(block_rows(w->q), g->m - row);
    b.rows_behind = g->m - row - b.m;
    b.c += row * b.ldc;
    for (int i = 0; i < b.n_parts; i++) b.part[i].a += row * b.part[i].rs;
    if (w->q->open) w->q->open();
    bf16_block(w->kernels, &b);
    if (w->q->close) w->q->close();
    for (int64_t i = 0; g->bias && p->is_last && i < b.m; i++)
        w->kernels->add(b.c + i * b.ldc, b.c + i * b.ldc, g->bias + p->first, b.n);
    atomic_fetch_add(&p->done, 1);
    return true;
}

/* A part from beginning to end, by its owner. Its panels are packed anew only when all helpers are done with them. */
static void own_part(struct columns_work *w, struct columns_part *p, int worker)
{
    const struct gemm *g = p->product->g;
    p->block = (struct bf16_block){
        .q = w->q, .n = p->n, .c = g->c + p->first, .ldc = g->ldc, .accumulate = g->accumulate, .rows_first = true};
    for (struct columns_cursor at = {0}; !p->is_last; p->block.accumulate = true) {
        take_chunk(w, p, &at, worker);
        p->is_last = at.term == g->n_terms;
        atomic_store(&p->done, 0);
        atomic_store(&p->next, 0);
        while (multiply_some(w, p)) {
        }
        while (atomic_load(&p->done) < p->product->n_blocks) sched_yield();
    }
    atomic_fetch_sub(&w->left, 1);
}

/* All that one thread does. Helpers begin with different parts, and give the core away between two rounds, in case that an
 * owner waits for it. */
static void columns_worker(void *arg, int64_t item, int worker)
{
    struct columns_work *w = arg;
    int first = (int)((int64_t)worker * w->n_parts / w->threads);
    (void)item;
    for (int i; (i = atomic_fetch_add(&w->taken, 1)) < w->n_parts;) own_part(w, &w->part[i], worker);
    for (int looks = 0; looks < LOOKS && atomic_load(&w->left) > 0; looks++) {
        for (int i = 0; i < w->n_parts; i++)
            while (multiply_some(w, &w->part[(first + i) % w->n_parts])) looks = 0;
        sched_yield();
    }
}

/* How many parts the columns of a list make. */
static int64_t count_parts(const struct gemm *list, int n)
{
    int64_t parts = 0;
    for (int i = 0; i < n; i++) parts += cpu_div_up(list[i].n, COLUMNS);
    return parts;
}

bool bf16_columns_fit(const struct cpu_kernels *kernels, const struct gemm *list, int n, int threads)
{
    for (int i = 0; i < n; i++)
        for (int t = 0; t < list[i].n_terms; t++) {
            const struct gemm_term *term = &list[i].term[t];
            const struct bf16_kernels *q = bf16_kernels_of(kernels, &term->b);
            int64_t least = bf16_layout_of(&term->b) ? LEAST_ROWS_LAID_OUT : LEAST_ROWS;
            if (!q || q->run != 0 || term->k == 0 || list[i].m < least || list[i].m > MOST_ROWS) return false;
        }
    return count_parts(list, n) >= threads;
}

/* How long chunks are: all the same, as few as fit. */
static int64_t chunk_steps(const struct gemm *g)
{
    int64_t all = 0, most = OWN_FLOATS / COLUMNS;
    for (int t = 0; t < g->n_terms; t++) all += bf16_steps(g->term[t].k);
    return cpu_min(cpu_round_up(cpu_div_up(all, cpu_div_up(all, most)), BF16_GROUP_STEPS), most);
}

/* Names the products and their parts, and has the A operands rounded that are not yet. */
static void open_products(struct ctx *c, struct columns_work *w, const struct gemm *list, int n)
{
    struct gemm_rounding rounding[GEMM_MAX_LIST * GEMM_MAX_TERMS];
    int n_roundings = 0;
    int64_t elements = 0;
    for (int i = 0; i < n; i++) {
        struct columns_product *p = &w->product[i];
        *p = (struct columns_product){.g = &list[i], .chunk_steps = chunk_steps(&list[i])};
        p->n_blocks = (int)cpu_div_up(list[i].m, block_rows(w->q));
        w->own_floats = cpu_max(w->own_floats, p->chunk_steps * cpu_round_up(cpu_min(list[i].n, COLUMNS), w->kernels->nr));
        for (int64_t first = 0; w->part && first < list[i].n; first += COLUMNS) {
            struct columns_part *part = &w->part[w->n_parts++];
            *part = (struct columns_part){.product = p, .first = first, .n = cpu_min(COLUMNS, list[i].n - first)};
            atomic_init(&part->next, p->n_blocks);
        }
        for (int t = 0; t < list[i].n_terms; t++) {
            const struct gemm_term *term = &list[i].term[t];
            p->rounded[t] = term->rounded;
            if (term->rounded) continue;
            p->rounded[t] = gemm_rounding_add(c, rounding, &n_roundings, term->a, term->lda, list[i].m, term->k);
            elements += list[i].m * term->k;
        }
    }
    if (elements > SERIAL_ELEMENTS) {
        gemm_round(c, w->q, rounding, n_roundings);
    } else if (ctx_ok(c) && !threads_are_idle(c)) {
        for (int64_t i = 0; i < gemm_round_items(rounding, n_roundings); i++) gemm_round_item(w->q, rounding, i);
    }
}

enum status bf16_columns_run(struct ctx *c, const struct cpu_kernels *kernels, const struct gemm *list, int n)
{
    struct columns_work w = {.kernels = kernels, .q = kernels->bf16, .threads = threads_count(c)};
    int mark = scope_open(c);
    w.scratch_floats = cpu_round_up(bf16_pack_scratch(kernels), 16);
    w.part = cpu_scratch(c, DTYPE_U8, count_parts(list, n) * (int64_t)sizeof *w.part);
    open_products(c, &w, list, n);
    w.own = cpu_scratch_f32(c, w.own_floats * w.threads);
    w.scratch = cpu_scratch_f32(c, w.scratch_floats * w.threads);
    atomic_init(&w.left, w.n_parts);
    if (ctx_ok(c)) threads_run(c, w.threads, columns_worker, &w);
    scope_close(c, mark);
    return c->status;
}
