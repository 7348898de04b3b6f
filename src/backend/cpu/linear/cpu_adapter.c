/* cpu_adapter: the backward products of adapters, u = s dy B, dB = s dy^T h and dA = u^T x (cpu_adapter.h).
 *
 * Their results are thin (R columns), so what they cost is reading dy (N, M) and x (N, K), which do not stay in a cache:
 * each is read once here. The tokens are cut into stretches, one work item each, and a stretch into runs of 64 tokens.
 * From a run a chunk of 96 columns of dy is copied to scratch, 24 KiB, which stays in the L1 cache (in the matrix itself
 * rows are a page apart in wide models). The chunk then serves both products that need it: u, which sums over columns, and
 * dB, which sums over tokens. When u of the run is complete, chunks of x serve dA of all adapters that share x.
 *
 * Sums over tokens are kept for each stretch by itself, and a second loop adds the stretches in order. The number of
 * stretches depends on the number of tokens alone and not on that of threads, so the bits of a result do not either.
 *
 * Rejected: products one by one with work cut by columns, where dy is read twice and x once for each adapter, which took
 * half of the time. Layers whose products are in bf16 have cpu_adapter_bf16.c. */
#include "backend/cpu/linear/cpu_adapter.h"

#include <string.h>

#include "backend/cpu/cpu_scratch.h"
#include "backend/cpu/gemm/gemm.h"
#include "base/threads.h"

enum {
    CHUNK = 96,             /* columns */
    TOKENS = 64,            /* of a run: 24 KiB a chunk */
    STRIPE = 12,            /* tokens multiplied between two requests for as much of the next chunk */
    LINE = 64 / 4,          /* floats of a cache line */
    STRETCHES_MAX = 16,     /* work items, each with sums of its own, which are 16 times dA and dB then */
    SET_ELEMENTS = 1024 / 4 /* rows a multiple of 1 KiB apart share four of the 64 sets of an L1 */
};

/* One call, as all its work items see it. */
struct adapter_work {
    const struct cpu_kernels *kernels;
    const struct cpu_adapter *adapters;
    int n_adapters;
    bool accumulate;
    int64_t n, stretch, stretches;
    int64_t ld[CPU_ADAPTERS_MAX];  /* R in whole panels, rows of it not a few cache sets apart */
    float *b[CPU_ADAPTERS_MAX];    /* s B as panels, (panels, M, nr) */
    float *sums[CPU_ADAPTERS_MAX]; /* (stretches, M + K, ld): dB, then the transpose of dA */
    float *scratch;
    int64_t scratch_floats;
};

/* A run of tokens that a worker has in hand, and the worker's scratch. */
struct adapter_run {
    int64_t token, n;           /* the tokens */
    bool first;                 /* of its stretch */
    float *chunk;               /* (TOKENS, CHUNK) */
    float *copy;                /* (TOKENS, ld): rows of h that cannot be read in place */
    float *u[CPU_ADAPTERS_MAX]; /* (TOKENS, ld) */
};

/* A worker's scratch cut into its parts, with no tokens yet. */
static struct adapter_run adapter_run_of(const struct adapter_work *w, int worker)
{
    struct adapter_run r = {.chunk = w->scratch + worker * w->scratch_floats};
    float *next = r.chunk + TOKENS * CHUNK;
    for (int i = 0; i < w->n_adapters; i++, next += TOKENS * w->ld[i - 1]) r.u[i] = next; /* behind it, by its own size */
    r.copy = next;
    return r;
}

/* Floats of a worker: its chunk, u of every adapter, and a copy of h; or what packing s B takes, where that is more. */
static int64_t adapter_scratch_floats(const struct adapter_work *w)
{
    int64_t rows = 0, widest = 0;
    for (int i = 0; i < w->n_adapters; i++) {
        rows += w->ld[i];
        widest = cpu_max(widest, gemm_direct_ld(w->adapters[i].r));
    }
    return cpu_round_up(cpu_max(TOKENS * (CHUNK + rows + widest), gemm_pack_scratch(w->kernels)), 16);
}

/* s B of adapter `item`, (M, R), as panels. */
static void adapter_pack_item(void *arg, int64_t item, int worker)
{
    const struct adapter_work *w = arg;
    const struct cpu_adapter *a = &w->adapters[item];
    struct gemm_pack p = {.source = {.form = GEMM_ROWS, .data = a->b, .ld = a->ldb, .scale = a->scale},
                          .k = a->m,
                          .n = a->r,
                          .n_panels = cpu_div_up(a->r, w->kernels->nr),
                          .dst = w->b[item],
                          .panel_stride = a->m * w->kernels->nr};
    gemm_pack_panels(w->kernels, &p, w->scratch + worker * w->scratch_floats);
}

/* Asks the cache for columns [0, CHUNK) of rows that will be copied next, while others are multiplied: rows are far apart,
 * and the processor's own prefetcher follows neither that distance nor the order. */
static void prefetch(const float *rows, int64_t ld, int64_t n)
{
    for (int64_t t = 0; t < n; t++)
        for (int64_t j = 0; j < CHUNK; j += LINE) __builtin_prefetch(rows + t * ld + j, 0, 2);
}

/* u (tokens, ld) = the chunk (tokens, columns) times rows [column, column + columns) of s B; added to u after the first
 * chunk. R is rounded up to columns that a tile writes whole, here and in add_sums, since u and sums have ld for them: those
 * behind R come from the panels' zeros and are never read. */
static void add_u(const struct adapter_work *w, const struct adapter_run *r, int at, int64_t column, int64_t columns)
{
    const struct cpu_adapter *a = &w->adapters[at];
    const float *next = column + CHUNK < a->m ? a->dy + r->token * a->ldy + column + CHUNK : NULL;
    for (int64_t i = 0; i < r->n; i += STRIPE) {
        int64_t rows = cpu_min(STRIPE, r->n - i);
        struct gemm_block g = {.m = rows,
                               .n = cpu_round_up(a->r, w->kernels->column_step),
                               .k = columns,
                               .a = r->chunk + i * CHUNK,
                               .rs = CHUNK,
                               .cs = 1,
                               .b = w->b[at] + column * w->kernels->nr,
                               .panel_stride = a->m * w->kernels->nr,
                               .ldb = w->kernels->nr,
                               .c = r->u[at] + i * w->ld[at],
                               .ldc = w->ld[at],
                               .accumulate = column > 0};
        if (next) prefetch(next + i * a->ldy, a->ldy, rows);
        gemm_block(w->kernels, &g);
    }
}

/* sums (columns, ld) = the transposed chunk times rows (tokens, width), row stride ld_rows; added to sums after the first
 * run of a stretch. */
static void add_sums(const struct adapter_work *w, const struct adapter_run *r, int64_t columns, const float *rows,
                     int64_t ld_rows, int64_t width, float *sums, int64_t ld)
{
    struct gemm_block g = {.m = columns,
                           .n = cpu_round_up(width, w->kernels->column_step),
                           .k = r->n,
                           .a = r->chunk,
                           .rs = 1,
                           .cs = CHUNK,
                           .b = rows,
                           .panel_stride = w->kernels->nr,
                           .ldb = ld_rows,
                           .c = sums,
                           .ldc = ld,
                           .accumulate = !r->first};
    gemm_block(w->kernels, &g);
}

/* Copies `columns` columns of the run's rows to the chunk. */
static void copy_chunk(const struct adapter_work *w, const struct adapter_run *r, const float *rows, int64_t ld,
                       int64_t columns)
{
    for (int64_t t = 0; t < r->n; t++) w->kernels->scale(r->chunk + t * CHUNK, 1.0f, rows + t * ld, columns);
}

/* Passes over dy of adapter `at` once: u of the run, and the run's part of dB. */
static void pass_dy(const struct adapter_work *w, const struct adapter_run *r, int at, float *sums)
{
    const struct cpu_adapter *a = &w->adapters[at];
    int64_t ldh = a->ldh, ld = w->ld[at];
    const float *h = a->db ? gemm_direct_rows(w->kernels, a->h + r->token * a->ldh, &ldh, r->n, a->r, r->copy) : NULL;
    for (int64_t column = 0; column < a->m; column += CHUNK) {
        int64_t columns = cpu_min(CHUNK, a->m - column);
        copy_chunk(w, r, a->dy + r->token * a->ldy + column, a->ldy, columns);
        add_u(w, r, at, column, columns);
        if (h) add_sums(w, r, columns, h, ldh, a->r, sums + column * ld, ld);
    }
    for (int64_t t = 0; t < r->n; t++) memcpy(a->u + (r->token + t) * a->r, r->u[at] + t * ld, (size_t)a->r * sizeof(float));
}

/* Passes over x once: the run's part of dA of adapters [from, to), which share x. */
static void pass_x(const struct adapter_work *w, const struct adapter_run *r, int from, int to, float *const *sums)
{
    const struct cpu_adapter *first = &w->adapters[from];
    for (int64_t column = 0; column < first->k; column += CHUNK) {
        int64_t columns = cpu_min(CHUNK, first->k - column);
        copy_chunk(w, r, (const float *)first->x + r->token * first->ldx + column, first->ldx, columns);
        for (int i = from; i < to; i++) {
            const struct cpu_adapter *a = &w->adapters[i];
            float *sum = sums[i] + (a->m + column) * w->ld[i];
            if (a->da) add_sums(w, r, columns, r->u[i], w->ld[i], a->r, sum, w->ld[i]);
        }
    }
}

/* Work item: a stretch of tokens, run by run; its sums start at 0 in the first run. */
static void stretch_item(void *arg, int64_t item, int worker)
{
    const struct adapter_work *w = arg;
    struct adapter_run r = adapter_run_of(w, worker);
    float *sums[CPU_ADAPTERS_MAX];
    int64_t begin = item * w->stretch, end = cpu_min(begin + w->stretch, w->n);
    for (int i = 0; i < w->n_adapters; i++) sums[i] = w->sums[i] + item * (w->adapters[i].m + w->adapters[i].k) * w->ld[i];
    for (r.token = begin; r.token < end; r.token += TOKENS) {
        r.n = cpu_min(TOKENS, end - r.token);
        r.first = r.token == begin;
        for (int i = 0; i < w->n_adapters; i++) pass_dy(w, &r, i, sums[i]);
        for (int i = 0, to; i < w->n_adapters; i = to) {
            bool wanted = false;
            for (to = i; to < w->n_adapters && w->adapters[to].x == w->adapters[i].x; to++)
                wanted = wanted || w->adapters[to].da;
            if (wanted) pass_x(w, &r, i, to, sums);
        }
    }
}

/* ---- adding the stretches up ---------------------------------------------------------------------------------------- */

/* out = sum, or out += sum. */
static void store(float *out, float sum, bool accumulate)
{
    *out = accumulate ? *out + sum : sum;
}

/* A chunk of rows of one adapter's sums: rows of dB or columns of dA. */
static void join_chunk(const struct adapter_work *w, int at, bool is_da, int64_t row)
{
    const struct cpu_adapter *a = &w->adapters[at];
    int64_t rows = is_da ? a->k : a->m, n = cpu_min(CHUNK, rows - row), ld = w->ld[at];
    float *sum = w->sums[at] + (is_da ? a->m + row : row) * ld;
    for (int64_t s = 1; s < w->stretches; s++) w->kernels->add(sum, sum, sum + s * (a->m + a->k) * ld, n * ld);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < a->r; j++)
            if (is_da)
                store(a->da + j * a->ld_da + row + i, sum[i * ld + j], w->accumulate);
            else
                store(a->db + (row + i) * a->ld_db + j, a->scale * sum[i * ld + j], w->accumulate);
}

/* Work item of the second loop: adds the stretches of some rows, in order. Items count through the chunks of dB, then of dA,
 * of the first adapter, of the second, and so on: what is left of `item` is looked for in one list after the other, and is
 * below 0 once its list is passed. */
static void join_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const struct adapter_work *w = arg;
    for (int i = 0; i < w->n_adapters; i++) {
        const struct cpu_adapter *a = &w->adapters[i];
        for (int is_da = 0; is_da < 2; is_da++) {
            int64_t chunks = (is_da ? a->da : a->db) ? cpu_div_up(is_da ? a->k : a->m, CHUNK) : 0;
            if (item >= 0 && item < chunks) join_chunk(w, i, is_da, item * CHUNK);
            item -= chunks;
        }
    }
}

/* How many work items the second loop has. */
static int64_t join_items(const struct adapter_work *w)
{
    int64_t items = 0;
    for (int i = 0; i < w->n_adapters; i++) {
        const struct cpu_adapter *a = &w->adapters[i];
        items += (a->da ? cpu_div_up(a->k, CHUNK) : 0) + (a->db ? cpu_div_up(a->m, CHUNK) : 0);
    }
    return items;
}

/* A stretch is whole runs of TOKENS, and there are at most STRETCHES_MAX. Three loops: s B of each adapter as panels; the
 * stretches; their sums joined. */
enum status cpu_adapter_run(struct ctx *c, const struct cpu_kernels *kernels, int64_t n, const struct cpu_adapter *adapters,
                            int n_adapters, bool accumulate)
{
    struct adapter_work w = {
        .kernels = kernels, .adapters = adapters, .n_adapters = n_adapters, .accumulate = accumulate, .n = n};
    if (n_adapters == 0) return OK;
    w.stretch = cpu_round_up(cpu_div_up(n, STRETCHES_MAX), TOKENS);
    w.stretches = cpu_div_up(n, w.stretch);
    int mark = scope_open(c);
    for (int i = 0; i < n_adapters; i++) {
        const struct cpu_adapter *a = &adapters[i];
        w.ld[i] = cpu_round_up(a->r, kernels->nr);
        if (w.ld[i] % SET_ELEMENTS == 0) w.ld[i] += kernels->nr;
        w.b[i] = cpu_scratch_f32(c, a->m * cpu_round_up(a->r, kernels->nr));
        w.sums[i] = cpu_scratch_f32(c, w.stretches * (a->m + a->k) * w.ld[i]);
    }
    w.scratch_floats = adapter_scratch_floats(&w);
    w.scratch = cpu_scratch_f32(c, w.scratch_floats * threads_count(c));
    if (ctx_ok(c)) {
        threads_run(c, n_adapters, adapter_pack_item, &w);
        threads_run(c, w.stretches, stretch_item, &w);
        threads_run(c, join_items(&w), join_item, &w);
    }
    scope_close(c, mark);
    return c->status;
}
