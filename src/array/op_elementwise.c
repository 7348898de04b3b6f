/* op_elementwise: front ends of the rows that treat every element alike, and of casts and copies. */
#include <string.h>

#include "array/front.h"

/* ---- copies and casts ----------------------------------------------------------------------------------------------- */

struct array *op_contiguous(struct ctx *c, struct array *a)
{
    if (!front_operand(c, a)) return NULL;
    if (array_is_contiguous(a)) return a;
    struct op_call call = {OP_COPY, .in = {a}, .out = {array_empty(c, a->dtype, a->ndim, a->shape)}};
    return front_finish(c, &call, 0);
}

struct array *op_cast(struct ctx *c, struct array *a, enum dtype dtype)
{
    if (!front_operand(c, a)) return NULL;
    if (a->dtype == dtype) return a;
    if (!array_has_unit_last(a)) a = op_contiguous(c, a);
    if (!a) return NULL;
    struct cast_params p = {dtype};
    struct op_call call = {OP_CAST, .in = {a}, .out = {array_empty(c, dtype, a->ndim, a->shape)}, .params = &p};
    return front_finish(c, &call, 0);
}

/* An operand as kernels want it: cast first, because the unbroadcast array is the smaller one. */
static struct array *op_elementwise_spread(struct ctx *c, struct array *a, enum dtype dtype, int ndim, const int64_t *shape)
{
    if (a && a->dtype != dtype) a = op_cast(c, a, dtype);
    return front_prepare(c, a ? op_broadcast(c, a, ndim, shape) : NULL, dtype);
}

/* ---- two operands ------------------------------------------------------------------------------------------------- */

/* What of the operands the derivative needs: for products each operand's partner, and only if that one is
 * differentiated. */
static uint32_t binary_saves(struct ctx *c, enum op op, const struct array *a, const struct array *b)
{
    bool da = tape_wants(c, a), db = tape_wants(c, b);
    switch (op) {
    case OP_MUL:
        return (db ? 1u : 0) | (da ? 2u : 0);
    case OP_DIV:
        return (db ? 1u : 0) | (da || db ? 2u : 0);
    default:
        return op_info(op)->saves;
    }
}

/* Rows whose result is bool and has no gradient. */
static bool is_comparison(enum op op)
{
    return op == OP_EQUAL || op == OP_NOT_EQUAL || op == OP_LESS || op == OP_LESS_EQUAL;
}

/* One front end for all ops of two operands: broadcasts and promotes both, widens small dtypes for the kernel, and casts
 * the result back. Comparisons give bool and are not cast. */
static struct array *binary(struct ctx *c, enum op op, struct array *a, struct array *b)
{
    int ndim;
    int64_t shape[ARRAY_MAX_DIMS];
    if (!front_operand(c, a) || !front_operand(c, b)) return NULL;
    if (!front_broadcast(a->ndim, a->shape, b->ndim, b->shape, &ndim, shape)) {
        ctx_fail(c, E_SHAPE, "%s: the shapes of %s and %s do not broadcast", op_name(op), FRONT_DESCRIBE(a),
                 FRONT_DESCRIBE(b));
        return NULL;
    }
    enum dtype result = dtype_promote(a->dtype, b->dtype);
    if (op == OP_DIV) result = front_float_dtype(result);
    enum dtype compute = op == OP_ADD ? front_activation_dtype(c, result) : front_compute_dtype(result);
    a = op_elementwise_spread(c, a, compute, ndim, shape);
    b = op_elementwise_spread(c, b, compute, ndim, shape);
    if (!a || !b) return NULL;
    enum dtype out = is_comparison(op) ? DTYPE_BOOL : compute;
    struct op_call call = {op, .in = {a, b}, .out = {array_empty(c, out, ndim, shape)}};
    struct array *y = front_finish(c, &call, binary_saves(c, op, a, b));
    return y && !is_comparison(op) ? op_cast(c, y, result) : y;
}

struct array *op_add(struct ctx *c, struct array *a, struct array *b)
{
    return binary(c, OP_ADD, a, b);
}

struct array *op_sub(struct ctx *c, struct array *a, struct array *b)
{
    return binary(c, OP_SUB, a, b);
}

struct array *op_mul(struct ctx *c, struct array *a, struct array *b)
{
    return binary(c, OP_MUL, a, b);
}

struct array *op_div(struct ctx *c, struct array *a, struct array *b)
{
    return binary(c, OP_DIV, a, b);
}

struct array *op_maximum(struct ctx *c, struct array *a, struct array *b)
{
    return binary(c, OP_MAXIMUM, a, b);
}

struct array *op_equal(struct ctx *c, struct array *a, struct array *b)
{
    return binary(c, OP_EQUAL, a, b);
}

struct array *op_not_equal(struct ctx *c, struct array *a, struct array *b)
{
    return binary(c, OP_NOT_EQUAL, a, b);
}

struct array *op_less(struct ctx *c, struct array *a, struct array *b)
{
    return binary(c, OP_LESS, a, b);
}

struct array *op_less_equal(struct ctx *c, struct array *a, struct array *b)
{
    return binary(c, OP_LESS_EQUAL, a, b);
}

struct array *op_where(struct ctx *c, struct array *cond, struct array *a, struct array *b)
{
    int ndim;
    int64_t shape[ARRAY_MAX_DIMS];
    if (!front_operand(c, cond) || !front_operand(c, a) || !front_operand(c, b)) return NULL;
    if (!front_broadcast(a->ndim, a->shape, b->ndim, b->shape, &ndim, shape) ||
        !front_broadcast(ndim, shape, cond->ndim, cond->shape, &ndim, shape)) {
        ctx_fail(c, E_SHAPE, "where: the shapes of %s, %s and %s do not broadcast", FRONT_DESCRIBE(cond), FRONT_DESCRIBE(a),
                 FRONT_DESCRIBE(b));
        return NULL;
    }
    enum dtype result = dtype_promote(a->dtype, b->dtype), compute = front_compute_dtype(result);
    cond = op_elementwise_spread(c, cond, DTYPE_BOOL, ndim, shape);
    a = op_elementwise_spread(c, a, compute, ndim, shape);
    b = op_elementwise_spread(c, b, compute, ndim, shape);
    if (!cond || !a || !b) return NULL;
    struct op_call call = {OP_WHERE, .in = {cond, a, b}, .out = {array_empty(c, compute, ndim, shape)}};
    struct array *y = front_finish(c, &call, op_info(OP_WHERE)->saves);
    return y ? op_cast(c, y, result) : NULL;
}

/* ---- one operand -------------------------------------------------------------------------------------------------- */

/* The same for one operand; `result` is the dtype of the result. */
static struct array *unary(struct ctx *c, enum op op, struct array *a, enum dtype result)
{
    enum dtype compute = front_compute_dtype(result);
    a = front_prepare(c, a, compute);
    if (!a) return NULL;
    struct op_call call = {op, .in = {a}, .out = {array_empty(c, compute, a->ndim, a->shape)}};
    struct array *y = front_finish(c, &call, op_info(op)->saves);
    return y ? op_cast(c, y, result) : NULL;
}

/* Functions of real numbers: integers become f32. */
static struct array *real(struct ctx *c, enum op op, struct array *a)
{
    return front_operand(c, a) ? unary(c, op, a, front_float_dtype(a->dtype)) : NULL;
}

struct array *op_neg(struct ctx *c, struct array *a)
{
    if (!front_operand(c, a)) return NULL;
    if (a->dtype == DTYPE_BOOL) {
        ctx_fail(c, E_DTYPE, "neg: %s has no negative", FRONT_DESCRIBE(a));
        return NULL;
    }
    return unary(c, OP_NEG, a, a->dtype);
}

struct array *op_exp(struct ctx *c, struct array *a)
{
    return real(c, OP_EXP, a);
}

struct array *op_log(struct ctx *c, struct array *a)
{
    return real(c, OP_LOG, a);
}

struct array *op_sqrt(struct ctx *c, struct array *a)
{
    return real(c, OP_SQRT, a);
}

struct array *op_sigmoid(struct ctx *c, struct array *a)
{
    return real(c, OP_SIGMOID, a);
}
