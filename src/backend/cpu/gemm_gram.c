/* gemm_gram: X^T P, a sum over tokens, for the gradients of A and B. The result is small and the sum is long, so jobs are
 * chunks of X's columns; each walks all tokens in order. A run of tokens of the chunk is copied to a
 * place that stays in L1, because columns of X itself are a page apart in wide models. */
#include <string.h>

#include "backend/cpu/cpu_scratch.h"
#include "backend/cpu/gemm.h"
#include "base/threads.h"

enum { CHUNK = 96, TOKENS = 64 /* a copied run: 24 KiB */ };

struct work {
    const struct cpu_kernels *kernels;
    const struct gemm_gram *grams;
    int n;
    int64_t first[GEMM_MAX_GRAMS + 1]; /* jobs of gram i start here */
    float *packed[GEMM_MAX_GRAMS];     /* p as panels of nr columns, (panels, n, nr) */
    float *scratch;                    /* a worker: run (TOKENS, CHUNK), sums (CHUNK, padded r) */
    int64_t scratch_floats;
};

static void pack_job(void *arg, int64_t job, int worker)
{
    const struct work *w = arg;
    const struct gemm_gram *g = &w->grams[job];
    struct gemm_pack p = {.source = {.form = GEMM_ROWS, .data = g->p, .ld = g->ldp, .scale = g->scale},
                          .k = g->n,
                          .n = g->r,
                          .n_panels = cpu_div_up(g->r, w->kernels->nr),
                          .dst = w->packed[job],
                          .panel_stride = g->n * w->kernels->nr};
    gemm_pack_panels(w->kernels, &p, w->scratch + worker * w->scratch_floats);
}

static void store_sums(const struct gemm_gram *g, int64_t column, int64_t n, const float *sums, int64_t ld)
{
    for (int64_t i = 0; i < n; i++) {
        for (int64_t r = 0; r < g->r; r++) {
            float *out = g->transposed ? g->out + r * g->ld_out + column + i : g->out + (column + i) * g->ld_out + r;
            *out = g->accumulate ? *out + sums[i * ld + r] : sums[i * ld + r];
        }
    }
}

static void gram_job(void *arg, int64_t job, int worker)
{
    const struct work *w = arg;
    int at = 0;
    while (job >= w->first[at + 1]) at++;
    const struct gemm_gram *g = &w->grams[at];
    int64_t column = (job - w->first[at]) * CHUNK, n = cpu_min(CHUNK, g->cols - column);
    int64_t nr = w->kernels->nr, padded = cpu_round_up(g->r, nr);
    float *run = w->scratch + worker * w->scratch_floats, *sums = run + TOKENS * CHUNK;
    for (int64_t token = 0; token < g->n; token += TOKENS) {
        int64_t tokens = cpu_min(TOKENS, g->n - token);
        for (int64_t t = 0; t < tokens; t++)
            memcpy(run + t * CHUNK, g->x + (token + t) * g->ldx + column, (size_t)n * sizeof(float));
        struct gemm_block b = {.m = n,
                               .n = padded,
                               .k = tokens,
                               .a = run,
                               .rs = 1,
                               .cs = CHUNK,
                               .b = w->packed[at] + token * nr,
                               .panel_stride = g->n * nr,
                               .ldb = nr,
                               .c = sums,
                               .ldc = padded,
                               .accumulate = token > 0};
        gemm_block(w->kernels, &b);
    }
    store_sums(g, column, n, sums, padded);
}

enum status gemm_gram_run(struct ctx *c, const struct cpu_kernels *kernels, const struct gemm_gram *grams, int n)
{
    struct work w = {.kernels = kernels, .grams = grams, .n = n};
    if (n == 0) return OK;
    int mark = scope_open(c);
    w.scratch_floats = gemm_pack_scratch(kernels);
    for (int i = 0; i < n; i++) {
        const struct gemm_gram *g = &grams[i];
        int64_t padded = cpu_round_up(g->r, kernels->nr);
        w.first[i + 1] = w.first[i] + cpu_div_up(g->cols, CHUNK);
        w.packed[i] = cpu_scratch_f32(c, g->n * padded);
        w.scratch_floats = cpu_max(w.scratch_floats, CHUNK * (TOKENS + padded));
    }
    w.scratch_floats = cpu_round_up(w.scratch_floats, 16);
    w.scratch = cpu_scratch_f32(c, w.scratch_floats * threads_count(c));
    if (ctx_ok(c)) {
        threads_run(c, n, pack_job, &w);
        threads_run(c, w.first[n], gram_job, &w);
    }
    scope_close(c, mark);
    return c->status;
}
