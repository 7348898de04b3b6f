/* cuda_operand: arrays as the kernels read them: rows evenly apart, beginning at multiples of 16 bytes. Model code gives
 * nothing else, so copies are for callers of the public array functions: views with odd strides, rows of an odd length. */
#include "array/array.h"
#include "backend/cuda/cuda_backend.h"

void *cuda_scratch(struct cuda_backend *b, enum dtype dtype, int64_t n)
{
    if (n < 1) n = 1;
    struct array *a = array_empty(b->backend.c, dtype, 1, &n);
    return a ? a->data : NULL;
}

enum status cuda_expect(struct cuda_backend *b, enum op op, const struct array *a, enum dtype dtype)
{
    if (a->dtype == dtype) return OK;
    return ctx_fail(b->backend.c, E_UNSUPPORTED, "%s of %s is not done on %s: it must be %s", op_name(op),
                    dtype_name(a->dtype), b->backend.name, dtype_name(dtype));
}

/* Whether the last `keep` axes are contiguous; *cols is how many elements they have together. */
static bool keeps_together(const struct array *a, int keep, int64_t *cols)
{
    int64_t step = 1;
    for (int i = a->ndim - 1; i >= a->ndim - keep; i--) {
        if (a->shape[i] != 1 && a->stride[i] != step) return false;
        step *= a->shape[i];
    }
    *cols = step;
    return true;
}

/* Whether the first n axes, taken as one, step evenly: *rows steps of *stride elements. Axes of length 1 do not matter. */
static bool even_rows(const struct array *a, int n, int64_t *rows, int64_t *stride)
{
    *rows = 1;
    for (int i = n - 1; i >= 0; i--) {
        if (a->shape[i] == 1) continue;
        if (*rows == 1)
            *stride = a->stride[i];
        else if (a->stride[i] != *stride * *rows)
            return false;
        *rows *= a->shape[i];
    }
    return true;
}

bool cuda_rows_fit(const struct array *a, int keep, struct cuda_rows *out)
{
    int64_t cols = 1, rows = 1, stride = 0, item = (int64_t)dtype_size(a->dtype);
    if (keep > a->ndim) keep = a->ndim;
    if (!keeps_together(a, keep, &cols) || cols > INT32_MAX) return false;
    stride = cols;
    if (!even_rows(a, a->ndim - keep, &rows, &stride)) return false;
    *out = (struct cuda_rows){a->data, rows, stride, (int)cols};
    return ((uintptr_t)a->data & 15) == 0 && (rows == 1 || (stride * item & 15) == 0);
}

/* A contiguous array of the same shape in scratch, as rows. */
static struct array *like(struct cuda_backend *b, const struct array *a, int keep, struct cuda_rows *out)
{
    struct array *made = array_empty(b->backend.c, a->dtype, a->ndim, a->shape);
    if (made) cuda_rows_fit(made, keep, out); /* rows of an odd length are refused by their kernel */
    return made;
}

enum status cuda_rows_in(struct cuda_backend *b, const struct array *a, int keep, struct cuda_rows *out)
{
    if (cuda_rows_fit(a, keep, out)) return OK;
    struct array *copy = like(b, a, keep, out);
    return copy ? cuda_copy(b, copy, a) : b->backend.c->status;
}

enum status cuda_rows_out(struct cuda_backend *b, const struct array *a, int keep, struct cuda_rows *out)
{
    if (cuda_rows_fit(a, keep, out)) return OK;
    return like(b, a, keep, out) ? OK : b->backend.c->status;
}

enum status cuda_rows_done(struct cuda_backend *b, const struct array *a, const struct cuda_rows *rows)
{
    if (rows->data == a->data) return OK;
    struct array made = *a; /* what cuda_rows_out made, contiguous */
    made.data = rows->data;
    int64_t step = 1;
    for (int i = a->ndim - 1; i >= 0; i--) {
        made.stride[i] = step;
        step *= a->shape[i];
    }
    return cuda_copy(b, a, &made);
}

/* ---- copies ----------------------------------------------------------------------------------------------------------- */

/* Rows as wide as both arrays allow; false when neither has rows that the kernel for them can read. */
static bool copies_by_rows(const struct array *to, const struct array *from, struct cuda_rows *t, struct cuda_rows *f)
{
    if (to->dtype != DTYPE_BF16 && to->dtype != DTYPE_F32) return false;
    for (int keep = to->ndim; keep >= 1; keep--)
        if (cuda_rows_fit(to, keep, t) && cuda_rows_fit(from, keep, f)) return true;
    return false;
}

/* An element at a time, by the bytes: for views whose rows the kernels for rows cannot read. */
static enum status copy_strided(struct cuda_backend *b, const struct array *to, const struct array *from)
{
    struct cuda_strided_args a = {.a = from->data,
                                  .to = to->data,
                                  .count = array_size(to),
                                  .ndim = to->ndim,
                                  .op = STRIDED_BITS,
                                  .bytes = (int)dtype_size(to->dtype)};
    for (int i = 0; i < to->ndim; i++) {
        a.shape[i] = to->shape[i];
        a.a_stride[i] = from->stride[i];
        a.to_stride[i] = to->stride[i];
    }
    return cuda_strided(b->d, &a);
}

enum status cuda_copy(struct cuda_backend *b, const struct array *to, const struct array *from)
{
    struct cuda_rows t, f;
    if (!copies_by_rows(to, from, &t, &f)) return copy_strided(b, to, from);
    const struct cuda_move_args a = {
        .from = f.data, .to = t.data, .from_stride = f.stride, .to_stride = t.stride, .rows = t.rows, .cols = t.cols};
    bool wide = to->dtype == DTYPE_F32;
    return cuda_move(b->d, &a, wide, wide);
}

bf16_bits *cuda_narrow(struct cuda_backend *b, const struct array *a)
{
    struct cuda_rows from;
    int64_t n = array_size(a);
    bf16_bits *to = cuda_scratch(b, DTYPE_BF16, n);
    if (!to || cuda_rows_in(b, a, a->ndim, &from) != OK) return NULL;
    const struct cuda_move_args args = {
        .from = from.data, .to = to, .from_stride = n, .to_stride = n, .rows = 1, .cols = (int)n};
    return cuda_move(b->d, &args, true, false) == OK ? to : NULL;
}
