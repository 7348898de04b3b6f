/* ref_matmul: part of ref_real.h. (.., M, K) x (.., K, N) -> (.., M, N); leading axes of an operand may be 1 where the
 * result's are not, or have stride 0. */

enum { MATMUL_ROWS = 16 }; /* rows of the result in a block: fixed, so that sums never depend on the thread count */

/* One call, as all its work items see it. */
struct ref_matmul_work {
    const struct array *a, *b, *out;
    int64_t m, k, n, rows; /* rows of all matrices together */
    double *sums;          /* (workers, N) */
};

/* Offset of matrix number `batch` (row-major over the result's leading axes). */
static int64_t matmul_offset(const struct array *out, const struct array *a, int64_t batch)
{
    int64_t offset = 0;
    for (int d = out->ndim - 3; d >= 0; d--) {
        if (a->shape[d] > 1) offset += batch % out->shape[d] * a->stride[d];
        batch /= out->shape[d];
    }
    return offset;
}

/* One row of the result: sum over k of a[k] times row k of b, so that b is read along its rows. */
static void matmul_row(const struct ref_matmul_work *work, int64_t row, double *sums)
{
    int64_t batch = row / work->m, i = row % work->m;
    const int r = work->out->ndim - 2, s = work->out->ndim - 1; /* the matrix axes */
    const REAL *a = real_at(work->a, matmul_offset(work->out, work->a, batch) + i * work->a->stride[r]);
    const REAL *b = real_at(work->b, matmul_offset(work->out, work->b, batch));
    REAL *y = real_at(work->out, matmul_offset(work->out, work->out, batch) + i * work->out->stride[r]);
    int64_t b_col = work->b->stride[s];
    memset(sums, 0, (size_t)work->n * sizeof(*sums));
    for (int64_t k = 0; k < work->k; k++) {
        double x = (double)a[k * work->a->stride[s]];
        const REAL *b_row = b + k * work->b->stride[r];
        for (int64_t j = 0; j < work->n; j++) sums[j] += x * (double)b_row[j * b_col];
    }
    for (int64_t j = 0; j < work->n; j++) y[j * work->out->stride[s]] = (REAL)sums[j];
}

/* MATMUL_ROWS rows of the result, over all leading axes. */
static void matmul_block(void *arg, int64_t block, int worker)
{
    const struct ref_matmul_work *work = arg;
    int64_t end = min_i64(work->rows, (block + 1) * MATMUL_ROWS);
    for (int64_t row = block * MATMUL_ROWS; row < end; row++) matmul_row(work, row, work->sums + worker * work->n);
}

/* MATMUL: shapes are those that the front end has broadcast. */
static enum status run_matmul(struct ctx *c, const struct op_call *call)
{
    const struct array *a = call->in[0], *b = call->in[1], *out = call->out[0];
    ref_check_real(c, call->op, b);
    ref_check_real(c, call->op, out);
    BUG_ON(c, out->ndim < 2 || a->ndim != out->ndim || b->ndim != out->ndim, "matmul: ranks differ");
    const int r = out->ndim - 2, s = out->ndim - 1;
    BUG_ON(c, a->shape[s] != b->shape[r] || a->shape[r] != out->shape[r] || b->shape[s] != out->shape[s], "matmul: shapes");
    struct ref_matmul_work work = {a, b, out, .m = out->shape[r], .k = a->shape[s], .n = out->shape[s]};
    work.rows = 1;
    for (int d = 0; d <= r; d++) work.rows *= out->shape[d];
    work.sums = mem_alloc(c, (size_t)threads_count(c), (size_t)work.n * sizeof(double));
    if (!work.sums) return E_MEMORY;
    threads_run(c, ref_blocks(work.rows, MATMUL_ROWS), matmul_block, &work);
    mem_free(c, work.sums);
    return OK;
}
