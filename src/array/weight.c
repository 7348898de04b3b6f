/* weight: rows of a prepared matrix as f32 and f64, through the row map; and the preparing of a form from the source. */
#include "array/weight.h"

#include "array/codec/int8.h"
#include "array/codec/nf4.h"
#include "array/codec/quant.h"
#include "base/mem.h"
#include "base/threads.h"

/* Rows that one work item quantises. */
enum { ROWS_A_BLOCK = 16 };

const char *const compute_name[COMPUTES] = {"f32", "int8x2", "int8", "bf16"};

/* Row `row` in the order of Hugging Face: the row map is applied by weight_row. */
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

/* ---- preparing a form ------------------------------------------------------------------------------------------- */

/* What differs between forms. */
struct weight_maker {
    const char *name; /* as in messages */
    size_t (*row_bytes)(int64_t cols);
    bool (*quantise_row)(const float *x, int64_t cols, void *row);
};

/* NULL for rows as stored. */
static const struct weight_maker *weight_form_of(enum weight_form form)
{
    static const struct weight_maker nf4 = {"NF4", nf4_row_bytes, nf4_quantise_row},
                                     int8 = {"int8", int8_row_bytes, int8_quantise_row};
    return form == WEIGHT_NF4 ? &nf4 : form == WEIGHT_INT8 ? &int8 : NULL;
}

/* One preparation, as its work items see it. */
struct form_work {
    struct weight_source source; /* in the order of its file: without the row map */
    const struct weight_maker *form;
    char *codes;
    size_t row_bytes;
    float *rows;  /* a widened row for each worker */
    int64_t *bad; /* for each block of rows: its first row that does not fit, or -1 */
};

/* A block of rows: widened one at a time, then quantised. */
static void quantise_block(void *arg, int64_t block, int worker)
{
    const struct form_work *work = arg;
    int64_t cols = work->source.cols, rows = work->source.rows;
    float *row = work->rows + worker * cols;
    int64_t end = (block + 1) * ROWS_A_BLOCK < rows ? (block + 1) * ROWS_A_BLOCK : rows;
    work->bad[block] = -1;
    for (int64_t i = block * ROWS_A_BLOCK; i < end; i++) {
        weight_source_row_f32(&work->source, i, row);
        if (!work->form->quantise_row(row, cols, work->codes + (size_t)i * work->row_bytes) && work->bad[block] < 0)
            work->bad[block] = i;
    }
}

/* All rows into codes. `name` is for messages. */
static enum status quantise_rows(struct ctx *c, const char *name, struct form_work *work)
{
    int64_t blocks = (work->source.rows + ROWS_A_BLOCK - 1) / ROWS_A_BLOCK;
    work->rows = mem_alloc(c, (size_t)threads_count(c) * (size_t)work->source.cols, sizeof *work->rows);
    work->bad = mem_alloc(c, (size_t)blocks, sizeof *work->bad);
    if (work->rows && work->bad) {
        for (int64_t i = 0; i < blocks; i++) work->bad[i] = -1; /* idle threads (threads.h) look at none */
        threads_run(c, blocks, quantise_block, work);
        for (int64_t i = 0; i < blocks && ctx_ok(c); i++)
            if (work->bad[i] >= 0)
                ctx_fail(c, E_INPUT,
                         "%s: row %lld holds a number that is not finite or above 1e30, which %s cannot hold; use "
                         "--base-type as-is with --compute f32",
                         name, (long long)work->bad[i], work->form->name);
    }
    mem_free(c, work->rows);
    mem_free(c, work->bad);
    return c->status;
}

size_t weight_form_bytes(const struct weight_source *source, enum weight_form form)
{
    const struct weight_maker *f = weight_form_of(form);
    return f ? (size_t)source->rows * f->row_bytes(source->cols) : weight_source_bytes(source);
}

/* `codes`: memory of weight_form_bytes for a form that is made; not used for rows as stored, which stay where they are. On
 * failure *w is left as it was. */
enum status weight_prepare(struct ctx *c, struct weight *w, const char *name, const struct weight_source *source,
                           enum weight_form form, void *codes)
{
    struct weight made = {.name = name,
                          .source = *source,
                          .form = form,
                          .type = source->type,
                          .rows = source->rows,
                          .cols = source->cols,
                          .data = source->data,
                          .row_bytes = source->row_bytes,
                          .row_map = source->row_map};
    if (form != WEIGHT_STORED) {
        struct form_work work = {.source = *source, .form = weight_form_of(form), .codes = codes};
        work.row_bytes = work.form->row_bytes(source->cols);
        work.source.row_map = NULL;
        TRY(quantise_rows(c, name, &work));
        made.data = codes;
        made.row_bytes = work.row_bytes;
    }
    *w = made;
    return OK;
}
