/* ref_move: rows that move elements without arithmetic, for every dtype: copy, where, concat, take, take_along, and cast,
 * which changes their representation.
 *
 * Cast goes through the widest number of the source's kind (int64 or double), so that every pair of dtypes takes one load
 * and one store. Floats become integers by truncation; values that do not fit are clamped and NaN becomes 0, because C
 * leaves both undefined. Integers wrap, as NumPy does. Anything but zero (NaN too) is true. */
#include <math.h>
#include <string.h>

#include "backend/cpu/ref_backend.h"
#include "backend/cpu/ref_index.h"

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

static enum status copy(struct ctx *c, const struct op_call *call)
{
    const struct array *in = call->in[0], *out = call->out[0];
    BUG_ON(c, in->dtype != out->dtype || !array_same_shape(in, out), "copy: operands differ");
    struct axes ix = axes_all(in), ox = axes_all(out);
    copy_elements(out, &ox, in, &ix, 0);
    return OK;
}

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
static enum status take(struct ctx *c, const struct op_call *call)
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

/* out (N) = a (N, C) at one column a row. */
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

/* ---- cast ----------------------------------------------------------------------------------------------------------- */

static double load_float(enum dtype t, const void *p)
{
    switch (t) {
    case DTYPE_F16:
        return f16_to_f32(*(const uint16_t *)p);
    case DTYPE_BF16:
        return bf16_to_f32(*(const uint16_t *)p);
    case DTYPE_F32:
        return *(const float *)p;
    default:
        return *(const double *)p;
    }
}

static int64_t load_int(enum dtype t, const void *p)
{
    switch (t) {
    case DTYPE_BOOL:
        return *(const uint8_t *)p != 0;
    case DTYPE_U8:
        return *(const uint8_t *)p;
    case DTYPE_I32:
        return *(const int32_t *)p;
    default:
        return *(const int64_t *)p;
    }
}

/* double -> float by rounding to odd: an inexact result gets its last bit set. A second rounding to 11 or 8 bits of
 * mantissa is then correct (Boldo & Melquiond 2008); rounding to nearest twice is not. */
static float round_to_odd(double x)
{
    float f = (float)x;
    if (isnan(x) || (double)f == x) return f;
    if (isinf(f)) return f; /* beyond f32 is beyond f16 and bf16 too */
    if (fabs((double)f) > fabs(x)) f = nextafterf(f, 0.0f);
    uint32_t bits;
    memcpy(&bits, &f, sizeof(bits));
    bits |= 1;
    memcpy(&f, &bits, sizeof(f));
    return f;
}

static void store_float(enum dtype t, void *p, double x)
{
    switch (t) {
    case DTYPE_F16:
        *(uint16_t *)p = f32_to_f16(round_to_odd(x));
        break;
    case DTYPE_BF16:
        *(uint16_t *)p = f32_to_bf16(round_to_odd(x));
        break;
    case DTYPE_F32:
        *(float *)p = (float)x;
        break;
    default:
        *(double *)p = x;
        break;
    }
}

static void store_int(enum dtype t, void *p, int64_t x)
{
    switch (t) {
    case DTYPE_BOOL:
        *(uint8_t *)p = x != 0;
        break;
    case DTYPE_U8:
        *(uint8_t *)p = (uint8_t)x;
        break;
    case DTYPE_I32:
        *(int32_t *)p = (int32_t)(uint32_t)x;
        break;
    default:
        *(int64_t *)p = x;
        break;
    }
}

/* Truncated and clamped to what the dtype holds; NaN is 0. 2^63 is a double, INT64_MAX is not. */
static int64_t float_to_int(enum dtype t, double x)
{
    if (t == DTYPE_BOOL) return x != 0.0;
    if (isnan(x)) return 0;
    double low = t == DTYPE_U8 ? 0.0 : t == DTYPE_I32 ? -0x1p31 : -0x1p63;
    double past = t == DTYPE_U8 ? 256.0 : t == DTYPE_I32 ? 0x1p31 : 0x1p63;
    int64_t most = t == DTYPE_U8 ? UINT8_MAX : t == DTYPE_I32 ? INT32_MAX : INT64_MAX;
    if (x >= past) return most;
    return x < low ? (int64_t)low : (int64_t)x;
}

static void cast_element(enum dtype from, const void *src, enum dtype to, void *dst)
{
    if (dtype_is_float(from)) {
        double x = load_float(from, src);
        if (dtype_is_float(to)) {
            store_float(to, dst, x);
        } else {
            store_int(to, dst, float_to_int(to, x));
        }
        return;
    }
    int64_t i = load_int(from, src);
    if (!dtype_is_float(to)) {
        store_int(to, dst, i);
    } else if (to == DTYPE_F32) {
        *(float *)dst = (float)i; /* one rounding: through double there would be two */
    } else {
        store_float(to, dst, (double)i);
    }
}

static enum status cast(struct ctx *c, const struct op_call *call)
{
    const struct array *in = call->in[0], *out = call->out[0];
    BUG_ON(c, !array_same_shape(in, out), "cast: shapes differ");
    struct axes ix = axes_all(in), ox = axes_all(out);
    for (int64_t i = 0; i < ix.size; i++) {
        cast_element(in->dtype, at(in, axes_offset(&ix, i)), out->dtype, at(out, axes_offset(&ox, i)));
    }
    return OK;
}

const op_kernel ref_kernels_move[OP_COUNT] = {
    [OP_COPY] = copy, [OP_WHERE] = where,           [OP_CONCAT] = concat,
    [OP_TAKE] = take, [OP_TAKE_ALONG] = take_along, [OP_CAST] = cast,
};
