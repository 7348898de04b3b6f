/* cpu_adapter_bf16: the products of cpu_adapter.h with operands rounded to bf16 and sums in f32, where the layer's own
 * products are (gemm_bf16.h).
 *
 * u = s dy B is a product like any other. dA = u^T x and dB^T = s h^T dy sum over tokens: their A operands are u and h
 * transposed, which are small, and their B operands are rows of x and dy as they stand, put into panels of pairs of tokens.
 * A work item takes BLOCK columns of dy, or of x for all adapters that share it, and a stretch of tokens, TOKENS at a time,
 * whose panels of 32 KiB stay in L1. dy was rounded for dx and is read so, half as many bytes; x is rounded on the way.
 *
 * Sums of a stretch are kept by themselves and added up in order by a last loop. How tokens are cut depends on their number
 * alone, so the bits of a result do not depend on that of threads.
 *
 * Not tried: stretches over all columns, as in cpu_adapter.c, which would write and read sums for 16 of them; columns alone,
 * of which narrow layers have too few for 16 threads. */
#include "array/array.h"
#include "backend/cpu/cpu_scratch.h"
#include "backend/cpu/gemm/gemm.h"
#include "backend/cpu/gemm_bf16/gemm_bf16.h"
#include "backend/cpu/linear/cpu_adapter.h"
#include "base/threads.h"

enum {
    BLOCK = 128,        /* columns of a work item: whole panels of every table */
    TOKENS = 128,       /* in panels at a time */
    STRETCH = 512,      /* tokens of a work item at least */
    STRETCHES_MAX = 16, /* sums are so many times dA and dB */
};

_Static_assert(BLOCK % CPU_MAX_NR == 0 && TOKENS % BF16_GROUP == 0, "blocks are whole panels, tokens whole groups");

/* One call, as all its work items see it. */
struct adapter_bf16_work {
    const struct cpu_kernels *kernels;
    const struct bf16_kernels *q;
    const struct cpu_adapter *adapters;
    int n_adapters;
    bool accumulate;
    int64_t n, stretch, stretches;
    uint32_t *h[CPU_ADAPTERS_MAX], *u[CPU_ADAPTERS_MAX]; /* (R, N) in bf16, rows bf16_row_steps(n) apart */
    float *sums[CPU_ADAPTERS_MAX];                       /* (stretches, R, M + K): dB transposed beside dA */
    float *scratch;                                      /* scratch_floats for each worker */
    int64_t scratch_floats;
};

/* What one item of a loop is about: `count` adapters from `at` on, dB (is_da false, of one adapter) or dA, and columns. */
struct adapter_bf16_item {
    int at, count;
    bool is_da;
    int64_t column, columns;
};

/* How many adapters from `at` on share their x. */
static int sharing(const struct adapter_bf16_work *w, int at)
{
    int n = 1;
    while (at + n < w->n_adapters && w->adapters[at + n].x == w->adapters[at].x) n++;
    return n;
}

/* Whether one of the item's adapters wants a gradient. */
static bool item_wanted(const struct adapter_bf16_work *w, const struct adapter_bf16_item *item)
{
    bool wanted = false;
    for (int i = item->at; i < item->at + item->count; i++)
        wanted = wanted || (item->is_da ? w->adapters[i].da : w->adapters[i].db);
    return wanted;
}

/* Counts through blocks of columns: of dy of each adapter, then of each x. Returns how many there are, and *item becomes
 * the one called `number` when it is one of them. */
static int64_t sums_block(const struct adapter_bf16_work *w, int64_t number, struct adapter_bf16_item *item)
{
    int64_t n = 0;
    for (int is_da = 0; is_da < 2; is_da++)
        for (int i = 0, count; i < w->n_adapters; i += count) {
            count = is_da ? sharing(w, i) : 1;
            struct adapter_bf16_item found = {.at = i, .count = count, .is_da = is_da};
            int64_t all = is_da ? w->adapters[i].k : w->adapters[i].m;
            if (!item_wanted(w, &found)) continue;
            int64_t blocks = cpu_div_up(all, BLOCK);
            if (number >= n && number < n + blocks) {
                found.column = (number - n) * BLOCK;
                found.columns = cpu_min(BLOCK, all - found.column);
                *item = found;
            }
            n += blocks;
        }
    return n;
}

/* ---- u and h, transposed ---------------------------------------------------------------------------------------------- */

/* Work item of the first loop: TOKENS rows of h or u of an adapter. Behind the last token a row is 0 up to a whole group. */
static void transpose_item(void *arg, int64_t item, int worker)
{
    const struct adapter_bf16_work *w = arg;
    int64_t blocks = cpu_div_up(w->n, TOKENS), token = item % blocks * TOKENS, n = cpu_min(TOKENS, w->n - token);
    int64_t at = item / blocks / 2, rs = bf16_row_steps(w->n);
    bool is_u = item / blocks % 2;
    const struct cpu_adapter *a = &w->adapters[at];
    uint32_t *to = is_u ? w->u[at] : w->h[at];
    float *wide = w->scratch + worker * w->scratch_floats;
    if (!(is_u ? a->da : a->db)) return;
    const float *rows = is_u ? a->u + token * a->r : a->h + token * a->ldh;
    w->kernels->transpose(wide, TOKENS, rows, is_u ? a->r : a->ldh, n, a->r, 1.0f);
    for (int64_t r = 0; r < a->r; r++) {
        for (int64_t t = n; t < cpu_round_up(n, BF16_GROUP); t++) wide[r * TOKENS + t] = 0;
        w->q->round((uint16_t *)(to + r * rs + token / 2), wide + r * TOKENS, cpu_round_up(n, BF16_GROUP));
    }
}

/* ---- sums over tokens ------------------------------------------------------------------------------------------------- */

/* Rows [token, token + n) of the item's columns, of dy or of x, as panels, panel_stride steps apart. */
static void pack_columns(const struct adapter_bf16_work *w, const struct adapter_bf16_item *item, int64_t token, int64_t n,
                         uint32_t *panels, int64_t panel_stride, float *scratch)
{
    const struct cpu_adapter *a = &w->adapters[item->at];
    if (!item->is_da || a->x_is_rounded) {
        int64_t rs = item->is_da ? a->ldx / 2 : a->dy_rs;
        const uint32_t *rows = item->is_da ? a->x : a->dy_rounded;
        bf16_pack_rounded(w->kernels, w->q, GEMM_ROWS, rows + token * rs + item->column / 2, rs, n, item->columns, panels,
                          panel_stride);
        return;
    }
    struct bf16_pack p = {.source = {.form = GEMM_ROWS, .data = a->x, .ld = a->ldx, .scale = 1.0f},
                          .from = token,
                          .k = n,
                          .first = item->column,
                          .n = item->columns,
                          .dst = panels,
                          .panel_stride = panel_stride};
    bf16_pack_panels(w->kernels, w->q, &p, scratch);
}

/* Asks L2 for the same columns of rows that will be packed next, while others are multiplied: rows are pages apart, and no
 * processor's own prefetcher follows that. */
static void columns_ahead(const struct adapter_bf16_work *w, const struct adapter_bf16_item *item, int64_t token, int64_t n)
{
    const struct cpu_adapter *a = &w->adapters[item->at];
    const char *rows = item->is_da ? a->x : (const void *)a->dy_rounded;
    int64_t element = item->is_da && !a->x_is_rounded ? 4 : 2, row = item->is_da ? a->ldx * element : a->dy_rs * 4;
    for (int64_t t = token; t < token + n; t++)
        for (int64_t at = item->column * element; at < (item->column + item->columns) * element; at += 64)
            __builtin_prefetch(rows + t * row + at, 0, 2);
}

/* Work item of the second loop: the sums of a stretch for a block of columns. */
static void sums_item(void *arg, int64_t number, int worker)
{
    const struct adapter_bf16_work *w = arg;
    struct adapter_bf16_item item = {0};
    int64_t blocks = sums_block(w, -1, &item), at = number / blocks, begin = at * w->stretch;
    int64_t end = cpu_min(begin + w->stretch, w->n), stride = bf16_steps(TOKENS) * w->kernels->nr;
    uint32_t *panels = (uint32_t *)(w->scratch + worker * w->scratch_floats);
    float *scratch = w->scratch + worker * w->scratch_floats + bf16_steps(TOKENS) * BLOCK;
    sums_block(w, number % blocks, &item);
    if (w->q->open) w->q->open();
    for (int64_t token = begin; token < end; token += TOKENS) {
        int64_t n = cpu_min(TOKENS, end - token);
        pack_columns(w, &item, token, n, panels, stride, scratch);
        columns_ahead(w, &item, token + n, cpu_min(TOKENS, end - token - n));
        for (int i = item.at; i < item.at + item.count; i++) {
            const struct cpu_adapter *a = &w->adapters[i];
            int64_t ld = a->m + a->k;
            struct bf16_block g = {.q = w->q, .m = a->r, .n = item.columns, .n_parts = 1, .ldc = ld};
            if (!(item.is_da ? a->da : a->db)) continue;
            g.part[0] = (struct bf16_part){.k = n,
                                           .a = (item.is_da ? w->u[i] : w->h[i]) + token / 2,
                                           .rs = bf16_row_steps(w->n),
                                           .panels = panels,
                                           .panel_stride = stride};
            g.c = w->sums[i] + at * a->r * ld + (item.is_da ? a->m : 0) + item.column;
            g.accumulate = token > begin;
            bf16_block(w->kernels, &g);
        }
    }
    if (w->q->close) w->q->close();
}

/* Work item of the last loop: adds the stretches of a block of columns, in order, to dB or dA. */
static void sums_join_item(void *arg, int64_t number, int worker)
{
    (void)worker;
    const struct adapter_bf16_work *w = arg;
    struct adapter_bf16_item item = {0};
    sums_block(w, number, &item);
    for (int i = item.at; i < item.at + item.count; i++) {
        const struct cpu_adapter *a = &w->adapters[i];
        int64_t ld = a->m + a->k;
        if (!(item.is_da ? a->da : a->db)) continue;
        for (int64_t r = 0; r < a->r; r++) {
            float *sum = w->sums[i] + r * ld + (item.is_da ? a->m : 0) + item.column;
            for (int64_t s = 1; s < w->stretches; s++) w->kernels->add(sum, sum, sum + s * a->r * ld, item.columns);
            float *out = item.is_da ? a->da + r * a->ld_da + item.column : a->db + item.column * a->ld_db + r;
            int64_t step = item.is_da ? 1 : a->ld_db;
            for (int64_t j = 0; j < item.columns; j++) {
                float value = item.is_da ? sum[j] : a->scale * sum[j];
                out[j * step] = w->accumulate ? out[j * step] + value : value;
            }
        }
    }
}

/* ---- the whole -------------------------------------------------------------------------------------------------------- */

/* u of all adapters: products of dy as it was rounded. */
static void adapters_u(struct ctx *c, const struct adapter_bf16_work *w)
{
    struct gemm list[CPU_ADAPTERS_MAX];
    for (int i = 0; i < w->n_adapters; i++) {
        const struct cpu_adapter *a = &w->adapters[i];
        struct gemm_source b = {.form = GEMM_ROWS, .data = a->b, .ld = a->ldb, .scale = a->scale, .bf16 = true};
        list[i] = (struct gemm){.m = w->n, .n = a->r, .c = a->u, .ldc = a->r, .n_terms = 1};
        list[i].term[0] = (struct gemm_term){
            .a = a->dy, .lda = a->ldy, .k = a->m, .rounded = a->dy_rounded, .rounded_rs = a->dy_rs, .b = b};
    }
    gemm_run_all(c, w->kernels, list, w->n_adapters);
}

/* Takes the memory of all loops. */
static void adapter_bf16_open(struct ctx *c, struct adapter_bf16_work *w)
{
    int64_t floats = bf16_steps(TOKENS) * BLOCK + bf16_pack_scratch(w->kernels);
    w->stretch = cpu_round_up(cpu_max(cpu_div_up(w->n, STRETCHES_MAX), STRETCH), TOKENS);
    w->stretches = cpu_div_up(w->n, w->stretch);
    for (int i = 0; i < w->n_adapters; i++) {
        const struct cpu_adapter *a = &w->adapters[i];
        int64_t transposed = (a->r + BF16_MAX_MR) * bf16_row_steps(w->n); /* rows behind the last may be read */
        if (!a->da && !a->db) continue;
        w->h[i] = (uint32_t *)cpu_scratch_f32(c, transposed);
        w->u[i] = (uint32_t *)cpu_scratch_f32(c, transposed);
        w->sums[i] = cpu_scratch_f32(c, w->stretches * a->r * (a->m + a->k));
        floats = cpu_max(floats, a->r * TOKENS);
    }
    w->scratch_floats = cpu_round_up(floats, 16);
    w->scratch = cpu_scratch_f32(c, w->scratch_floats * threads_count(c));
}

enum status cpu_adapter_bf16_run(struct ctx *c, const struct cpu_kernels *kernels, int64_t n,
                                 const struct cpu_adapter *adapters, int n_adapters, bool accumulate)
{
    struct adapter_bf16_work w = {.kernels = kernels,
                                  .q = kernels->bf16,
                                  .adapters = adapters,
                                  .n_adapters = n_adapters,
                                  .accumulate = accumulate,
                                  .n = n};
    struct adapter_bf16_item none;
    if (n_adapters == 0) return OK;
    int mark = scope_open(c);
    adapter_bf16_open(c, &w);
    if (ctx_ok(c)) adapters_u(c, &w);
    int64_t blocks = sums_block(&w, -1, &none);
    if (ctx_ok(c) && blocks > 0) {
        threads_run(c, n_adapters * 2 * cpu_div_up(n, TOKENS), transpose_item, &w);
        threads_run(c, w.stretches * blocks, sums_item, &w);
        threads_run(c, blocks, sums_join_item, &w);
    }
    scope_close(c, mark);
    return c->status;
}
