/* ref_move: rows that move elements without arithmetic, for every dtype: COPY, WHERE, CONCAT, TAKE, TAKE_ALONG, FILL, the
 * check of ids, and CAST, which changes how elements are represented. CAST converts by dtype_convert, which says what
 * becomes of values that do not fit. */
#include <string.h>

#include "backend/cpu/ref/ref_backend.h"
#include "backend/cpu/ref/ref_index.h"

/* Address of the element at `offset` (in elements). */
static char *at(const struct array *a, int64_t offset)
{
    return (char *)a->data + offset * (int64_t)dtype_size(a->dtype);
}

/* dst (dims dx) <- src (dims sx), same number of elements, same dtype. */
static void copy_elements(const struct array *dst, const struct axes *dx, const struct array *src, const struct axes *sx,
                          int64_t dst_offset)
{
    size_t bytes = dtype_size(src->dtype);
    for (int64_t i = 0; i < sx->size; i++) {
        memcpy(at(dst, dst_offset + axes_offset(dx, i)), at(src, axes_offset(sx, i)), bytes);
    }
}

/* out = in, any strides on both sides. */
static enum status move_copy(struct ctx *c, const struct op_call *call)
{
    const struct array *in = call->in[0], *out = call->out[0];
    BUG_ON(c, in->dtype != out->dtype || !array_same_shape(in, out), "copy: operands differ");
    struct axes ix = axes_all(in), ox = axes_all(out);
    copy_elements(out, &ox, in, &ix, 0);
    return OK;
}

/* out = cond ? a : b, element by element. */
static enum status where(struct ctx *c, const struct op_call *call)
{
    const struct array *cond = call->in[0], *a = call->in[1], *b = call->in[2], *out = call->out[0];
    BUG_ON(c, cond->dtype != DTYPE_BOOL || a->dtype != b->dtype || a->dtype != out->dtype, "where: dtypes");
    BUG_ON(c, !array_same_shape(cond, out) || !array_same_shape(a, out) || !array_same_shape(b, out), "where: shapes");
    struct axes cx = axes_all(cond), ax = axes_all(a), bx = axes_all(b), ox = axes_all(out);
    size_t bytes = dtype_size(out->dtype);
    for (int64_t i = 0; i < ox.size; i++) {
        bool yes = *(const uint8_t *)at(cond, axes_offset(&cx, i)) != 0;
        const char *from = yes ? at(a, axes_offset(&ax, i)) : at(b, axes_offset(&bx, i));
        memcpy(at(out, axes_offset(&ox, i)), from, bytes);
    }
    return OK;
}

/* Parts of equal shape but for the axis, one behind the other along it. */
static enum status concat(struct ctx *c, const struct op_call *call)
{
    const struct axis_params *p = call->params;
    const struct array *out = call->out[0];
    int64_t first = 0; /* where the part begins along the axis */
    for (int i = 0; i < OP_MAX_IN && call->in[i]; i++) {
        const struct array *in = call->in[i];
        BUG_ON(c, in->dtype != out->dtype || in->ndim != out->ndim, "concat: part %d differs", i);
        struct axes ix = axes_all(in), ox = axes_all(out);
        memcpy(ox.shape, ix.shape, sizeof(ox.shape)); /* the part's window in out */
        copy_elements(out, &ox, in, &ix, first * out->stride[p->axis]);
        first += in->shape[p->axis];
    }
    BUG_ON(c, first != out->shape[p->axis], "concat: parts do not fill the result");
    return OK;
}

/* out (N, C) = rows of table (R, C). */
static enum status ref_move_take(struct ctx *c, const struct op_call *call)
{
    const struct array *table = call->in[0], *ids = call->in[1], *out = call->out[0];
    BUG_ON(c, table->ndim != 2 || out->ndim != 2 || table->dtype != out->dtype, "take: operands");
    BUG_ON(c, out->shape[0] != ids->shape[0] || out->shape[1] != table->shape[1], "take: shapes");
    TRY(ref_index_check(c, call->op, ids, table->shape[0]));
    size_t bytes = dtype_size(out->dtype);
    for (int64_t n = 0; n < out->shape[0]; n++) {
        int64_t from = id_at(ids, n) * table->stride[0], to = n * out->stride[0];
        for (int64_t j = 0; j < out->shape[1]; j++) {
            memcpy(at(out, to + j * out->stride[1]), at(table, from + j * table->stride[1]), bytes);
        }
    }
    return OK;
}

/* out (N) = a (N, C) at one column of each row. */
static enum status take_along(struct ctx *c, const struct op_call *call)
{
    const struct array *a = call->in[0], *ids = call->in[1], *out = call->out[0];
    BUG_ON(c, a->ndim != 2 || out->ndim != 1 || a->dtype != out->dtype, "take_along: operands");
    BUG_ON(c, out->shape[0] != a->shape[0] || ids->shape[0] != a->shape[0], "take_along: shapes");
    TRY(ref_index_check(c, call->op, ids, a->shape[1]));
    for (int64_t n = 0; n < out->shape[0]; n++) {
        memcpy(at(out, n * out->stride[0]), at(a, n * a->stride[0] + id_at(ids, n) * a->stride[1]), dtype_size(a->dtype));
    }
    return OK;
}

/* Every element of in[0], in place, becomes params' value in its dtype. Zeros, the usual case, are written by memset, row
 * by row. */
static enum status ref_move_fill(struct ctx *c, const struct op_call *call)
{
    const struct fill_params *p = call->params;
    const struct array *a = call->in[0];
    uint64_t element = 0; /* as wide as the widest dtype */
    (void)c;
    dtype_convert(a->dtype, &element, 1, DTYPE_F64, &p->value, 1, 1);
    struct axes rows = axes_rows(a);
    size_t bytes = dtype_size(a->dtype);
    for (int64_t i = 0; i < rows.size; i++) {
        char *row = at(a, axes_offset(&rows, i));
        if (element == 0)
            memset(row, 0, (size_t)last_size(a) * bytes);
        else
            for (int64_t j = 0; j < last_size(a); j++) memcpy(row + (size_t)j * bytes, &element, bytes);
    }
    return OK;
}

/* See struct check_ids_params: the first id out of range is an error with its place and value. */
static enum status check_ids(struct ctx *c, const struct op_call *call)
{
    const struct check_ids_params *p = call->params;
    return ref_ids_check(c, p->op, call->in[0], call->in[1], p->limit);
}

/* out = in converted to out's dtype. */
static enum status cast(struct ctx *c, const struct op_call *call)
{
    const struct array *in = call->in[0], *out = call->out[0];
    BUG_ON(c, !array_same_shape(in, out), "cast: shapes differ");
    struct axes ix = axes_all(in), ox = axes_all(out);
    for (int64_t i = 0; i < ix.size; i++) {
        dtype_convert(out->dtype, at(out, axes_offset(&ox, i)), 1, in->dtype, at(in, axes_offset(&ix, i)), 1, 1);
    }
    return OK;
}

const ref_row ref_kernels_move[OP_COUNT] = {
    [OP_COPY] = move_copy,        [OP_WHERE] = where, [OP_CONCAT] = concat,      [OP_TAKE] = ref_move_take,
    [OP_TAKE_ALONG] = take_along, [OP_CAST] = cast,   [OP_FILL] = ref_move_fill, [OP_CHECK_IDS] = check_ids,
};
