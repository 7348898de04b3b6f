/* gemm_small: products C = A B^T whose C has a few rows (at most GEMM_SMALL_M), as generating a token needs them. B is
 * read once, as it is stored, and never packed: reading it from memory is what takes the time. A work item is a run of
 * columns of C, which are rows of B, four at a time, which the kernel decodes and multiplies together; rows of a type that
 * it does not know are widened first. Kernels that multiply in fixed point need rows of A converted (fix): that is done
 * before the parallel loop, once for all products that share them. */
#include "backend/cpu/gemm/gemm_small.h"

#include "array/codec/quant.h"
#include "backend/cpu/cpu_scratch.h"
#include "base/threads.h"

enum {
    COLUMNS = 32, /* of a work item: some microseconds, so that threads end together also where C has 576 columns */
    AHEAD_BYTES = 4096
};

/* The rows of a term's A in the kernel's own form, or NULL. */
struct fixed {
    const char *rows;
    size_t row_bytes;
};

/* One list of products, as all its work items see it. */
struct gemm_small_work {
    const struct cpu_kernels *kernels;
    const struct gemm *list;
    int n;
    int threads;
    int64_t first[GEMM_MAX_LIST + 1]; /* items of product i start here */
    struct fixed fixed[GEMM_MAX_LIST][GEMM_MAX_TERMS];
    float *scratch; /* one widened row for each worker */
    int64_t scratch_floats;
};

/* Sums of a group of columns, and which rows of B they are. The last of a group is repeated where columns end. */
struct small_group {
    int64_t column[CPU_DOT_ROWS];
    float sum[GEMM_SMALL_M][CPU_DOT_ROWS];
};

/* Rows of B must be the reduction: then a row of B is one dot product, and lies in one piece. */
bool gemm_small_fits(const struct gemm *g)
{
    if (g->m > GEMM_SMALL_M) return false;
    for (int t = 0; t < g->n_terms; t++)
        if (g->term[t].b.form != GEMM_TRANSPOSED) return false;
    return true;
}

/* Where row `row` of B lies, as stored. */
static const void *stored_row(const struct gemm_source *s, int64_t row)
{
    return s->weight ? weight_row(s->weight, row) : (const void *)(s->data + row * s->ld);
}

/* How far rows of a later group lie from those of the group at `column`: the next group's, or where rows are short that of
 * several groups on, so that AHEAD_BYTES are under way. */
static ptrdiff_t small_ahead(const struct gemm_source *s, int64_t column, int64_t n)
{
    int64_t row_bytes = s->weight ? (int64_t)s->weight->row_bytes : s->ld * (int64_t)sizeof(float);
    int64_t rows = CPU_DOT_ROWS * cpu_div_up(AHEAD_BYTES, CPU_DOT_ROWS * row_bytes);
    if (column + rows >= n) return rows * row_bytes;
    return (const char *)stored_row(s, column + rows) - (const char *)stored_row(s, column);
}

/* By the instruction set's own loop for these rows, or by the one that decodes blocks of any type. */
static bool dot_stored(const struct cpu_kernels *kernels, const struct cpu_dot *d, float *dot)
{
    if (kernels->dot_rows && kernels->dot_rows(d, dot)) return true;
    if (d->form != WEIGHT_STORED || !quant_decoder(d->type)) return false;
    kernels->dot_blocks(d, dot);
    return true;
}

/* False when the kernels do not know the form of B. */
static bool add_stored(const struct cpu_kernels *kernels, const struct gemm_term *t, const struct fixed *fixed,
                       const struct gemm *g, struct small_group *group)
{
    const struct weight *w = t->b.weight;
    struct cpu_dot d = {.form = w ? w->form : WEIGHT_STORED, .type = w ? w->type : TENSOR_F32, .k = t->k};
    d.ahead = small_ahead(&t->b, group->column[0], g->n);
    for (int i = 0; i < CPU_DOT_ROWS; i++) d.row[i] = stored_row(&t->b, group->column[i]);
    for (int64_t i = 0; i < g->m; i++) {
        float dot[CPU_DOT_ROWS];
        d.x = t->a + i * t->lda;
        d.fixed = fixed->rows ? fixed->rows + (size_t)i * fixed->row_bytes : NULL;
        if (!dot_stored(kernels, &d, dot)) return false;
        for (int j = 0; j < CPU_DOT_ROWS; j++) group->sum[i][j] += t->b.scale * dot[j];
    }
    return true;
}

/* Row by row through f32. */
static void add_widened(const struct cpu_kernels *kernels, const struct gemm_term *t, int64_t m, struct small_group *group,
                        float *scratch)
{
    for (int j = 0; j < CPU_DOT_ROWS; j++) {
        const float *row = gemm_source_row(kernels, &t->b, group->column[j], 0, t->k, scratch);
        for (int64_t i = 0; i < m; i++) group->sum[i][j] += t->b.scale * kernels->dot(t->a + i * t->lda, row, t->k);
    }
}

/* Some columns of one product, CPU_DOT_ROWS at a time. Neighbouring items are a stretch of rows of B in memory order
 * (threads_stretch), because reading B is what takes the time. */
static void small_item(void *arg, int64_t item, int worker)
{
    const struct gemm_small_work *w = arg;
    int at = 0;
    item = threads_stretch(item, w->first[w->n], w->threads);
    while (item >= w->first[at + 1]) at++;
    const struct gemm *g = &w->list[at];
    int64_t column = (item - w->first[at]) * COLUMNS, end = cpu_min(column + COLUMNS, g->n);
    for (; column < end; column += CPU_DOT_ROWS) {
        struct small_group group;
        int64_t n = cpu_min(CPU_DOT_ROWS, end - column);
        for (int64_t i = 0; i < g->m; i++) /* no more than needed: this is inside the loop over a whole model */
            for (int j = 0; j < CPU_DOT_ROWS; j++) group.sum[i][j] = 0;
        for (int j = 0; j < CPU_DOT_ROWS; j++) group.column[j] = column + cpu_min(j, n - 1);
        for (int t = 0; t < g->n_terms; t++)
            if (!add_stored(w->kernels, &g->term[t], &w->fixed[at][t], g, &group))
                add_widened(w->kernels, &g->term[t], g->m, &group, w->scratch + worker * w->scratch_floats);
        for (int64_t i = 0; i < g->m; i++)
            for (int64_t j = 0; j < n; j++) {
                float *c = g->c + i * g->ldc + column + j;
                *c = (g->accumulate ? *c : 0.0f) + (g->bias ? g->bias[column + j] : 0.0f) + group.sum[i][j];
            }
    }
}

/* What an earlier term made of the same rows for the same type, or NULL. */
static const struct fixed *find_fixed(const struct gemm_small_work *w, int product, int term)
{
    const struct gemm_term *t = &w->list[product].term[term];
    for (int i = 0; i <= product; i++)
        for (int j = 0; j < (i < product ? w->list[i].n_terms : term); j++) {
            const struct gemm_term *other = &w->list[i].term[j];
            bool same = other->a == t->a && other->lda == t->lda && other->k == t->k && w->list[i].m == w->list[product].m;
            if (same && w->fixed[i][j].rows && other->b.weight->type == t->b.weight->type) return &w->fixed[i][j];
        }
    return NULL;
}

/* Puts A's rows into fixed point if the kernel wants that for this type of B; q, k and v, or gate and up, share one such
 * copy. */
static void fix_rows(struct ctx *c, struct gemm_small_work *w, int product, int term)
{
    const struct gemm_term *t = &w->list[product].term[term];
    const struct weight *weight = t->b.weight;
    struct fixed *f = &w->fixed[product][term];
    size_t bytes = weight && w->kernels->fixed_bytes ? w->kernels->fixed_bytes(weight->form, weight->type, t->k) : 0;
    if (bytes == 0) return;
    const struct fixed *earlier = find_fixed(w, product, term);
    if (earlier) {
        *f = *earlier;
        return;
    }
    char *rows = cpu_scratch(c, DTYPE_U8, (int64_t)bytes * w->list[product].m);
    for (int64_t i = 0; rows && i < w->list[product].m; i++)
        w->kernels->fix(rows + (size_t)i * bytes, weight->type, t->a + i * t->lda, t->k);
    *f = (struct fixed){rows, bytes};
}

enum status gemm_small_run(struct ctx *c, const struct cpu_kernels *kernels, const struct gemm *list, int n)
{
    struct gemm_small_work w = {.kernels = kernels, .list = list, .n = n, .threads = threads_count(c)};
    BUG_ON(c, n < 1 || n > GEMM_MAX_LIST, "%d products in a list", n);
    int mark = scope_open(c);
    for (int i = 0; i < n; i++) {
        w.first[i + 1] = w.first[i] + cpu_div_up(list[i].n, COLUMNS);
        for (int t = 0; t < list[i].n_terms; t++) {
            w.scratch_floats = cpu_max(w.scratch_floats, cpu_round_up(list[i].term[t].k, 16));
            fix_rows(c, &w, i, t);
        }
    }
    w.scratch = cpu_scratch_f32(c, w.scratch_floats * threads_count(c));
    if (ctx_ok(c)) threads_run(c, w.first[n], small_item, &w);
    scope_close(c, mark);
    return c->status;
}
