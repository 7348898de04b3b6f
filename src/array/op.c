/* op: the table of rows and what all front ends share.
 *
 * A front end does what is the same for every backend, so that kernels stay short: it validates, promotes, broadcasts,
 * copies operands whose last stride is not 1, allocates outputs, runs the backend's kernel and records the call. Small
 * dtypes never reach the generic kernels: values are widened, computed in f32 or i32, and narrowed again, each step an op
 * of its own with its own derivative. */
#include "array/op.h"

#include <string.h>

#include "array/front.h"
#include "array/node.h"

#define OP(NAME, name_, n_in_, n_out_, params_, diff_, saves_)                                                              \
    _Static_assert((n_in_) <= OP_MAX_IN && (n_out_) <= OP_MAX_OUT, #name_ " has too many operands");                        \
    _Static_assert(sizeof(struct params_##_params) <= OP_MAX_PARAMS_BYTES, #name_ " has too large params");
#include "array/ops.def"

static const struct op_info table[OP_COUNT] = {
#define OP(NAME, name_, n_in_, n_out_, params_, diff_, saves_)                                                              \
    [OP_##NAME] = {.name = #name_,                                                                                          \
                   .n_in = (n_in_),                                                                                         \
                   .n_out = (n_out_),                                                                                       \
                   .params_bytes = sizeof(struct params_##_params),                                                         \
                   .diff = (diff_),                                                                                         \
                   .saves = (saves_)},
#include "array/ops.def"
};

const struct op_info *op_info(enum op op)
{
    return &table[op];
}

const char *op_name(enum op op)
{
    return table[op].name;
}

/* ---- running ------------------------------------------------------------------------------------------------------ */

bool front_operand(struct ctx *c, const struct array *a)
{
    BUG_ON(c, !a && ctx_ok(c), "an op was given no array and no error is recorded");
    return a && ctx_ok(c);
}

/* Whether none of the arrays that are there has an element. */
static bool all_empty(const struct array *const *arrays, int n)
{
    for (int i = 0; i < n; i++) {
        if (arrays[i] && array_size(arrays[i]) > 0) return false;
    }
    return true;
}

/* Kernels see no empty operands, so the result of an empty first operand is made here. If the result is not empty, the row
 * is a sum of some kind over no elements (sum, matmul, a gradient), and that is 0. LINEAR_BWD adds to its results, so
 * adding nothing leaves them alone. */
static enum status sum_nothing(struct ctx *c, const struct op_call *call)
{
    for (int i = 0; i < op_info(call->op)->n_out && call->op != OP_LINEAR_BWD; i++) {
        struct array *out = call->out[i];
        if (out && out != call->in[0]) TRY(op_fill(c, out, 0));
    }
    return OK;
}

/* Where a result is not empty but the first operand is, there is no kernel call: sum_nothing. */
enum status front_run(struct ctx *c, const struct op_call *call)
{
    struct backend *b = c->array_env->backend;
    const struct op_info *info = op_info(call->op);
    if (!ctx_ok(c)) return c->status;
    if (!b->kernel[call->op]) {
        return ctx_fail(c, E_UNSUPPORTED, "the backend %s does not do %s", b->name, info->name);
    }
    if (info->n_out > 0 && all_empty((const struct array *const *)call->out, info->n_out)) return OK;
    if (call->in[0] && array_size(call->in[0]) == 0 && call->op != OP_CONCAT) {
        return sum_nothing(c, call);
    }
    struct op_call with_values = *call;
    with_values.step = c->array_env->values;
    return b->kernel[call->op](b, &with_values);
}

struct array *front_finish(struct ctx *c, const struct op_call *call, uint32_t saves)
{
    if (!call->out[0] || front_run(c, call) != OK) return NULL;
    tape_record(c, call, 1, saves);
    return ctx_ok(c) ? call->out[0] : NULL;
}

/* ---- operands ----------------------------------------------------------------------------------------------------- */

enum dtype front_compute_dtype(enum dtype t)
{
    switch (t) {
    case DTYPE_F16:
    case DTYPE_BF16:
        return DTYPE_F32;
    case DTYPE_BOOL:
    case DTYPE_U8:
        return DTYPE_I32;
    default:
        return t;
    }
}

enum dtype front_activations(const struct ctx *c)
{
    return c->array_env->backend->activations;
}

enum dtype front_activation_dtype(const struct ctx *c, enum dtype t)
{
    return t == front_activations(c) ? t : front_compute_dtype(t);
}

enum dtype front_float_dtype(enum dtype t)
{
    return dtype_is_float(t) ? t : DTYPE_F32;
}

enum { KIB_OF_BF16 = 512 /* elements: rows a multiple of it apart share few sets of a cache */ };

struct array *front_rounded(struct ctx *c, int64_t n, int64_t k)
{
    const int64_t whole[2] = {n + ROUNDED_GROUP, k % KIB_OF_BF16 ? k : k + ROUNDED_GROUP}, seen[2] = {n, k};
    BUG_ON(c, k % ROUNDED_GROUP != 0, "%lld columns are not whole groups", (long long)k);
    struct array *all = array_empty(c, DTYPE_BF16, 2, whole);
    return all ? array_view(all, 2, seen, all->stride, 0) : NULL;
}

/* The spare rows tell them from any other array of bf16, whose end a product would read past. */
bool front_is_rounded(const struct ctx *c, const struct array *a)
{
    if (a->dtype != DTYPE_BF16 || front_activations(c) == DTYPE_BF16 || a->ndim != 2 || !array_has_unit_last(a))
        return false;
    size_t first = (size_t)((const char *)a->data - (const char *)a->storage->data);
    size_t rows = (size_t)(a->shape[0] + ROUNDED_GROUP - 1) * (size_t)a->stride[0] + (size_t)a->shape[1];
    bool made = !a->node || a->node->kind == OP_SWIGLU; /* nothing else has a gradient in another dtype than its own */
    return made && a->shape[1] % ROUNDED_GROUP == 0 && a->stride[0] % ROUNDED_GROUP == 0 && a->stride[0] >= a->shape[1] &&
           first % 64 == 0 && first + rows * sizeof(uint16_t) <= a->storage->bytes;
}

bool front_takes_rounded(const struct ctx *c, const struct weight *w, int64_t n)
{
    const struct backend *b = c->array_env->backend;
    return b->rounded_from > 0 && n >= b->rounded_from && w->compute == COMPUTE_BF16;
}

struct array *front_swiglu_result(struct ctx *c, const struct array *gate, bool rounded)
{
    if (!rounded) return array_empty(c, gate->dtype, gate->ndim, gate->shape);
    BUG_ON(c, gate->ndim != 2, "swiglu is rounded for products, which read matrices");
    return front_rounded(c, gate->shape[0], gate->shape[1]);
}

struct array *front_prepare(struct ctx *c, struct array *a, enum dtype dtype)
{
    if (!a || !ctx_ok(c)) return NULL;
    if (a->dtype != dtype) return op_cast(c, a, dtype);
    return array_has_unit_last(a) ? a : op_contiguous(c, a);
}

bool front_broadcast(int na, const int64_t *a, int nb, const int64_t *b, int *ndim, int64_t *shape)
{
    int n = na > nb ? na : nb;
    for (int i = 0; i < n; i++) { /* i counts from the last axis */
        int64_t x = i < na ? a[na - 1 - i] : 1, y = i < nb ? b[nb - 1 - i] : 1;
        if (x != y && x != 1 && y != 1) return false;
        shape[n - 1 - i] = x == 1 ? y : x;
    }
    *ndim = n;
    return true;
}

enum status front_axis(struct ctx *c, const char *op, const struct array *a, int ndim, int *axis)
{
    int wrapped = *axis < 0 ? *axis + ndim : *axis;
    if (wrapped < 0 || wrapped >= ndim) {
        return ctx_fail(c, E_SHAPE, "%s: axis %d is out of range for %d dimensions (operand %s)", op, *axis, ndim,
                        FRONT_DESCRIBE(a));
    }
    *axis = wrapped;
    return OK;
}

enum status front_axes(struct ctx *c, const char *op, const struct array *a, const int *axes, int n, uint32_t *set)
{
    *set = n < 0 ? (1u << a->ndim) - 1 : 0;
    for (int i = 0; i < n; i++) {
        int axis = axes[i];
        TRY(front_axis(c, op, a, a->ndim, &axis));
        if (*set >> axis & 1) {
            return ctx_fail(c, E_SHAPE, "%s: axis %d is named twice (operand %s)", op, axes[i], FRONT_DESCRIBE(a));
        }
        *set |= 1u << axis;
    }
    return OK;
}

struct array *front_zeros(struct ctx *c, enum dtype dtype, int64_t rows, int64_t cols)
{
    const int64_t shape[2] = {rows, cols}, one_row[2] = {1, cols};
    struct array *zeros = array_zeros(c, dtype, 2, one_row);
    return zeros ? op_broadcast(c, zeros, 2, shape) : NULL;
}

struct array *front_prepare_ids(struct ctx *c, const char *op, struct array *ids, struct array *weights, int64_t limit)
{
    if (ids->ndim != 1 || dtype_is_float(ids->dtype) || ids->dtype == DTYPE_BOOL) {
        ctx_fail(c, E_DTYPE, "%s: ids must be integers in one dimension, not %s", op, FRONT_DESCRIBE(ids));
        return NULL;
    }
    struct check_ids_params p = {.op = op, .limit = limit};
    struct op_call call = {OP_CHECK_IDS, .in = {front_prepare(c, ids, ids->dtype), weights}, .params = &p};
    if (!ctx_ok(c) || front_run(c, &call) != OK) return NULL; /* before the cast, which would wrap wide ids */
    return front_prepare(c, call.in[0], DTYPE_I32);
}
