/* api_array: your_ai_array.h over the array layer.
 *
 * A handle is a small struct of its own around a counted array, on a list of its ctx, so that a host program can forget
 * handles without leaking past ya_ctx_free. Each call opens a scope, runs ops, keeps the result by reference and closes the
 * scope: what ops make on the way is gone when the call returns, but for what the tape holds. */
#include "your_ai_array.h"

#include <string.h>

#include "api/api.h"
#include "array/op.h"
#include "array/tape.h"
#include "base/mem.h"

/* A handle: what the host program holds of an array. */
struct ya_array {
    ya_ctx *ctx;
    struct array *a; /* retained */
    ya_array *next, *previous;
};

_Static_assert((int)YA_BOOL == DTYPE_BOOL && (int)YA_U8 == DTYPE_U8 && (int)YA_I32 == DTYPE_I32 &&
                   (int)YA_I64 == DTYPE_I64 && (int)YA_F16 == DTYPE_F16 && (int)YA_BF16 == DTYPE_BF16 &&
                   (int)YA_F32 == DTYPE_F32 && (int)YA_F64 == DTYPE_F64 && (int)YA_MAX_DIMS == ARRAY_MAX_DIMS,
               "the public dtypes are the engine's");

/* ---- handles ------------------------------------------------------------------------------------------------------ */

/* A handle on `a`, which it retains. NULL when `a` is NULL or there is no memory. */
static ya_array *handle(ya_ctx *ctx, struct array *a)
{
    if (!a || !ctx_ok(ctx->c)) return NULL;
    ya_array *h = mem_alloc(ctx->c, 1, sizeof *h);
    if (!h) return NULL;
    *h = (ya_array){.ctx = ctx, .a = array_retain(a), .next = ctx->arrays};
    if (h->next) h->next->previous = h;
    ctx->arrays = h;
    return h;
}

/* Ends a call: the result as a handle, everything else that the call made released. */
static ya_array *api_array_finish(ya_ctx *ctx, int mark, struct array *a)
{
    ya_array *h = handle(ctx, a);
    scope_close(ctx->c, mark);
    return h;
}

void ya_array_free(ya_array *h)
{
    if (!h || !api_alive(h->ctx)) return;
    if (h->previous) {
        h->previous->next = h->next;
    } else {
        h->ctx->arrays = h->next;
    }
    if (h->next) h->next->previous = h->previous;
    struct ctx *c = h->ctx->c;
    array_release(h->a);
    mem_free(c, h);
}

ya_array *ya_array_ref(const ya_array *a)
{
    return a ? handle(a->ctx, a->a) : NULL;
}

/* True when all handles are there and belong to the ctx, and it holds no error. */
static bool usable(ya_ctx *ctx, ya_array *const *arrays, int n)
{
    for (int i = 0; i < n; i++) {
        if (!arrays[i]) return false;
        if (arrays[i]->ctx != ctx) return ctx_fail(ctx->c, E_INPUT, "operands belong to two contexts"), false;
    }
    return ctx_ok(ctx->c);
}

/* The same for the operands of one op. */
static bool usable_pair(const ya_array *a, const ya_array *b)
{
    return a && usable(a->ctx, (ya_array *const[]){(ya_array *)a, (ya_array *)b}, 2);
}

/* ---- making ------------------------------------------------------------------------------------------------------- */

/* A contiguous array of the n elements at `data`. */
static ya_array *from_slice(ya_ctx *ctx, enum dtype dtype, const void *data, int64_t n, int ndim, const int64_t *shape)
{
    if (!ctx_ok(ctx->c)) return NULL;
    int mark = scope_open(ctx->c);
    struct array *a = array_empty(ctx->c, dtype, ndim, shape);
    if (a && array_size(a) != n)
        ctx_fail(ctx->c, E_SHAPE, "from_slice: %lld values for a shape of %lld", (long long)n, (long long)array_size(a));
    else if (a)
        array_upload(a, data, n);
    return api_array_finish(ctx, mark, a);
}

ya_array *ya_from_f32(ya_ctx *ctx, float value)
{
    return from_slice(ctx, DTYPE_F32, &value, 1, 0, NULL);
}

ya_array *ya_from_i32(ya_ctx *ctx, int32_t value)
{
    return from_slice(ctx, DTYPE_I32, &value, 1, 0, NULL);
}

ya_array *ya_full(ya_ctx *ctx, ya_dtype dtype, int ndim, const int64_t *shape, double value)
{
    if (!ctx_ok(ctx->c)) return NULL;
    int mark = scope_open(ctx->c);
    return api_array_finish(ctx, mark, array_full(ctx->c, (enum dtype)dtype, ndim, shape, value));
}

ya_array *ya_zeros(ya_ctx *ctx, ya_dtype dtype, int ndim, const int64_t *shape)
{
    return ya_full(ctx, dtype, ndim, shape, 0);
}

/* ---- asking ------------------------------------------------------------------------------------------------------- */

int ya_ndim(const ya_array *a)
{
    return a && api_alive(a->ctx) ? a->a->ndim : -1;
}

int64_t ya_dim(const ya_array *a, int axis)
{
    if (!a || !api_alive(a->ctx)) return -1;
    if (axis < 0) axis += a->a->ndim;
    return a && axis >= 0 && axis < a->a->ndim ? a->a->shape[axis] : -1;
}

int64_t ya_size(const ya_array *a)
{
    return a && api_alive(a->ctx) ? array_size(a->a) : -1;
}

ya_dtype ya_array_dtype(const ya_array *a)
{
    return a && api_alive(a->ctx) ? (ya_dtype)a->a->dtype : YA_BOOL;
}

/* The one element of an array, on the host. */
static int item(const ya_array *a, enum dtype dtype, void *value)
{
    if (!a || !ctx_ok(a->ctx->c)) return -1;
    if (array_size(a->a) == 1) return array_to_host(a->a, dtype, value) == OK ? 0 : -1;
    array_item(a->a); /* for its message */
    return -1;
}

int ya_item_f64(const ya_array *a, double *value)
{
    return item(a, DTYPE_F64, value);
}

int ya_item_i64(const ya_array *a, int64_t *value)
{
    return item(a, DTYPE_I64, value);
}

/* All elements of an array, on the host. */
static int as_slice(const ya_array *a, enum dtype dtype, void *out, int64_t n)
{
    if (!a || !ctx_ok(a->ctx->c)) return -1;
    if (a->a->dtype != dtype) {
        ctx_fail(a->ctx->c, E_DTYPE, "as_slice: the array is %s, not %s; convert it with astype", dtype_name(a->a->dtype),
                 dtype_name(dtype));
    } else if (array_size(a->a) != n) {
        ctx_fail(a->ctx->c, E_SHAPE, "as_slice: space for %lld elements, the array has %lld", (long long)n,
                 (long long)array_size(a->a));
    } else {
        array_to_host(a->a, dtype, out);
    }
    return ctx_ok(a->ctx->c) ? 0 : -1;
}

#define SLICES(name, type, dtype)                                                                                           \
    ya_array *ya_from_slice_##name(ya_ctx *ctx, const type *data, int64_t n, int ndim, const int64_t *shape)                \
    {                                                                                                                       \
        return from_slice(ctx, dtype, data, n, ndim, shape);                                                                \
    }                                                                                                                       \
    int ya_as_slice_##name(const ya_array *a, type *out, int64_t n)                                                         \
    {                                                                                                                       \
        return as_slice(a, dtype, out, n);                                                                                  \
    }
SLICES(f32, float, DTYPE_F32)
SLICES(f64, double, DTYPE_F64)
SLICES(i32, int32_t, DTYPE_I32)
SLICES(i64, int64_t, DTYPE_I64)
SLICES(u8, uint8_t, DTYPE_U8)
SLICES(bool, bool, DTYPE_BOOL)

int ya_eval(ya_ctx *ctx, ya_array *const *arrays, int n)
{
    return ctx_ok(ctx->c) && usable(ctx, arrays, n) ? 0 : -1;
}

int ya_array_equal(const ya_array *a, const ya_array *b)
{
    if (!usable_pair(a, b)) return -1;
    if (!array_same_shape(a->a, b->a)) return 0;
    if (array_size(a->a) == 0) return 1;
    struct ctx *c = a->ctx->c;
    int mark = scope_open(c);
    double differs = array_item(op_max(c, op_not_equal(c, a->a, b->a), NULL, -1, false));
    scope_close(c, mark);
    return !ctx_ok(c) ? -1 : differs == 0;
}

/* ---- ops of one and two operands -------------------------------------------------------------------------------------- */

/* Calls an op with one operand. */
static ya_array *api_unary(const ya_array *a, struct array *(*op)(struct ctx *, struct array *))
{
    if (!a || !ctx_ok(a->ctx->c)) return NULL;
    int mark = scope_open(a->ctx->c);
    return api_array_finish(a->ctx, mark, op(a->ctx->c, a->a));
}

/* Calls an op with two operands. */
static ya_array *api_binary(const ya_array *a, const ya_array *b,
                            struct array *(*op)(struct ctx *, struct array *, struct array *))
{
    if (!usable_pair(a, b)) return NULL;
    int mark = scope_open(a->ctx->c);
    return api_array_finish(a->ctx, mark, op(a->ctx->c, a->a, b->a));
}

#define UNARY(name, op)                                                                                                     \
    ya_array *ya_##name(const ya_array *a)                                                                                  \
    {                                                                                                                       \
        return api_unary(a, op);                                                                                            \
    }
#define BINARY(name, op)                                                                                                    \
    ya_array *ya_##name(const ya_array *a, const ya_array *b)                                                               \
    {                                                                                                                       \
        return api_binary(a, b, op);                                                                                        \
    }
/* a > b is b < a */
#define SWAPPED(name, op)                                                                                                   \
    ya_array *ya_##name(const ya_array *a, const ya_array *b)                                                               \
    {                                                                                                                       \
        return api_binary(b, a, op);                                                                                        \
    }
BINARY(add, op_add)
BINARY(sub, op_sub)
BINARY(mul, op_mul)
BINARY(div, op_div)
BINARY(maximum, op_maximum)
UNARY(neg, op_neg)
UNARY(exp, op_exp)
UNARY(log, op_log)
UNARY(sqrt, op_sqrt)
UNARY(sigmoid, op_sigmoid)
BINARY(eq, op_equal)
BINARY(ne, op_not_equal)
BINARY(lt, op_less)
BINARY(le, op_less_equal)
SWAPPED(gt, op_less)
SWAPPED(ge, op_less_equal)
BINARY(take, op_take)
BINARY(take_along, op_take_along)
BINARY(matmul, op_matmul)

ya_array *ya_where(const ya_array *condition, const ya_array *a, const ya_array *b)
{
    if (!usable_pair(condition, a) || !usable_pair(a, b)) return NULL;
    int mark = scope_open(a->ctx->c);
    return api_array_finish(a->ctx, mark, op_where(a->ctx->c, condition->a, a->a, b->a));
}

ya_array *ya_astype(const ya_array *a, ya_dtype dtype)
{
    if (!a || !ctx_ok(a->ctx->c)) return NULL;
    int mark = scope_open(a->ctx->c);
    return api_array_finish(a->ctx, mark, op_cast(a->ctx->c, a->a, (enum dtype)dtype));
}

/* ---- reductions --------------------------------------------------------------------------------------------------- */

typedef struct array *(*reduction)(struct ctx *, struct array *, const int *, int, bool);

/* Calls a reduction. */
static ya_array *api_reduce(const ya_array *a, const int *axes, int n, bool keep, reduction op)
{
    if (!a || !ctx_ok(a->ctx->c)) return NULL;
    int mark = scope_open(a->ctx->c);
    return api_array_finish(a->ctx, mark, op(a->ctx->c, a->a, axes, n, keep));
}

#define REDUCTION(name)                                                                                                     \
    ya_array *ya_##name(const ya_array *a, bool keep)                                                                       \
    {                                                                                                                       \
        return api_reduce(a, NULL, -1, keep, op_##name);                                                                    \
    }                                                                                                                       \
    ya_array *ya_##name##_axes(const ya_array *a, const int *axes, int n, bool keep)                                        \
    {                                                                                                                       \
        return api_reduce(a, axes, n < 0 ? 0 : n, keep, op_##name);                                                         \
    }
REDUCTION(sum)
REDUCTION(mean)
REDUCTION(max)

ya_array *ya_var(const ya_array *a, bool keep, int ddof)
{
    if (!a || !ctx_ok(a->ctx->c)) return NULL;
    struct ctx *c = a->ctx->c;
    int mark = scope_open(c);
    int64_t n = array_size(a->a) - ddof;
    struct array *difference = op_sub(c, a->a, op_mean(c, a->a, NULL, -1, true));
    struct array *sum = op_sum(c, op_mul(c, difference, difference), NULL, -1, keep);
    struct array *count = sum ? array_scalar(c, sum->dtype, n > 0 ? (double)n : 0) : NULL;
    return api_array_finish(a->ctx, mark, op_div(c, sum, count));
}

ya_array *ya_logsumexp_axis(const ya_array *a, int axis, bool keep)
{
    if (!a || !ctx_ok(a->ctx->c)) return NULL;
    int mark = scope_open(a->ctx->c);
    return api_array_finish(a->ctx, mark, op_logsumexp(a->ctx->c, a->a, axis, keep));
}

ya_array *ya_logsumexp(const ya_array *a, bool keep)
{
    if (!a || !ctx_ok(a->ctx->c)) return NULL;
    struct ctx *c = a->ctx->c;
    const int64_t flat = -1;
    int64_t ones[ARRAY_MAX_DIMS];
    for (int i = 0; i < ARRAY_MAX_DIMS; i++) ones[i] = 1;
    int mark = scope_open(c);
    struct array *all = array_size(a->a) ? op_reshape(c, a->a, 1, &flat) : array_zeros(c, a->a->dtype, 1, &(int64_t){0});
    struct array *y = op_logsumexp(c, all, 0, false);
    return api_array_finish(a->ctx, mark, keep ? op_reshape(c, y, a->a->ndim, ones) : y);
}

ya_array *ya_softmax_axis(const ya_array *a, int axis)
{
    if (!a || !ctx_ok(a->ctx->c)) return NULL;
    int mark = scope_open(a->ctx->c);
    return api_array_finish(a->ctx, mark, op_softmax(a->ctx->c, a->a, axis));
}

/* ---- shape -------------------------------------------------------------------------------------------------------- */

ya_array *ya_reshape(const ya_array *a, int ndim, const int64_t *shape)
{
    if (!a || !ctx_ok(a->ctx->c)) return NULL;
    int mark = scope_open(a->ctx->c);
    return api_array_finish(a->ctx, mark, op_reshape(a->ctx->c, a->a, ndim, shape));
}

ya_array *ya_transpose(const ya_array *a)
{
    if (!a || !ctx_ok(a->ctx->c)) return NULL;
    int mark = scope_open(a->ctx->c);
    return api_array_finish(a->ctx, mark, op_transpose(a->ctx->c, a->a, NULL));
}

/* The operand when an argument list with one entry an axis has as many as it has axes. */
static struct array *with_rank(const ya_array *a, int n, const char *what)
{
    if (n == a->a->ndim) return a->a;
    ctx_fail(a->ctx->c, E_SHAPE, "%s: %d axes for an array of %d dimensions", what, n, a->a->ndim);
    return NULL;
}

ya_array *ya_transpose_axes(const ya_array *a, const int *axes, int n)
{
    if (!a || !ctx_ok(a->ctx->c) || !with_rank(a, n, "transpose_axes")) return NULL;
    int mark = scope_open(a->ctx->c);
    return api_array_finish(a->ctx, mark, op_transpose(a->ctx->c, a->a, axes));
}

ya_array *ya_broadcast_to(const ya_array *a, int ndim, const int64_t *shape)
{
    if (!a || !ctx_ok(a->ctx->c)) return NULL;
    int mark = scope_open(a->ctx->c);
    return api_array_finish(a->ctx, mark, op_broadcast(a->ctx->c, a->a, ndim, shape));
}

ya_array *ya_slice(const ya_array *a, const int64_t *start, const int64_t *stop, const int64_t *step, int n)
{
    if (!a || !ctx_ok(a->ctx->c) || !with_rank(a, n, "slice")) return NULL;
    int mark = scope_open(a->ctx->c);
    return api_array_finish(a->ctx, mark, op_slice(a->ctx->c, a->a, start, stop, step));
}

ya_array *ya_expand_dims(const ya_array *a, const int *axes, int n)
{
    if (!a || !ctx_ok(a->ctx->c)) return NULL;
    int mark = scope_open(a->ctx->c);
    return api_array_finish(a->ctx, mark, op_expand_dims(a->ctx->c, a->a, axes, n));
}

/* Concatenates along `axis`; with `stacked` each array gets that axis first. */
static ya_array *api_join(ya_ctx *ctx, ya_array *const *arrays, int n, int axis, bool stacked)
{
    if (!ctx_ok(ctx->c) || !usable(ctx, arrays, n)) return NULL;
    struct array **parts = mem_alloc(ctx->c, n > 0 ? (size_t)n : 0, sizeof(struct array *));
    if (!parts) return NULL;
    int mark = scope_open(ctx->c);
    for (int i = 0; i < n; i++) parts[i] = stacked ? op_expand_dims(ctx->c, arrays[i]->a, &axis, 1) : arrays[i]->a;
    ya_array *h = api_array_finish(ctx, mark, op_concat(ctx->c, parts, n, axis));
    mem_free(ctx->c, parts);
    return h;
}

ya_array *ya_concatenate(ya_ctx *ctx, ya_array *const *arrays, int n)
{
    return api_join(ctx, arrays, n, 0, false);
}

ya_array *ya_concatenate_axis(ya_ctx *ctx, ya_array *const *arrays, int n, int axis)
{
    return api_join(ctx, arrays, n, axis, false);
}

ya_array *ya_stack(ya_ctx *ctx, ya_array *const *arrays, int n, int axis)
{
    return api_join(ctx, arrays, n, axis, true);
}

/* ---- derivatives -------------------------------------------------------------------------------------------------- */

/* What one ya_value_and_grad needs to remember. wanted[i]: argument i is differentiated. */
struct derivative {
    ya_ctx *ctx;
    ya_array *const *args; /* the caller's */
    ya_array **leaves;     /* what f sees: the same values without a past */
    bool *wanted;
    int n_args;
};

/* Which arguments of a function are differentiated. */
static enum status choose_arguments(struct derivative *d, const int *argnums, int n)
{
    struct ctx *c = d->ctx->c;
    if (n < 1) return ctx_fail(c, E_INPUT, "value_and_grad: no argument to differentiate by");
    for (int i = 0; i < n; i++) {
        int k = argnums[i];
        if (k < 0 || k >= d->n_args || d->wanted[k]) {
            return ctx_fail(c, E_INPUT, "value_and_grad: argnums[%d] = %d is %s (%d arguments)", i, k,
                            k < 0 || k >= d->n_args ? "out of range" : "named twice", d->n_args);
        }
        if (!dtype_is_float(d->args[k]->a->dtype)) {
            return ctx_fail(c, E_DTYPE, "value_and_grad: argument %d is %s; derivatives are of floats", k,
                            dtype_name(d->args[k]->a->dtype));
        }
        d->wanted[k] = true;
    }
    return OK;
}

/* The arguments as leaves of the tape. */
static enum status make_leaves(struct derivative *d)
{
    struct ctx *c = d->ctx->c;
    for (int i = 0; i < d->n_args; i++) {
        struct array *a = d->args[i]->a;
        d->leaves[i] = handle(d->ctx, array_view(a, a->ndim, a->shape, a->stride, 0));
        if (!d->leaves[i]) return c->status;
        if (d->wanted[i]) TRY(tape_watch(c, d->leaves[i]->a, NULL));
    }
    return OK;
}

/* Calls f and walks back from outputs[0]. */
static enum status differentiate(struct derivative *d, ya_function f, void *user, ya_array **outputs, int n_outputs)
{
    struct ctx *c = d->ctx->c;
    TRY(make_leaves(d));
    int result = f(d->ctx, user, d->leaves, d->n_args, outputs, n_outputs);
    if (!ctx_ok(c)) return c->status;
    if (result != 0) return ctx_fail(c, E_INPUT, "value_and_grad: the function failed (it returned %d)", result);
    for (int i = 0; i < n_outputs; i++) {
        if (!outputs[i]) return ctx_fail(c, E_INPUT, "value_and_grad: the function left output %d empty", i);
    }
    return tape_backward(c, outputs[0]->a, 1);
}

/* The gradients as handles of the host. */
static enum status api_collect(struct derivative *d, ya_array **grads)
{
    struct ctx *c = d->ctx->c;
    for (int i = 0, n = 0; i < d->n_args && ctx_ok(c); i++) {
        if (!d->wanted[i]) continue;
        struct array *leaf = d->leaves[i]->a, *g = tape_grad(c, leaf);
        if (!g) g = array_zeros(c, leaf->dtype, leaf->ndim, leaf->shape);
        grads[n++] = handle(d->ctx, g);
    }
    return c->status;
}

/* Frees n handles and forgets them. */
static void free_all(ya_array **arrays, int n)
{
    for (int i = 0; i < n; i++) {
        ya_array_free(arrays[i]);
        arrays[i] = NULL;
    }
}

int ya_value_and_grad(ya_ctx *ctx, ya_function f, void *user, ya_array *const *args, int n_args, const int *argnums,
                      int n_argnums, ya_array **outputs, int n_outputs, ya_array **grads)
{
    const int first = 0;
    struct ctx *c = ctx->c;
    if (!argnums) n_argnums = 1;
    for (int i = 0; i < n_outputs; i++) outputs[i] = NULL;
    for (int i = 0; i < n_argnums; i++) grads[i] = NULL;
    if (!ctx_ok(c) || !usable(ctx, args, n_args)) return -1;
    if (ctx->differentiating) return ctx_fail(c, E_UNSUPPORTED, "value_and_grad inside value_and_grad"), -1;
    if (n_outputs < 1) return ctx_fail(c, E_INPUT, "value_and_grad: a function without outputs has no value"), -1;
    struct derivative d = {.ctx = ctx, .args = args, .n_args = n_args};
    d.leaves = mem_alloc(c, (size_t)n_args, sizeof(ya_array *));
    d.wanted = mem_alloc(c, (size_t)n_args, sizeof *d.wanted);
    int mark = scope_open(c);
    if (d.leaves && d.wanted && choose_arguments(&d, argnums ? argnums : &first, n_argnums) == OK && tape_begin(c) == OK) {
        ctx->differentiating = true;
        if (differentiate(&d, f, user, outputs, n_outputs) == OK) api_collect(&d, grads);
        ctx->differentiating = false;
        tape_end(c);
    }
    if (d.leaves) free_all(d.leaves, n_args);
    scope_close(c, mark);
    mem_free(c, d.leaves);
    mem_free(c, d.wanted);
    if (ctx_ok(c)) return 0;
    free_all(outputs, n_outputs);
    free_all(grads, n_argnums);
    return -1;
}
