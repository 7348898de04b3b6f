/* gemm_small: C of a few rows times the transpose of B, what generating a token is made of. B is read once, as it is stored,
 * and never packed: memory is the bound. A job is a run of columns of C, which are rows of B. */
#include "backend/cpu/gemm_small.h"

#include "backend/cpu/cpu_scratch.h"
#include "base/threads.h"

enum { COLUMNS = 64 };

struct work {
    const struct cpu_kernels *kernels;
    const struct gemm *g;
    float *scratch; /* one widened row a worker */
    int64_t scratch_floats;
};

bool gemm_small_fits(const struct gemm *g)
{
    if (g->m > GEMM_SMALL_M) return false;
    for (int t = 0; t < g->n_terms; t++)
        if (g->term[t].b.form != GEMM_TRANSPOSED) return false;
    return true;
}

static void small_job(void *arg, int64_t job, int worker)
{
    const struct work *w = arg;
    const struct gemm *g = w->g;
    float *scratch = w->scratch + worker * w->scratch_floats;
    int64_t end = cpu_min((job + 1) * COLUMNS, g->n);
    for (int64_t j = job * COLUMNS; j < end; j++) {
        float sum[GEMM_SMALL_M] = {0};
        for (int64_t i = 0; i < g->m; i++)
            sum[i] = (g->accumulate ? g->c[i * g->ldc + j] : 0.0f) + (g->bias ? g->bias[j] : 0.0f);
        for (int t = 0; t < g->n_terms; t++) {
            const struct gemm_term *term = &g->term[t];
            const float *row = gemm_source_row(w->kernels, &term->b, j, 0, term->k, scratch);
            for (int64_t i = 0; i < g->m; i++)
                sum[i] += term->b.scale * w->kernels->dot(term->a + i * term->lda, row, term->k);
        }
        for (int64_t i = 0; i < g->m; i++) g->c[i * g->ldc + j] = sum[i];
    }
}

enum status gemm_small_run(struct ctx *c, const struct cpu_kernels *kernels, const struct gemm *g)
{
    struct work w = {.kernels = kernels, .g = g};
    for (int t = 0; t < g->n_terms; t++) w.scratch_floats = cpu_max(w.scratch_floats, cpu_round_up(g->term[t].k, 16));
    int mark = scope_open(c);
    w.scratch = cpu_scratch_f32(c, w.scratch_floats * threads_count(c));
    if (w.scratch) threads_run(c, cpu_div_up(g->n, COLUMNS), small_job, &w);
    scope_close(c, mark);
    return c->status;
}
