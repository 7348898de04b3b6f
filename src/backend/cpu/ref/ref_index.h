/* ref_index: how the reference kernels walk strided arrays.
 *
 * Two methods are enough. Rows: everything but the last axis is numbered row-major and the last axis is an inner loop with
 * its own stride. Split axes: a reduction counts the kept axes and the reduced axes separately, and adds the two offsets.
 * Offsets are computed by division from the number, not carried from step to step: slower, and nothing to get wrong. All
 * offsets are in elements. */
#ifndef YA_BACKEND_CPU_REF_INDEX_H
#define YA_BACKEND_CPU_REF_INDEX_H

#include "array/backend.h"

/* Some axes of an array, in their order. size is the product of shape, 1 without axes. */
struct axes {
    int n;
    int64_t shape[ARRAY_MAX_DIMS], stride[ARRAY_MAX_DIMS];
    int64_t size;
};

/* Offset of element number i (row-major over these axes). */
static inline int64_t axes_offset(const struct axes *x, int64_t i)
{
    int64_t offset = 0;
    for (int k = x->n - 1; k >= 0; k--) {
        offset += i % x->shape[k] * x->stride[k];
        i /= x->shape[k];
    }
    return offset;
}

/* Appends an axis. */
static inline void axes_add(struct axes *x, int64_t shape, int64_t stride)
{
    x->shape[x->n] = shape;
    x->stride[x->n] = stride;
    x->n++;
    x->size *= shape;
}

/* Axes whose bit is set in `mask` go to *in, the others to *out. */
static inline void axes_split(const struct array *a, uint32_t mask, struct axes *in, struct axes *out)
{
    in->n = out->n = 0;
    in->size = out->size = 1;
    for (int k = 0; k < a->ndim; k++) {
        axes_add((mask >> k & 1) ? in : out, a->shape[k], a->stride[k]);
    }
}

/* All axes of an array. */
static inline struct axes axes_all(const struct array *a)
{
    struct axes all, none;
    axes_split(a, ~UINT32_C(0), &all, &none);
    return all;
}

/* All axes but the last; a scalar has one row of one column. */
static inline struct axes axes_rows(const struct array *a)
{
    struct axes last, rows;
    axes_split(a, a->ndim > 0 ? UINT32_C(1) << (a->ndim - 1) : 0, &last, &rows);
    return rows;
}

/* Length and stride of the inner loop over rows; a scalar is a row of one. */
static inline int64_t last_size(const struct array *a)
{
    return a->ndim > 0 ? a->shape[a->ndim - 1] : 1;
}

/* The stride of that row, in elements. */
static inline int64_t last_stride(const struct array *a)
{
    return a->ndim > 0 ? a->stride[a->ndim - 1] : 0;
}

/* Blocks of `block` elements that n elements take. */
static inline int64_t ref_blocks(int64_t n, int64_t block)
{
    return (n + block - 1) / block;
}

/* The smaller of two sizes. */
static inline int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The larger one. */
static inline int64_t max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Ids (N) of any integer dtype must lie in [0, limit), with `weights` (f32 (N), NULL: none) only where the weight is not 0:
 * E_SHAPE with the first that does not, as struct check_ids_params says. */
enum status ref_ids_check(struct ctx *c, const char *op, const struct array *ids, const struct array *weights,
                          int64_t limit);
/* The same for ids that are indices already, which are i32. Front ends have had CHECK_IDS look at them before (struct
 * op_call), so only a call that was made without one fails here. */
enum status ref_index_check(struct ctx *c, enum op op, const struct array *ids, int64_t limit);

/* Element i of an i32 vector (ids, targets, positions). */
static inline int32_t id_at(const struct array *ids, int64_t i)
{
    return ((const int32_t *)ids->data)[i * ids->stride[0]];
}

#endif
