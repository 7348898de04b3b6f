/* weight: rows of a frozen matrix as numbers, through the row map and the form; and the making of the other forms. */
#include "array/weight.h"

#include "array/codec/int8.h"
#include "array/codec/nf4.h"
#include "array/codec/quant.h"
#include "base/mem.h"
#include "base/threads.h"

enum { ROWS_A_JOB = 16 };

const char *const compute_name[COMPUTES] = {"f32", "int8x2", "int8", "bf16"};

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

/* ---- the making of a form ------------------------------------------------------------------------------------------- */

/* What differs between forms. */
struct form {
    const char *name; /* as in messages */
    size_t (*row_bytes)(int64_t cols);
    bool (*quantise_row)(const float *x, int64_t cols, void *row);
};

static const struct form *form_of(enum weight_form form)
{
    static const struct form nf4 = {"NF4", nf4_row_bytes, nf4_quantise_row},
                             int8 = {"int8", int8_row_bytes, int8_quantise_row};
    return form == WEIGHT_NF4 ? &nf4 : form == WEIGHT_INT8 ? &int8 : NULL;
}

struct form_work {
    struct weight w; /* in the order of its file: without the row map */
    const struct form *form;
    char *codes;
    size_t row_bytes;
    float *rows;  /* a widened row for each worker */
    int64_t *bad; /* a job: its first row that does not fit, or -1 */
};

static void quantise_job(void *arg, int64_t job, int worker)
{
    const struct form_work *work = arg;
    float *row = work->rows + worker * work->w.cols;
    int64_t end = (job + 1) * ROWS_A_JOB < work->w.rows ? (job + 1) * ROWS_A_JOB : work->w.rows;
    work->bad[job] = -1;
    for (int64_t i = job * ROWS_A_JOB; i < end; i++) {
        weight_row_f32(&work->w, i, row);
        if (!work->form->quantise_row(row, work->w.cols, work->codes + (size_t)i * work->row_bytes) && work->bad[job] < 0)
            work->bad[job] = i;
    }
}

size_t weight_form_bytes(const struct weight *w, enum weight_form form)
{
    const struct form *f = form_of(form);
    return (size_t)w->rows * (f ? f->row_bytes(w->cols) : w->row_bytes);
}

enum status weight_to_form(struct ctx *c, struct weight *w, enum weight_form form, void *codes)
{
    BUG_ON(c, w->form != WEIGHT_STORED || !form_of(form), "weight_to_form: %s from form %d to %d", w->name, (int)w->form,
           (int)form);
    int64_t jobs = (w->rows + ROWS_A_JOB - 1) / ROWS_A_JOB;
    struct form_work work = {.w = *w, .form = form_of(form), .codes = codes};
    work.row_bytes = work.form->row_bytes(w->cols);
    work.w.row_map = NULL;
    work.rows = mem_alloc(c, (size_t)threads_count(c) * (size_t)w->cols, sizeof *work.rows);
    work.bad = mem_alloc(c, (size_t)jobs, sizeof *work.bad);
    if (work.rows && work.bad) {
        threads_run(c, jobs, quantise_job, &work);
        for (int64_t i = 0; i < jobs && ctx_ok(c); i++)
            if (work.bad[i] >= 0)
                ctx_fail(c, E_INPUT,
                         "%s: row %lld holds a number that is not finite or above 1e30, which %s cannot hold; use "
                         "--base-type as-is with --compute f32",
                         w->name, (long long)work.bad[i], work.form->name);
    }
    if (ctx_ok(c)) {
        w->form = form;
        w->data = codes;
        w->row_bytes = work.row_bytes;
    }
    mem_free(c, work.rows);
    mem_free(c, work.bad);
    return c->status;
}
