/* array: storage and views.
 *
 * Structs come from a pool of host memory, elements from the step pool of device memory, so the same program gets the same
 * addresses every step and no allocator is on the path. Persistent arrays have blocks of their own. Elements are filled by
 * FILL, written by upload and read by download: this file never looks at them. */
#include "array/array.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "array/env.h"
#include "base/checked.h"
#include "base/mem.h"

/* ---- storage ------------------------------------------------------------------------------------------------------ */

/* Every ctx with arrays has one. */
static struct backend *backend_of(const struct ctx *c)
{
    return c->array_env->backend;
}

/* One reference less. At the last one a step's block goes back to the pool, and a persistent one to the backend. */
static void storage_drop(struct storage *s)
{
    if (--s->refs > 0) return;
    struct backend *b = backend_of(s->c);
    if (s->persistent)
        b->free(b, MEMORY_DEVICE, s->data, s->taken);
    else
        pool_put(s->c->array_env->device, s->data, s->taken);
    pool_put(s->c->array_env->host, s, sizeof *s);
}

/* Device memory for so many bytes, contents undefined. NULL with E_MEMORY. */
static struct storage *storage_new(struct ctx *c, size_t bytes, bool persistent)
{
    struct backend *b = backend_of(c);
    struct storage *s = pool_get(c->array_env->host, sizeof *s, NULL);
    if (!s) return NULL;
    if (bytes == 0) bytes = 1; /* empty arrays have an address too */
    *s = (struct storage){.refs = 1, .persistent = persistent, .bytes = bytes, .taken = bytes, .c = c};
    s->data = persistent ? b->alloc(b, MEMORY_DEVICE, bytes) : pool_get(c->array_env->device, bytes, &s->taken);
    if (s->data) return s;
    pool_put(c->array_env->host, s, sizeof *s);
    return NULL;
}

/* ---- references ---------------------------------------------------------------------------------------------------- */

/* Row-major strides. */
static void fill_strides(int ndim, const int64_t *shape, int64_t *stride)
{
    int64_t step = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        stride[i] = step;
        step *= shape[i] > 0 ? shape[i] : 1;
    }
}

/* An array that belongs to no scope yet. Takes over the caller's reference on `s`. */
static struct array *array_make(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape, const int64_t *stride,
                                struct storage *s, void *data)
{
    struct array *a = pool_get(c->array_env->host, sizeof *a, NULL);
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
    return a;
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
    pool_put(a->c->array_env->host, a, sizeof *a);
}

/* ---- making ------------------------------------------------------------------------------------------------------- */

/* E_SHAPE for what is no shape, also when its bytes overflow; *bytes is what a contiguous array takes. */
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

/* In no scope yet. */
static struct array *array_make_contiguous(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape, bool persistent)
{
    size_t bytes;
    if (!ctx_ok(c) || array_check_shape(c, dtype, ndim, shape, &bytes) != OK) return NULL;
    struct storage *s = storage_new(c, bytes, persistent);
    return s ? array_make(c, dtype, ndim, shape, NULL, s, s->data) : NULL;
}

struct array *array_empty(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape)
{
    struct array *a = array_make_contiguous(c, dtype, ndim, shape, false);
    return a ? scope_own(c, a) : NULL;
}

struct array *array_full(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape, double value)
{
    struct array *a = array_empty(c, dtype, ndim, shape);
    return a && op_fill(c, a, value) == OK ? a : NULL;
}

struct array *array_zeros(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape)
{
    return array_full(c, dtype, ndim, shape, 0);
}

/* Zeroed by the backend itself, as everything that touches device memory is. */
struct array *array_persistent(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape)
{
    struct array *a = array_make_contiguous(c, dtype, ndim, shape, true);
    if (a && op_fill(c, a, 0) == OK) return a;
    array_release(a);
    return NULL;
}

struct array *array_from_host(struct ctx *c, enum dtype dtype, int ndim, const int64_t *shape, const void *data)
{
    struct array *a = array_empty(c, dtype, ndim, shape);
    return a && array_upload(a, data, array_size(a)) == OK ? a : NULL;
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

/* Shares the storage, which lives until its last array is released. */
struct array *array_view(struct array *a, int ndim, const int64_t *shape, const int64_t *stride, int64_t offset)
{
    if (!a || !ctx_ok(a->c)) return NULL;
    check_extent(a, ndim, shape, stride, offset);
    a->storage->refs++;
    void *data = (char *)a->data + offset * (int64_t)dtype_size(a->dtype);
    struct array *view = array_make(a->c, a->dtype, ndim, shape, stride, a->storage, data);
    return view ? scope_own(a->c, view) : NULL;
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
    return array_to_host(a, DTYPE_F64, &value) == OK ? value : NAN;
}

enum status array_upload(struct array *a, const void *data, int64_t n)
{
    struct ctx *c = a->c;
    if (!ctx_ok(c)) return c->status;
    BUG_ON(c, n != array_size(a) || !array_is_contiguous(a), "array_upload: %lld elements into another kind of array",
           (long long)n);
    if (n > 0) backend_of(c)->upload(backend_of(c), a->data, data, (size_t)n * dtype_size(a->dtype));
    return c->status;
}

/* The bytes of a contiguous array, as they are. */
static enum status array_read_bytes(struct array *a, void *out)
{
    struct backend *b = backend_of(a->c);
    b->download(b, out, a->data, (size_t)array_size(a) * dtype_size(a->dtype));
    return b->wait(b, b->mark(b));
}

/* The same in another dtype, by way of a copy on the host. */
static enum status array_read_converted(struct array *a, enum dtype dtype, void *out)
{
    int64_t n = array_size(a);
    void *bytes = mem_alloc(a->c, (size_t)n, dtype_size(a->dtype));
    if (bytes && array_read_bytes(a, bytes) == OK) dtype_convert(dtype, out, 1, a->dtype, bytes, 1, n);
    mem_free(a->c, bytes);
    return a->c->status;
}

enum status array_to_host(struct array *a, enum dtype dtype, void *out)
{
    struct ctx *c = a->c;
    if (!ctx_ok(c) || array_size(a) == 0) return c->status;
    int mark = scope_open(c);
    if (!array_is_contiguous(a)) {
        tape_pause(c); /* reading is no part of what is differentiated */
        a = op_contiguous(c, a);
        tape_resume(c);
    }
    if (a) {
        if (a->dtype == dtype)
            array_read_bytes(a, out);
        else
            array_read_converted(a, dtype, out);
    }
    scope_close(c, mark);
    return c->status;
}
