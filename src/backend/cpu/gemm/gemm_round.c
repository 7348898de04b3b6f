/* gemm_round: rows cut into work items by their bytes alone, so that the products of an adapter, whose rows are short, do
 * not take as many items as wide ones. */
#include "backend/cpu/gemm/gemm_round.h"

#include "backend/cpu/cpu_scratch.h"
#include "base/threads.h"

enum { ITEM_ELEMENTS = 1 << 15 /* 128 KiB of f32: some 10 microseconds */ };

struct gemm_round_work {
    const struct bf16_kernels *q;
    const struct gemm_rounding *list;
};

const uint32_t *gemm_rounding_add(struct ctx *c, struct gemm_rounding *list, int *n, const float *a, int64_t lda, int64_t m,
                                  int64_t k)
{
    struct gemm_rounding *r = &list[(*n)++];
    *r = (struct gemm_rounding){.a = a, .lda = lda, .m = m, .k = k};
    r->out = (uint32_t *)cpu_scratch_f32(c, (m + BF16_MAX_MR) * bf16_row_steps(k));
    return r->out;
}

static int64_t rows_an_item(const struct gemm_rounding *r)
{
    return cpu_max(ITEM_ELEMENTS / cpu_max(r->k, 1), 1);
}

int64_t gemm_round_items(const struct gemm_rounding *list, int n)
{
    int64_t items = 0;
    for (int i = 0; i < n; i++) items += cpu_div_up(list[i].m, rows_an_item(&list[i]));
    return items;
}

/* Some rows of one matrix. Items count through the first one, then the second, and so on. */
void gemm_round_item(const struct bf16_kernels *q, const struct gemm_rounding *list, int64_t item)
{
    const struct gemm_rounding *r = list;
    for (int64_t n; item >= (n = cpu_div_up(r->m, rows_an_item(r))); r++) item -= n;
    int64_t row = item * rows_an_item(r), rows = cpu_min(rows_an_item(r), r->m - row);
    bf16_round_rows(q, r->a + row * r->lda, r->lda, rows, r->k, r->out + row * bf16_row_steps(r->k));
}

static void round_work_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    const struct gemm_round_work *w = arg;
    gemm_round_item(w->q, w->list, item);
}

void gemm_round(struct ctx *c, const struct bf16_kernels *q, const struct gemm_rounding *list, int n)
{
    struct gemm_round_work w = {q, list};
    if (ctx_ok(c) && n > 0) threads_run(c, gemm_round_items(list, n), round_work_item, &w);
}
