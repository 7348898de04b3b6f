/* ref_int: elementwise rows and reductions of bool, u8, i32 and i64.
 *
 * Every element is loaded as int64, worked on modulo 2^64 and stored back, so one source serves four dtypes and overflow
 * wraps as NumPy's does instead of being undefined. Stores to bool keep "is not zero": the sum of bools is "or", the product
 * "and". Division is not here: the front end makes floats of its operands first. */
#include "backend/cpu/ref/ref_backend.h"
#include "backend/cpu/ref/ref_index.h"

static int64_t load(const struct array *a, int64_t offset)
{
    switch (a->dtype) {
    case DTYPE_BOOL:
        return ((const uint8_t *)a->data)[offset] != 0;
    case DTYPE_U8:
        return ((const uint8_t *)a->data)[offset];
    case DTYPE_I32:
        return ((const int32_t *)a->data)[offset];
    default:
        return ((const int64_t *)a->data)[offset];
    }
}

static void store(struct ctx *c, const struct array *a, int64_t offset, int64_t x)
{
    switch (a->dtype) {
    case DTYPE_BOOL:
        ((uint8_t *)a->data)[offset] = x != 0;
        break;
    case DTYPE_U8:
        ((uint8_t *)a->data)[offset] = (uint8_t)x;
        break;
    case DTYPE_I32:
        ((int32_t *)a->data)[offset] = (int32_t)(uint32_t)x;
        break;
    case DTYPE_I64:
        ((int64_t *)a->data)[offset] = x;
        break;
    default:
        BUG_ON(c, true, "integer kernel with a %s result", dtype_name(a->dtype));
    }
}

/* ---- elementwise ------------------------------------------------------------------------------------------------------ */

static int64_t add(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}
static int64_t sub(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}
static int64_t mul(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a * (uint64_t)b);
}
static int64_t maximum(int64_t a, int64_t b)
{
    return a > b ? a : b;
}
static int64_t equal(int64_t a, int64_t b)
{
    return a == b;
}
static int64_t not_equal(int64_t a, int64_t b)
{
    return a != b;
}
static int64_t less(int64_t a, int64_t b)
{
    return a < b;
}
static int64_t less_equal(int64_t a, int64_t b)
{
    return a <= b;
}

static enum status map_binary(struct ctx *c, const struct op_call *call, int64_t (*f)(int64_t, int64_t))
{
    const struct array *a = call->in[0], *b = call->in[1], *out = call->out[0];
    BUG_ON(c, a->dtype != b->dtype, "%s: dtypes differ", op_name(call->op));
    BUG_ON(c, !array_same_shape(a, out) || !array_same_shape(b, out), "%s: shapes differ", op_name(call->op));
    struct axes ax = axes_all(a), bx = axes_all(b), ox = axes_all(out);
    for (int64_t i = 0; i < ox.size; i++) {
        store(c, out, axes_offset(&ox, i), f(load(a, axes_offset(&ax, i)), load(b, axes_offset(&bx, i))));
    }
    return OK;
}

static enum status run_add(struct ctx *c, const struct op_call *call)
{
    return map_binary(c, call, add);
}
static enum status run_sub(struct ctx *c, const struct op_call *call)
{
    return map_binary(c, call, sub);
}
static enum status run_mul(struct ctx *c, const struct op_call *call)
{
    return map_binary(c, call, mul);
}
static enum status run_maximum(struct ctx *c, const struct op_call *call)
{
    return map_binary(c, call, maximum);
}
static enum status run_equal(struct ctx *c, const struct op_call *call)
{
    return map_binary(c, call, equal);
}
static enum status run_not_equal(struct ctx *c, const struct op_call *call)
{
    return map_binary(c, call, not_equal);
}
static enum status run_less(struct ctx *c, const struct op_call *call)
{
    return map_binary(c, call, less);
}
static enum status run_less_equal(struct ctx *c, const struct op_call *call)
{
    return map_binary(c, call, less_equal);
}

static enum status run_neg(struct ctx *c, const struct op_call *call)
{
    const struct array *a = call->in[0], *out = call->out[0];
    BUG_ON(c, !array_same_shape(a, out), "neg: shapes differ");
    struct axes ax = axes_all(a), ox = axes_all(out);
    for (int64_t i = 0; i < ox.size; i++) {
        store(c, out, axes_offset(&ox, i), sub(0, load(a, axes_offset(&ax, i))));
    }
    return OK;
}

/* ---- reductions ------------------------------------------------------------------------------------------------------- */

/* Folds the axes of the mask; the result's dtype is the front end's choice (sums of bool and u8 are i32). */
static enum status reduce(struct ctx *c, const struct op_call *call, int64_t first, int64_t (*f)(int64_t, int64_t))
{
    const struct axes_params *p = call->params;
    const struct array *a = call->in[0], *out = call->out[0];
    struct axes reduced, kept, ox = axes_all(out);
    axes_split(a, p->axes, &reduced, &kept);
    BUG_ON(c, kept.size != ox.size, "%s: result has the wrong size", op_name(call->op));
    for (int64_t i = 0; i < kept.size; i++) {
        int64_t base = axes_offset(&kept, i), x = first;
        for (int64_t j = 0; j < reduced.size; j++) x = f(x, load(a, base + axes_offset(&reduced, j)));
        store(c, out, axes_offset(&ox, i), x);
    }
    return OK;
}

static enum status run_sum(struct ctx *c, const struct op_call *call)
{
    return reduce(c, call, 0, add);
}

static enum status run_max(struct ctx *c, const struct op_call *call)
{
    return reduce(c, call, INT64_MIN, maximum);
}

const ref_row ref_kernels_int[OP_COUNT] = {
    [OP_ADD] = run_add,   [OP_SUB] = run_sub,
    [OP_MUL] = run_mul,   [OP_MAXIMUM] = run_maximum,
    [OP_NEG] = run_neg,   [OP_EQUAL] = run_equal,
    [OP_LESS] = run_less, [OP_NOT_EQUAL] = run_not_equal,
    [OP_SUM] = run_sum,   [OP_LESS_EQUAL] = run_less_equal,
    [OP_MAX] = run_max,
};
