/* weight: rows of a frozen matrix as numbers, through the row map and the form; and the making of the other form. */
#include "array/weight.h"

#include "array/int8.h"
#include "array/nf4.h"
#include "array/quant.h"
#include "base/mem.h"
#include "base/threads.h"

enum { ROWS_A_JOB = 16 };

void weight_row_f32(const struct weight *w, int64_t row, float *out)
{
    if (w->form == WEIGHT_NF4)
        nf4_to_f32(weight_row(w, row), w->cols, 0, w->cols, out);
    else if (w->form == WEIGHT_INT8)
        int8_to_f32(weight_row(w, row), 0, w->cols, out);
    else
        quant_to_f32(w->type, weight_row(w, row), out, w->cols);
}

void weight_row_f64(const struct weight *w, int64_t row, double *out)
{
    if (w->form == WEIGHT_NF4)
        nf4_to_f64(weight_row(w, row), w->cols, 0, w->cols, out);
    else if (w->form == WEIGHT_INT8)
        int8_to_f64(weight_row(w, row), 0, w->cols, out);
    else
        quant_to_f64(w->type, weight_row(w, row), out, w->cols);
}

/* ---- NF4 ------------------------------------------------------------------------------------------------------------ */

struct nf4_work {
    struct weight w; /* in the order of its file: without the row map */
    char *codes;
    size_t row_bytes;
    float *rows;  /* a widened row for each worker */
    int64_t *bad; /* a job: its first row that does not fit, or -1 */
};

static void nf4_job(void *arg, int64_t job, int worker)
{
    const struct nf4_work *work = arg;
    float *row = work->rows + worker * work->w.cols;
    int64_t end = (job + 1) * ROWS_A_JOB < work->w.rows ? (job + 1) * ROWS_A_JOB : work->w.rows;
    work->bad[job] = -1;
    for (int64_t i = job * ROWS_A_JOB; i < end; i++) {
        weight_row_f32(&work->w, i, row);
        if (!nf4_quantise_row(row, work->w.cols, work->codes + (size_t)i * work->row_bytes) && work->bad[job] < 0)
            work->bad[job] = i;
    }
}

size_t weight_nf4_bytes(const struct weight *w)
{
    return (size_t)w->rows * nf4_row_bytes(w->cols);
}

enum status weight_to_nf4(struct ctx *c, struct weight *w, void *codes)
{
    BUG_ON(c, w->form != WEIGHT_STORED, "weight_to_nf4: %s is in another form already", w->name);
    int64_t jobs = (w->rows + ROWS_A_JOB - 1) / ROWS_A_JOB;
    struct nf4_work work = {.w = *w, .codes = codes, .row_bytes = nf4_row_bytes(w->cols)};
    work.w.row_map = NULL;
    work.rows = mem_alloc(c, (size_t)threads_count(c) * (size_t)w->cols, sizeof *work.rows);
    work.bad = mem_alloc(c, (size_t)jobs, sizeof *work.bad);
    if (work.rows && work.bad) {
        threads_run(c, jobs, nf4_job, &work);
        for (int64_t i = 0; i < jobs && ctx_ok(c); i++)
            if (work.bad[i] >= 0)
                ctx_fail(c, E_INPUT,
                         "%s: row %lld holds a number that is not finite or above 1e30, which NF4 cannot hold; use "
                         "--base-type as-is",
                         w->name, (long long)work.bad[i]);
    }
    if (ctx_ok(c)) {
        w->form = WEIGHT_NF4;
        w->data = codes;
        w->row_bytes = work.row_bytes;
    }
    mem_free(c, work.rows);
    mem_free(c, work.bad);
    return c->status;
}
