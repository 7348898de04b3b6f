/* op_shape: front ends of the rows that move elements or only look at them differently.
 *
 * The view rows run no kernel: they make an array on the same storage and record how to lead a gradient back. */
#include <string.h>

#include "array/front.h"

/* Records a view row and returns the view. */
static struct array *view(struct ctx *c, enum op op, struct array *a, struct array *out, const void *params)
{
    if (!out) return NULL;
    struct op_call call = {op, .in = {a}, .out = {out}, .params = params};
    tape_record(c, &call, 1, 0);
    return ctx_ok(c) ? out : NULL;
}

/* ---- reshape ------------------------------------------------------------------------------------------------------ */

/* Fills in a -1 and checks the number of elements. */
static enum status resolve_shape(struct ctx *c, const struct array *a, int ndim, const int64_t *shape,
                                 struct shape_params *p)
{
    int64_t size = array_size(a), known = 1;
    int unknown = -1;
    bool valid = ndim >= 0 && ndim <= ARRAY_MAX_DIMS;
    for (int i = 0; valid && i < ndim; i++) {
        p->shape[i] = shape[i];
        if (shape[i] == -1 && unknown < 0) {
            unknown = i;
        } else {
            valid = shape[i] >= 0 && !__builtin_mul_overflow(known, shape[i], &known);
        }
    }
    if (valid && unknown >= 0) {
        valid = known > 0 && size % known == 0;
        if (valid) p->shape[unknown] = size / known;
    } else if (valid) {
        valid = known == size;
    }
    if (!valid) {
        return ctx_fail(c, E_SHAPE, "reshape: %s does not fit the %d dimensions asked for (first %lld, last %lld)",
                        FRONT_DESCRIBE(a), ndim, ndim > 0 ? (long long)shape[0] : 0,
                        ndim > 0 ? (long long)shape[ndim - 1] : 0);
    }
    p->ndim = ndim;
    return OK;
}

/* Strides that show `a` in another shape without a copy, if there are any: axes of both shapes are walked in groups of equal
 * size, and inside a group the old axes must follow each other in memory. */
static bool reshape_strides(const struct array *a, const struct shape_params *p, int64_t *stride)
{
    int64_t shape[ARRAY_MAX_DIMS], step[ARRAY_MAX_DIMS]; /* of a, axes of size 1 left out */
    int n = 0, i = 0, j = 0;
    for (int k = 0; k < a->ndim; k++) {
        if (a->shape[k] == 1) continue;
        shape[n] = a->shape[k];
        step[n++] = a->stride[k];
    }
    while (i < n && j < p->ndim) {
        int i_end = i + 1, j_end = j + 1;
        int64_t left = shape[i], right = p->shape[j];
        while (left != right) {
            if (left < right) {
                left *= shape[i_end++];
            } else {
                right *= p->shape[j_end++];
            }
        }
        for (int k = i; k + 1 < i_end; k++) {
            if (step[k] != step[k + 1] * shape[k + 1]) return false;
        }
        stride[j_end - 1] = step[i_end - 1];
        for (int k = j_end - 1; k > j; k--) stride[k - 1] = stride[k] * p->shape[k];
        i = i_end;
        j = j_end;
    }
    for (; j < p->ndim; j++) stride[j] = 1; /* trailing axes of size 1 */
    return true;
}

struct array *op_reshape(struct ctx *c, struct array *a, int ndim, const int64_t *shape)
{
    struct shape_params p;
    int64_t stride[ARRAY_MAX_DIMS];
    memset(&p, 0, sizeof p);
    if (!front_operand(c, a) || resolve_shape(c, a, ndim, shape, &p) != OK) return NULL;
    if (array_size(a) == 0 || !reshape_strides(a, &p, stride)) {
        a = op_contiguous(c, a);
        if (!a) return NULL;
        int64_t step = 1;
        for (int i = ndim - 1; i >= 0; step *= p.shape[i--]) stride[i] = step;
    }
    return view(c, OP_RESHAPE, a, array_view(a, ndim, p.shape, stride, 0), &p);
}

struct array *op_expand_dims(struct ctx *c, struct array *a, const int *axes, int n_axes)
{
    int64_t shape[ARRAY_MAX_DIMS];
    uint32_t set = 0;
    if (!front_operand(c, a)) return NULL;
    int ndim = a->ndim + n_axes;
    if (n_axes < 0 || ndim > ARRAY_MAX_DIMS) {
        ctx_fail(c, E_SHAPE, "expand_dims: %s with %d more axes has more than %d", FRONT_DESCRIBE(a), n_axes,
                 ARRAY_MAX_DIMS);
        return NULL;
    }
    for (int i = 0; i < n_axes; i++) {
        int axis = axes[i];
        if (front_axis(c, "expand_dims", a, ndim, &axis) != OK) return NULL;
        if (set >> axis & 1) {
            ctx_fail(c, E_SHAPE, "expand_dims: axis %d is named twice (operand %s)", axes[i], FRONT_DESCRIBE(a));
            return NULL;
        }
        set |= 1u << axis;
    }
    for (int i = 0, from = 0; i < ndim; i++) shape[i] = set >> i & 1 ? 1 : a->shape[from++];
    return n_axes == 0 ? a : op_reshape(c, a, ndim, shape);
}

/* ---- transpose, broadcast, slice -------------------------------------------------------------------------------------- */

struct array *op_transpose(struct ctx *c, struct array *a, const int *perm)
{
    struct perm_params p;
    int64_t shape[ARRAY_MAX_DIMS], stride[ARRAY_MAX_DIMS];
    uint32_t set = 0;
    memset(&p, 0, sizeof p);
    if (!front_operand(c, a)) return NULL;
    for (int i = 0; i < a->ndim; i++) {
        int axis = perm ? perm[i] : a->ndim - 1 - i;
        if (front_axis(c, "transpose", a, a->ndim, &axis) != OK) return NULL;
        if (set >> axis & 1) {
            ctx_fail(c, E_SHAPE, "transpose: axis %d is named twice (operand %s)", axis, FRONT_DESCRIBE(a));
            return NULL;
        }
        set |= 1u << axis;
        p.perm[i] = axis;
        shape[i] = a->shape[axis];
        stride[i] = a->stride[axis];
    }
    return view(c, OP_TRANSPOSE, a, array_view(a, a->ndim, shape, stride, 0), &p);
}

/* A repeated axis gets stride 0: every step along it reads the same element. */
struct array *op_broadcast(struct ctx *c, struct array *a, int ndim, const int64_t *shape)
{
    struct shape_params p;
    int64_t stride[ARRAY_MAX_DIMS], result[ARRAY_MAX_DIMS];
    int n;
    size_t bytes;
    memset(&p, 0, sizeof p);
    if (!front_operand(c, a) || array_check_shape(c, a->dtype, ndim, shape, &bytes) != OK) return NULL;
    if (a->ndim > ndim || !front_broadcast(a->ndim, a->shape, ndim, shape, &n, result) ||
        (ndim && memcmp(result, shape, (size_t)ndim * sizeof *shape) != 0)) {
        ctx_fail(c, E_SHAPE, "broadcast: %s does not stretch to the %d dimensions asked for (last %lld)", FRONT_DESCRIBE(a),
                 ndim, ndim > 0 ? (long long)shape[ndim - 1] : 0);
        return NULL;
    }
    int extra = ndim - a->ndim;
    bool same = extra == 0;
    for (int i = 0; i < ndim; i++) {
        bool stretched = i < extra || a->shape[i - extra] != shape[i];
        stride[i] = stretched ? 0 : a->stride[i - extra];
        p.shape[i] = shape[i];
        same = same && !stretched;
    }
    p.ndim = ndim;
    return same ? a : view(c, OP_BROADCAST, a, array_view(a, ndim, shape, stride, 0), &p);
}

struct array *op_slice(struct ctx *c, struct array *a, const int64_t *start, const int64_t *stop, const int64_t *step)
{
    struct slice_params p;
    int64_t shape[ARRAY_MAX_DIMS], stride[ARRAY_MAX_DIMS], offset = 0;
    memset(&p, 0, sizeof p);
    if (!front_operand(c, a)) return NULL;
    for (int i = 0; i < a->ndim; i++) {
        int64_t by = step ? step[i] : 1;
        if (by < 1 || start[i] < 0 || start[i] > stop[i] || stop[i] > a->shape[i]) {
            ctx_fail(c, E_SHAPE, "slice: [%lld, %lld) by %lld is not inside axis %d of %s", (long long)start[i],
                     (long long)stop[i], (long long)by, i, FRONT_DESCRIBE(a));
            return NULL;
        }
        shape[i] = (stop[i] - start[i] + by - 1) / by;
        stride[i] = a->stride[i] * by;
        offset += shape[i] > 0 ? start[i] * a->stride[i] : 0; /* an empty slice at the end must not point past it */
        p.start[i] = start[i];
        p.stop[i] = stop[i];
        p.step[i] = by;
    }
    return view(c, OP_SLICE, a, array_view(a, a->ndim, shape, stride, offset), &p);
}

struct array *op_columns(struct ctx *c, struct array *a, int64_t first, int64_t n)
{
    if (!front_operand(c, a)) return NULL;
    if (a->ndim != 2) {
        ctx_fail(c, E_SHAPE, "columns: %s is not a matrix", FRONT_DESCRIBE(a));
        return NULL;
    }
    const int64_t start[2] = {0, first}, stop[2] = {a->shape[0], first + n};
    return op_slice(c, a, start, stop, NULL);
}

/* ---- concat ------------------------------------------------------------------------------------------------------- */

enum { CONCAT_MOST = 8 }; /* parts that one call takes: the inputs of the row */

/* Checks that the parts agree off the axis; gives the result's shape and dtype. */
static enum status concat_shape(struct ctx *c, struct array **parts, int n, int *axis, int64_t *shape, enum dtype *dtype)
{
    TRY(front_axis(c, "concat", parts[0], parts[0]->ndim, axis));
    memcpy(shape, parts[0]->shape, sizeof parts[0]->shape);
    *dtype = parts[0]->dtype;
    for (int i = 1; i < n; i++) {
        bool fits = parts[i]->ndim == parts[0]->ndim;
        for (int k = 0; fits && k < parts[0]->ndim; k++) fits = k == *axis || parts[i]->shape[k] == shape[k];
        if (!fits) {
            return ctx_fail(c, E_SHAPE, "concat: %s and %s differ in more than axis %d", FRONT_DESCRIBE(parts[0]),
                            FRONT_DESCRIBE(parts[i]), *axis);
        }
        shape[*axis] += parts[i]->shape[*axis];
        *dtype = dtype_promote(*dtype, parts[i]->dtype);
    }
    return OK;
}

/* At most OP_CONCAT's inputs; empty parts are left out, because kernels see none. */
static struct array *concat_few(struct ctx *c, struct array **parts, int n, int axis, enum dtype result)
{
    int64_t shape[ARRAY_MAX_DIMS];
    enum dtype ignored, compute = front_compute_dtype(result);
    struct axis_params p = {axis, true};
    if (concat_shape(c, parts, n, &axis, shape, &ignored) != OK) return NULL;
    struct op_call call = {OP_CONCAT, .out = {array_empty(c, compute, parts[0]->ndim, shape)}, .params = &p};
    for (int i = 0, used = 0; i < n; i++) {
        if (array_size(parts[i]) > 0) call.in[used++] = front_prepare(c, parts[i], compute);
    }
    struct array *y = front_finish(c, &call, 0);
    return y ? op_cast(c, y, result) : NULL;
}

struct array *op_concat(struct ctx *c, struct array **parts, int n, int axis)
{
    int64_t shape[ARRAY_MAX_DIMS];
    enum dtype dtype;
    BUG_ON(c, op_info(OP_CONCAT)->n_in != CONCAT_MOST, "ops.def gives concat another number of inputs");
    if (!ctx_ok(c)) return NULL;
    if (n < 1) {
        ctx_fail(c, E_SHAPE, "concat: no arrays were given");
        return NULL;
    }
    for (int i = 0; i < n; i++) {
        if (!front_operand(c, parts[i])) return NULL;
    }
    if (concat_shape(c, parts, n, &axis, shape, &dtype) != OK) return NULL;
    struct array *all = n == 1 ? parts[0] : NULL;
    for (int done = 0; n > 1 && done < n && ctx_ok(c);) { /* the result so far takes one place in the next call */
        struct array *few[CONCAT_MOST];
        int used = 0;
        if (all) few[used++] = all;
        while (used < CONCAT_MOST && done < n) few[used++] = parts[done++];
        all = concat_few(c, few, used, axis, dtype);
    }
    return ctx_ok(c) ? all : NULL;
}

/* ---- lookup ------------------------------------------------------------------------------------------------------- */

struct array *op_take(struct ctx *c, struct array *table, struct array *ids)
{
    if (!front_operand(c, table) || !front_operand(c, ids)) return NULL;
    if (table->ndim != 2) {
        ctx_fail(c, E_SHAPE, "take: %s is not a matrix (ids %s)", FRONT_DESCRIBE(table), FRONT_DESCRIBE(ids));
        return NULL;
    }
    ids = front_prepare_ids(c, "take", ids, NULL, table->shape[0]);
    enum dtype result = table->dtype, compute = front_activation_dtype(c, result);
    table = front_prepare(c, table, compute);
    if (!ids || !table) return NULL;
    const int64_t shape[2] = {ids->shape[0], table->shape[1]};
    struct op_call call = {OP_TAKE, .in = {table, ids}, .out = {array_empty(c, compute, 2, shape)}};
    struct array *y = front_finish(c, &call, op_info(OP_TAKE)->saves);
    return y ? op_cast(c, y, result) : NULL;
}

struct array *op_take_along(struct ctx *c, struct array *a, struct array *ids)
{
    if (!front_operand(c, a) || !front_operand(c, ids)) return NULL;
    if (a->ndim != 2 || ids->ndim != 1 || ids->shape[0] != a->shape[0]) {
        ctx_fail(c, E_SHAPE, "take_along: %s needs one id a row, not %s", FRONT_DESCRIBE(a), FRONT_DESCRIBE(ids));
        return NULL;
    }
    ids = front_prepare_ids(c, "take_along", ids, NULL, a->shape[1]);
    enum dtype result = a->dtype, compute = front_compute_dtype(result);
    a = front_prepare(c, a, compute);
    if (!ids || !a) return NULL;
    struct op_call call = {OP_TAKE_ALONG, .in = {a, ids}, .out = {array_empty(c, compute, 1, ids->shape)}};
    struct array *y = front_finish(c, &call, op_info(OP_TAKE_ALONG)->saves);
    return y ? op_cast(c, y, result) : NULL;
}
