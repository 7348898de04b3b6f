/* ref_int: elementwise rows and reductions of bool, u8, i32 and i64.
 *
 * Every element is loaded as int64, worked on modulo 2^64 and stored back, so one source serves four dtypes and overflow
 * wraps as NumPy's does instead of being undefined. Stores to bool keep "is not zero": the sum of bools is "or", the
 * product "and". Division is not here: the front end makes floats of its operands first. */
#include "backend/cpu/ref/ref_backend.h"
#include "backend/cpu/ref/ref_index.h"

/* The element at `offset` as int64; bool as 0 or 1. */
static int64_t ref_int_load(const struct array *a, int64_t offset)
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

/* Stores x in the array's dtype, modulo its width; bool keeps whether x is not 0. */
static void ref_int_store(struct ctx *c, const struct array *a, int64_t offset, int64_t x)
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

/* Arithmetic goes by unsigned integers, where overflow is defined: it wraps. */
static int64_t ref_int_add(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}
static int64_t ref_int_sub(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}
static int64_t ref_int_mul(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a * (uint64_t)b);
}
static int64_t ref_int_maximum(int64_t a, int64_t b)
{
    return a > b ? a : b;
}
static int64_t ref_int_equal(int64_t a, int64_t b)
{
    return a == b;
}
static int64_t ref_int_not_equal(int64_t a, int64_t b)
{
    return a != b;
}
static int64_t ref_int_less(int64_t a, int64_t b)
{
    return a < b;
}
static int64_t ref_int_less_equal(int64_t a, int64_t b)
{
    return a <= b;
}

/* out = f(a, b), element by element; out may be bool where f compares. */
static enum status ref_int_map_binary(struct ctx *c, const struct op_call *call, int64_t (*f)(int64_t, int64_t))
{
    const struct array *a = call->in[0], *b = call->in[1], *out = call->out[0];
    BUG_ON(c, a->dtype != b->dtype, "%s: dtypes differ", op_name(call->op));
    BUG_ON(c, !array_same_shape(a, out) || !array_same_shape(b, out), "%s: shapes differ", op_name(call->op));
    struct axes ax = axes_all(a), bx = axes_all(b), ox = axes_all(out);
    for (int64_t i = 0; i < ox.size; i++) {
        ref_int_store(c, out, axes_offset(&ox, i),
                      f(ref_int_load(a, axes_offset(&ax, i)), ref_int_load(b, axes_offset(&bx, i))));
    }
    return OK;
}

static enum status ref_int_run_add(struct ctx *c, const struct op_call *call)
{
    return ref_int_map_binary(c, call, ref_int_add);
}
static enum status ref_int_run_sub(struct ctx *c, const struct op_call *call)
{
    return ref_int_map_binary(c, call, ref_int_sub);
}
static enum status ref_int_run_mul(struct ctx *c, const struct op_call *call)
{
    return ref_int_map_binary(c, call, ref_int_mul);
}
static enum status ref_int_run_maximum(struct ctx *c, const struct op_call *call)
{
    return ref_int_map_binary(c, call, ref_int_maximum);
}
static enum status ref_int_run_equal(struct ctx *c, const struct op_call *call)
{
    return ref_int_map_binary(c, call, ref_int_equal);
}
static enum status ref_int_run_not_equal(struct ctx *c, const struct op_call *call)
{
    return ref_int_map_binary(c, call, ref_int_not_equal);
}
static enum status ref_int_run_less(struct ctx *c, const struct op_call *call)
{
    return ref_int_map_binary(c, call, ref_int_less);
}
static enum status ref_int_run_less_equal(struct ctx *c, const struct op_call *call)
{
    return ref_int_map_binary(c, call, ref_int_less_equal);
}

/* NEG: 0 - a, which wraps for the smallest integer. */
static enum status ref_int_run_neg(struct ctx *c, const struct op_call *call)
{
    const struct array *a = call->in[0], *out = call->out[0];
    BUG_ON(c, !array_same_shape(a, out), "neg: shapes differ");
    struct axes ax = axes_all(a), ox = axes_all(out);
    for (int64_t i = 0; i < ox.size; i++) {
        ref_int_store(c, out, axes_offset(&ox, i), ref_int_sub(0, ref_int_load(a, axes_offset(&ax, i))));
    }
    return OK;
}

/* ---- reductions ------------------------------------------------------------------------------------------------------- */

/* Folds the axes of the mask; the result's dtype is the front end's choice (sums of bool and u8 are i32). */
static enum status ref_int_reduce(struct ctx *c, const struct op_call *call, int64_t first, int64_t (*f)(int64_t, int64_t))
{
    const struct axes_params *p = call->params;
    const struct array *a = call->in[0], *out = call->out[0];
    struct axes reduced, kept, ox = axes_all(out);
    axes_split(a, p->axes, &reduced, &kept);
    BUG_ON(c, kept.size != ox.size, "%s: result has the wrong size", op_name(call->op));
    for (int64_t i = 0; i < kept.size; i++) {
        int64_t base = axes_offset(&kept, i), x = first;
        for (int64_t j = 0; j < reduced.size; j++) x = f(x, ref_int_load(a, base + axes_offset(&reduced, j)));
        ref_int_store(c, out, axes_offset(&ox, i), x);
    }
    return OK;
}

static enum status ref_int_run_sum(struct ctx *c, const struct op_call *call)
{
    return ref_int_reduce(c, call, 0, ref_int_add);
}

static enum status ref_int_run_max(struct ctx *c, const struct op_call *call)
{
    return ref_int_reduce(c, call, INT64_MIN, ref_int_maximum);
}

const ref_row ref_kernels_int[OP_COUNT] = {
    [OP_ADD] = ref_int_run_add,   [OP_SUB] = ref_int_run_sub,
    [OP_MUL] = ref_int_run_mul,   [OP_MAXIMUM] = ref_int_run_maximum,
    [OP_NEG] = ref_int_run_neg,   [OP_EQUAL] = ref_int_run_equal,
    [OP_LESS] = ref_int_run_less, [OP_NOT_EQUAL] = ref_int_run_not_equal,
    [OP_SUM] = ref_int_run_sum,   [OP_LESS_EQUAL] = ref_int_run_less_equal,
    [OP_MAX] = ref_int_run_max,
};
