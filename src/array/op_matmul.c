/* op_matmul: the front end of matrix products, NumPy's rules: operands of one dimension are a row (left) or a column
 * (right) that vanishes from the result, axes before the last two broadcast. */
#include <string.h>

#include "array/front.h"

/* A vector as a matrix: a row on the left, a column on the right. */
static struct array *as_matrix(struct ctx *c, struct array *a, bool left)
{
    const int axis = left ? 0 : 1;
    return a->ndim == 1 ? op_expand_dims(c, a, &axis, 1) : a;
}

static struct array *matmul_fail(struct ctx *c, const struct array *a, const struct array *b)
{
    ctx_fail(c, E_SHAPE, "matmul: %s and %s do not multiply", FRONT_DESCRIBE(a), FRONT_DESCRIBE(b));
    return NULL;
}

/* Broadcasts the leading axes to `lead` and keeps the operand's own last two. */
static struct array *matmul_spread(struct ctx *c, struct array *a, enum dtype dtype, int n_lead, const int64_t *lead)
{
    int64_t shape[ARRAY_MAX_DIMS];
    memcpy(shape, lead, (size_t)n_lead * sizeof *lead);
    shape[n_lead] = a->shape[a->ndim - 2];
    shape[n_lead + 1] = a->shape[a->ndim - 1];
    a = op_cast(c, a, dtype);
    return front_prepare(c, a ? op_broadcast(c, a, n_lead + 2, shape) : NULL, dtype);
}

/* Runs the product; each operand is saved only when the other one wants a gradient, as dA needs B and dB needs A. */
static struct array *product(struct ctx *c, struct array *a, struct array *b, int ndim, const int64_t *shape)
{
    uint32_t saves = (tape_wants(c, b) ? 1u : 0) | (tape_wants(c, a) ? 2u : 0);
    struct op_call call = {OP_MATMUL, .in = {a, b}, .out = {array_empty(c, a->dtype, ndim, shape)}};
    return front_finish(c, &call, saves);
}

/* A vector becomes a matrix, and its axis of size 1 is left out of the result's shape at the end. */
struct array *op_matmul(struct ctx *c, struct array *a, struct array *b)
{
    int n_lead, ndim = 0;
    int64_t shape[ARRAY_MAX_DIMS + 2], final[ARRAY_MAX_DIMS];
    if (!front_operand(c, a) || !front_operand(c, b)) return NULL;
    if (a->ndim == 0 || b->ndim == 0) return matmul_fail(c, a, b);
    struct array *left = as_matrix(c, a, true), *right = as_matrix(c, b, false);
    if (!left || !right) return NULL;
    if (left->shape[left->ndim - 1] != right->shape[right->ndim - 2] ||
        !front_broadcast(left->ndim - 2, left->shape, right->ndim - 2, right->shape, &n_lead, shape)) {
        return matmul_fail(c, a, b);
    }
    enum dtype result = front_float_dtype(dtype_promote(a->dtype, b->dtype)), compute = front_compute_dtype(result);
    left = matmul_spread(c, left, compute, n_lead, shape);
    right = matmul_spread(c, right, compute, n_lead, shape);
    if (!left || !right) return NULL;
    shape[n_lead] = left->shape[n_lead];
    shape[n_lead + 1] = right->shape[n_lead + 1];
    struct array *y = product(c, left, right, n_lead + 2, shape);
    if (!y) return NULL;
    memcpy(final, shape, (size_t)n_lead * sizeof *shape);
    ndim = n_lead;
    if (a->ndim > 1) final[ndim++] = shape[n_lead];
    if (b->ndim > 1) final[ndim++] = shape[n_lead + 1];
    if (ndim != y->ndim) y = op_reshape(c, y, ndim, final);
    return y ? op_cast(c, y, result) : NULL;
}
