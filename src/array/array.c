/* array: storage and views.
 *
 * Structs and data alike come from the step pool, so the same program gets the same addresses every step and the allocator
 * is not on the path. Pool storage knows its size; wrapped storage belongs to the caller and its release does nothing. */
#include "array/array.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "array/env.h"
#include "base/checked.h"

/* ---- storage ------------------------------------------------------------------------------------------------------ */

static void release_pool(struct storage *s)
{
    pool_put(s->c->array_env->pool, s->data, s->bytes);
}

static void release_nothing(struct storage *s)
{
    (void)s;
}

static struct storage *storage_new(struct ctx *c, void *data, size_t bytes, void (*release)(struct storage *))
{
    struct storage *s = pool_get(c->array_env->pool, sizeof *s);
    if (!s) return NULL;
    *s = (struct storage){.refs = 1, .bytes = bytes, .data = data, .c = c, .release = release};
    return s;
}

static void storage_drop(struct storage *s)
{
    if (--s->refs > 0) return;
    s->release(s);
    pool_put(s->c->array_env->pool, s, sizeof *s);
}

/* ---- life --------------------------------------------------------------------------------------------------------- */

/* Row-major strides. */
static void fill_strides(int ndim, const int64_t *shape, int64_t *stride)
{
    int64_t step = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        stride[i] = step;
        step *= shape[i] > 0 ? shape[i] : 1;
    }
}

/* Takes over the caller's reference on `s`. */
static struct array *array_make(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape, const int64_t *stride,
                                struct storage *s, void *data)
{
    struct array *a = pool_get(c->array_env->pool, sizeof *a);
    if (!a) {
        storage_drop(s);
        return NULL;
    }
    *a = (struct array){.refs = 1, .dtype = dtype, .ndim = ndim, .data = data, .storage = s, .c = c};
    if (ndim > 0) memcpy(a->shape, shape, (size_t)ndim * sizeof *shape);
    if (stride) {
        if (ndim > 0) memcpy(a->stride, stride, (size_t)ndim * sizeof *stride);
    } else {
        fill_strides(ndim, shape, a->stride);
    }
    return scope_own(c, a);
}

struct array *array_retain(struct array *a)
{
    if (a) a->refs++;
    return a;
}

void array_release(struct array *a)
{
    if (!a) return;
    BUG_ON(a->c, a->refs <= 0, "array_release: released more often than owned");
    if (--a->refs > 0) return;
    node_release(a->node);
    storage_drop(a->storage);
    pool_put(a->c->array_env->pool, a, sizeof *a);
}

/* ---- making ------------------------------------------------------------------------------------------------------- */

enum status array_check_shape(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape, size_t *bytes)
{
    if (ndim < 0 || ndim > ARRAY_MAX_DIMS) {
        return ctx_fail(c, E_SHAPE, "an array cannot have %d dimensions (at most %d)", ndim, ARRAY_MAX_DIMS);
    }
    size_t total = dtype_size(dtype);
    for (int i = 0; i < ndim; i++) {
        if (shape[i] < 0) return ctx_fail(c, E_SHAPE, "dimension %d of an array is %lld", i, (long long)shape[i]);
        if (!checked_mul(total, (size_t)shape[i], &total) || total > INT64_MAX) {
            return ctx_fail(c, E_SHAPE,
                            "an array of this shape has more bytes than an address can name (dimension %d is %lld)", i,
                            (long long)shape[i]);
        }
    }
    *bytes = total;
    return OK;
}

struct array *array_empty(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape)
{
    size_t bytes;
    if (!ctx_ok(c) || array_check_shape(c, dtype, ndim, shape, &bytes) != OK) return NULL;
    if (bytes == 0) bytes = 1; /* empty arrays have an address too */
    void *data = pool_get(c->array_env->pool, bytes);
    if (!data) return NULL;
    struct storage *s = storage_new(c, data, bytes, release_pool);
    if (!s) {
        pool_put(c->array_env->pool, data, bytes);
        return NULL;
    }
    return array_make(c, dtype, ndim, shape, NULL, s, data);
}

struct array *array_full(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape, double value)
{
    struct array *a = array_empty(c, dtype, ndim, shape);
    if (a) dtype_convert(dtype, a->data, 1, DTYPE_F64, &value, 0, array_size(a));
    return a;
}

struct array *array_zeros(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape)
{
    struct array *a = array_empty(c, dtype, ndim, shape);
    if (a) memset(a->data, 0, (size_t)array_size(a) * dtype_size(dtype)); /* all bits 0 is zero in every dtype */
    return a;
}

struct array *array_persistent(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape)
{
    int mark = scope_open(c);
    struct array *a = array_retain(array_zeros(c, dtype, ndim, shape));
    scope_close(c, mark);
    return a;
}

struct array *array_from_host(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape, const void *data)
{
    struct array *a = array_empty(c, dtype, ndim, shape);
    if (a && array_size(a) > 0) memcpy(a->data, data, (size_t)array_size(a) * dtype_size(dtype));
    return a;
}

struct array *array_wrap(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape, void *data)
{
    size_t bytes = 0;
    if (!ctx_ok(c) || array_check_shape(c, dtype, ndim, shape, &bytes) != OK) return NULL;
    struct storage *s = storage_new(c, data, bytes, release_nothing);
    return s ? array_make(c, dtype, ndim, shape, NULL, s, data) : NULL;
}

struct array *array_scalar(struct ctx *c, enum dtype dtype, double value)
{
    return array_full(c, dtype, 0, NULL, value);
}

/* Views reach only what their storage holds: a view beyond it is our fault, whoever made the shape. */
static void check_extent(const struct array *a, int ndim, const int64_t *shape, const int64_t *stride, int64_t offset)
{
    const int64_t item = (int64_t)dtype_size(a->dtype);
    int64_t first = ((const char *)a->data - (const char *)a->storage->data) / item + offset, last = first;
    for (int i = 0; i < ndim; i++) {
        if (shape[i] == 0) return; /* nothing is reached */
        *(stride[i] < 0 ? &first : &last) += (shape[i] - 1) * stride[i];
    }
    BUG_ON(a->c, first < 0 || (size_t)(last + 1) * (size_t)item > a->storage->bytes,
           "array_view: elements %lld to %lld of a storage of %zu bytes", (long long)first, (long long)last,
           a->storage->bytes);
}

struct array *array_view(struct array *a, int ndim, const int64_t *shape, const int64_t *stride, int64_t offset)
{
    if (!a || !ctx_ok(a->c)) return NULL;
    check_extent(a, ndim, shape, stride, offset);
    a->storage->refs++;
    void *data = (char *)a->data + offset * (int64_t)dtype_size(a->dtype);
    return array_make(a->c, a->dtype, ndim, shape, stride, a->storage, data);
}

/* ---- asking ------------------------------------------------------------------------------------------------------- */

int64_t array_size(const struct array *a)
{
    int64_t n = 1;
    for (int i = 0; i < a->ndim; i++) n *= a->shape[i];
    return n;
}

bool array_is_contiguous(const struct array *a)
{
    int64_t step = 1;
    for (int i = a->ndim - 1; i >= 0; i--) {
        if (a->shape[i] != 1 && a->stride[i] != step) return array_size(a) == 0;
        step *= a->shape[i];
    }
    return true;
}

bool array_has_unit_last(const struct array *a)
{
    return a->ndim == 0 || a->shape[a->ndim - 1] == 1 || a->stride[a->ndim - 1] == 1;
}

bool array_same_shape(const struct array *a, const struct array *b)
{
    return a->ndim == b->ndim && (a->ndim == 0 || memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof *a->shape) == 0);
}

const char *array_describe(const struct array *a, char *buf, size_t bytes)
{
    size_t at = 0;
    int n = snprintf(buf, bytes, "%s[", dtype_name(a->dtype));
    for (int i = 0; i < a->ndim && n >= 0 && (size_t)n < bytes - at; i++) {
        at += (size_t)n;
        n = snprintf(buf + at, bytes - at, "%s%lld", i ? "," : "", (long long)a->shape[i]);
    }
    if (n >= 0 && (size_t)n < bytes - at) snprintf(buf + at + n, bytes - at - (size_t)n, "]");
    return buf;
}

double array_item(struct array *a)
{
    char text[128];
    double value = NAN;
    if (!a || !ctx_ok(a->c)) return NAN;
    if (array_size(a) != 1) {
        ctx_fail(a->c, E_SHAPE, "item: %s does not hold exactly one element", array_describe(a, text, sizeof text));
        return NAN;
    }
    dtype_convert(DTYPE_F64, &value, 1, a->dtype, a->data, 1, 1);
    return value;
}

enum status array_to_host(struct array *a, enum dtype dtype, void *out)
{
    const int64_t total = array_size(a), inner = a->ndim ? a->shape[a->ndim - 1] : 1;
    const int64_t step = a->ndim ? a->stride[a->ndim - 1] : 1, item = (int64_t)dtype_size(a->dtype);
    int64_t index[ARRAY_MAX_DIMS] = {0};
    if (!ctx_ok(a->c)) return a->c->status;
    for (int64_t done = 0; done < total; done += inner) { /* one last-axis run at a time */
        int64_t offset = 0;
        for (int i = 0; i < a->ndim - 1; i++) offset += index[i] * a->stride[i];
        dtype_convert(dtype, (char *)out + done * (int64_t)dtype_size(dtype), 1, a->dtype, (char *)a->data + offset * item,
                      step, inner);
        for (int i = a->ndim - 2; i >= 0 && ++index[i] == a->shape[i]; i--) index[i] = 0;
    }
    return OK;
}
