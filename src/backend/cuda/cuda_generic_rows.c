/* cuda_generic_rows: the generic rows that a model's step meets: copies, casts, sums, fills, rows by index. */
#include <string.h>

#include "backend/cuda/cuda_backend.h"

/* The types that the kernels for rows move. */
static bool is_small(enum dtype t)
{
    return t == DTYPE_BF16 || t == DTYPE_F32;
}

/* to = x, or x op y, one element for each thread and with any strides. y may be NULL. f16 is refused. */
static enum status run_strided(struct cuda_backend *b, enum op op, enum cuda_strided_op what, const struct array *to,
                               const struct array *x, const struct array *y)
{
    struct cuda_strided_args a = {.a = x->data,
                                  .b = y ? y->data : NULL,
                                  .to = to->data,
                                  .count = array_size(to),
                                  .ndim = to->ndim,
                                  .op = what,
                                  .a_type = (int)x->dtype,
                                  .b_type = y ? (int)y->dtype : 0,
                                  .to_type = (int)to->dtype};
    if (to->dtype == DTYPE_F16 || x->dtype == DTYPE_F16)
        return ctx_fail(b->backend.c, E_UNSUPPORTED, "%s of f16 is not done on %s", op_name(op), b->backend.name);
    for (int i = 0; i < to->ndim; i++) {
        a.shape[i] = to->shape[i];
        a.a_stride[i] = x->stride[i];
        a.b_stride[i] = y ? y->stride[i] : 0;
        a.to_stride[i] = to->stride[i];
    }
    return cuda_strided(b->d, &a);
}

enum status cuda_row_copy(struct cuda_backend *b, const struct op_call *call)
{
    return cuda_copy(b, call->out[0], call->in[0]);
}

enum status cuda_row_cast(struct cuda_backend *b, const struct op_call *call)
{
    const struct array *x = call->in[0], *y = call->out[0];
    struct cuda_rows from, to;
    if (!is_small(x->dtype) || !is_small(y->dtype) || !cuda_rows_fit(x, 1, &from) || !cuda_rows_fit(y, 1, &to))
        return run_strided(b, OP_CAST, STRIDED_CAST, y, x, NULL);
    const struct cuda_move_args a = {.from = from.data,
                                     .to = to.data,
                                     .from_stride = from.stride,
                                     .to_stride = to.stride,
                                     .rows = to.rows,
                                     .cols = to.cols};
    return cuda_move(b->d, &a, x->dtype == DTYPE_F32, y->dtype == DTYPE_F32);
}

/* Sums of activations by rows, everything else an element at a time. */
enum status cuda_row_binary(struct cuda_backend *b, const struct op_call *call)
{
    const struct array *x = call->in[0], *y = call->in[1], *z = call->out[0];
    struct cuda_rows rx, ry, rz;
    bool rows = call->op == OP_ADD && z->dtype == DTYPE_BF16 && cuda_rows_fit(x, 1, &rx) && cuda_rows_fit(y, 1, &ry) &&
                cuda_rows_fit(z, 1, &rz) && rz.cols % 8 == 0;
    if (!rows) {
        enum cuda_strided_op what = call->op == OP_ADD ? STRIDED_ADD : call->op == OP_SUB ? STRIDED_SUB : STRIDED_MUL;
        return run_strided(b, call->op, what, z, x, y);
    }
    const struct cuda_add_args a = {rx.data, ry.data, rz.data, rx.stride, ry.stride, rz.stride, rz.rows, rz.cols};
    return cuda_add(b->d, &a);
}

enum status cuda_row_accumulate(struct cuda_backend *b, const struct op_call *call)
{
    const struct array *to = call->in[0], *from = call->in[1];
    struct cuda_rows t, f;
    if (!is_small(to->dtype) || !cuda_rows_fit(to, 1, &t) || !cuda_rows_fit(from, 1, &f))
        return run_strided(b, OP_ACCUMULATE, STRIDED_ADD, to, to, from);
    const struct cuda_move_args a = {f.data, t.data, f.stride, t.stride, t.rows, t.cols, 1};
    return cuda_move(b->d, &a, to->dtype == DTYPE_F32, to->dtype == DTYPE_F32);
}

enum status cuda_row_fill(struct cuda_backend *b, const struct op_call *call)
{
    const struct fill_params *p = call->params;
    const struct array *to = call->in[0];
    size_t bytes = (size_t)array_size(to) * dtype_size(to->dtype);
    if (p->value == 0 && array_is_contiguous(to)) return cuda_zero(b->d, (CUdeviceptr)to->data, bytes);
    struct cuda_strided_args a = {.to = to->data,
                                  .value = p->value,
                                  .count = array_size(to),
                                  .ndim = to->ndim,
                                  .op = STRIDED_FILL,
                                  .to_type = (int)to->dtype};
    if (to->dtype == DTYPE_F16)
        return ctx_fail(b->backend.c, E_UNSUPPORTED, "fill of f16 is not done on %s", b->backend.name);
    for (int i = 0; i < to->ndim; i++) {
        a.shape[i] = to->shape[i];
        a.to_stride[i] = to->stride[i];
    }
    return cuda_strided(b->d, &a);
}

/* ---- rows by index --------------------------------------------------------------------------------------------------- */

enum status cuda_row_take(struct cuda_backend *b, const struct op_call *call)
{
    struct cuda_rows table, to;
    TRY(cuda_expect(b, OP_TAKE, call->in[0], DTYPE_BF16));
    TRY(cuda_rows_in(b, call->in[0], 1, &table));
    TRY(cuda_rows_out(b, call->out[0], 1, &to));
    const struct cuda_rows_args a = {.table = table.data,
                                     .ids = call->in[1]->data,
                                     .to = to.data,
                                     .fault = b->fault ? &b->fault->row_fault : NULL,
                                     .table_stride = table.stride,
                                     .to_stride = to.stride,
                                     .limit = table.rows,
                                     .rows = (int)to.rows,
                                     .cols = to.cols};
    TRY(cuda_rows(b->d, &a));
    return cuda_rows_done(b, call->out[0], &to);
}

enum status cuda_row_take_bwd(struct cuda_backend *b, const struct op_call *call)
{
    struct cuda_rows from, to;
    TRY(cuda_expect(b, OP_TAKE_BWD, call->in[0], DTYPE_BF16));
    TRY(cuda_rows_in(b, call->in[0], 1, &from));
    TRY(cuda_rows_out(b, call->out[0], 1, &to));
    const struct cuda_rows_sum_args a = {from.data, call->in[1]->data, to.data, from.stride,
                                         to.stride, (int)from.rows,    to.cols, (int)to.rows};
    TRY(cuda_rows_sum(b->d, &a));
    return cuda_rows_done(b, call->out[0], &to);
}

enum status cuda_row_check_ids(struct cuda_backend *b, const struct op_call *call)
{
    const struct check_ids_params *p = call->params;
    const struct array *ids = call->in[0];
    const struct cuda_check_ids_args a = {.ids = ids->data,
                                          .weights = call->in[1] ? call->in[1]->data : NULL,
                                          .fault = b->fault,
                                          .count = array_size(ids),
                                          .limit = p->limit,
                                          .what = (uint64_t)(uintptr_t)p->op,
                                          .type = (int)ids->dtype};
    return cuda_check_ids(b->d, &a);
}
