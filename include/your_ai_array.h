/* your_ai_array: arrays and derivatives with the semantics of MLX's array API.
 *
 * A ya_array is a handle on an immutable n-dimensional array. Every function that returns a ya_array * returns a new handle
 * that the caller frees with ya_array_free; arguments stay the caller's. Handles that are left when the ctx is freed are
 * freed with it. Errors are those of your_ai.h.
 *
 * Semantics are MLX's: NumPy broadcasting, JAX type promotion, eager here. Where MLX or its bindings hold a trap, the note
 * "not as MLX" says what happens instead. Scalars from ya_from_f32 are strong: an i32 or bf16 array plus one of them is f32.
 * Axes may be negative; an axis out of range or named twice is an error.
 */
#ifndef YOUR_AI_ARRAY_H
#define YOUR_AI_ARRAY_H

#include "your_ai.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct ya_array ya_array;

typedef enum ya_dtype { YA_BOOL, YA_U8, YA_I32, YA_I64, YA_F16, YA_BF16, YA_F32, YA_F64 } ya_dtype;

enum { YA_MAX_DIMS = 8 };

/* ---- making arrays ------------------------------------------------------------------------------------------------ */

ya_array *ya_from_f32(ya_ctx *ctx, float value); /* shape [] */
ya_array *ya_from_i32(ya_ctx *ctx, int32_t value);

/* Copies n values, row-major. An error unless n is the product of the shape (MLX's binding panics). */
ya_array *ya_from_slice_f32(ya_ctx *ctx, const float *data, int64_t n, int ndim, const int64_t *shape);
ya_array *ya_from_slice_f64(ya_ctx *ctx, const double *data, int64_t n, int ndim, const int64_t *shape);
ya_array *ya_from_slice_i32(ya_ctx *ctx, const int32_t *data, int64_t n, int ndim, const int64_t *shape);
ya_array *ya_from_slice_i64(ya_ctx *ctx, const int64_t *data, int64_t n, int ndim, const int64_t *shape);
ya_array *ya_from_slice_u8(ya_ctx *ctx, const uint8_t *data, int64_t n, int ndim, const int64_t *shape);
ya_array *ya_from_slice_bool(ya_ctx *ctx, const bool *data, int64_t n, int ndim, const int64_t *shape);

ya_array *ya_full(ya_ctx *ctx, ya_dtype dtype, int ndim, const int64_t *shape, double value);
ya_array *ya_zeros(ya_ctx *ctx, ya_dtype dtype, int ndim, const int64_t *shape);

ya_array *ya_array_ref(const ya_array *a); /* another handle on the same array */
void ya_array_free(ya_array *a);           /* accepts NULL */

/* ---- asking ------------------------------------------------------------------------------------------------------- */

int ya_ndim(const ya_array *a);              /* -1 for NULL */
int64_t ya_dim(const ya_array *a, int axis); /* -1 for NULL or an axis out of range (no error is recorded) */
int64_t ya_size(const ya_array *a);          /* elements; -1 for NULL */
ya_dtype ya_array_dtype(const ya_array *a);  /* YA_BOOL for NULL */

/* The single element of an array of size 1 and any rank, converted as ya_astype does (1.0 -> 1). 0 or -1. */
int ya_item_f64(const ya_array *a, double *value);
int ya_item_i64(const ya_array *a, int64_t *value);

/* All n elements, row-major, into the caller's memory. n must be the size and the type must be the array's: nothing is
 * converted. 0 or -1. Not as MLX: transposed, sliced and broadcast arrays give their own elements in their own order (the
 * binding hands out the parent's memory), and an array of size 0 is fine. */
int ya_as_slice_f32(const ya_array *a, float *out, int64_t n);
int ya_as_slice_f64(const ya_array *a, double *out, int64_t n);
int ya_as_slice_i32(const ya_array *a, int32_t *out, int64_t n);
int ya_as_slice_i64(const ya_array *a, int64_t *out, int64_t n);
int ya_as_slice_u8(const ya_array *a, uint8_t *out, int64_t n);
int ya_as_slice_bool(const ya_array *a, bool *out, int64_t n);

/* Nothing is lazy here, so this only reports: 0, or -1 when an array is NULL or the ctx holds an error. Idempotent. */
int ya_eval(ya_ctx *ctx, ya_array *const *arrays, int n);

/* 1 when shapes and values agree (dtypes may differ, NaN equals nothing), 0 when not, -1 on failure. */
int ya_array_equal(const ya_array *a, const ya_array *b);

/* ---- elementwise -------------------------------------------------------------------------------------------------- */

ya_array *ya_add(const ya_array *a, const ya_array *b);
ya_array *ya_sub(const ya_array *a, const ya_array *b);
ya_array *ya_mul(const ya_array *a, const ya_array *b);
ya_array *ya_div(const ya_array *a, const ya_array *b); /* integers divide as f32 */
ya_array *ya_maximum(const ya_array *a, const ya_array *b);
ya_array *ya_neg(const ya_array *a);
ya_array *ya_exp(const ya_array *a); /* this and the next three: integers become f32 */
ya_array *ya_log(const ya_array *a);
ya_array *ya_sqrt(const ya_array *a);
ya_array *ya_sigmoid(const ya_array *a);

ya_array *ya_eq(const ya_array *a, const ya_array *b); /* comparisons give bool */
ya_array *ya_ne(const ya_array *a, const ya_array *b);
ya_array *ya_lt(const ya_array *a, const ya_array *b);
ya_array *ya_le(const ya_array *a, const ya_array *b);
ya_array *ya_gt(const ya_array *a, const ya_array *b);
ya_array *ya_ge(const ya_array *a, const ya_array *b);
ya_array *ya_where(const ya_array *condition, const ya_array *a, const ya_array *b);

/* Floats to integers go towards zero, saturating, NaN to 0; to bool, anything but 0 is true. */
ya_array *ya_astype(const ya_array *a, ya_dtype dtype);

/* ---- reductions --------------------------------------------------------------------------------------------------- */

/* Over all axes, or over n axes; keep leaves them in as 1. With n = 0 the array itself (mean: as a float).
 * Sums of bool, u8 and i32 are i32, of i64 i64 (there is no u32: not as MLX for u8); means of integers are f32; the mean of
 * nothing is NaN. The mean of f16 and bf16 is the rounded sum times 1/N, as MLX's. */
ya_array *ya_sum(const ya_array *a, bool keep);
ya_array *ya_sum_axes(const ya_array *a, const int *axes, int n, bool keep);
ya_array *ya_mean(const ya_array *a, bool keep);
ya_array *ya_mean_axes(const ya_array *a, const int *axes, int n, bool keep);
ya_array *ya_max(const ya_array *a, bool keep); /* of nothing: an error */
ya_array *ya_max_axes(const ya_array *a, const int *axes, int n, bool keep);
/* Sum of squared differences from the mean over max(N - ddof, 0). */
ya_array *ya_var(const ya_array *a, bool keep, int ddof);
ya_array *ya_logsumexp(const ya_array *a, bool keep);
ya_array *ya_logsumexp_axis(const ya_array *a, int axis, bool keep);
/* Always computed in f32 or wider. Not as MLX: integers give f32 on every axis (MLX casts back, to zeros, on all but the
 * last). */
ya_array *ya_softmax_axis(const ya_array *a, int axis);

/* ---- shape -------------------------------------------------------------------------------------------------------- */

ya_array *ya_reshape(const ya_array *a, int ndim, const int64_t *shape); /* one dimension may be -1 */
ya_array *ya_transpose(const ya_array *a);                               /* all axes reversed */
ya_array *ya_transpose_axes(const ya_array *a, const int *axes, int n);  /* n must be the number of dimensions */
ya_array *ya_broadcast_to(const ya_array *a, int ndim, const int64_t *shape);
/* One start, stop and step (NULL: 1) for each of the n axes; 0 <= start <= stop <= size, step >= 1. */
ya_array *ya_slice(const ya_array *a, const int64_t *start, const int64_t *stop, const int64_t *step, int n);
/* The axes index the result. n = 0: the array itself. */
ya_array *ya_expand_dims(const ya_array *a, const int *axes, int n);
/* Along axis 0, of at least one array; all other dimensions agree and types are promoted. Not as MLX, whose C++ overload
 * flattens its operands first. */
ya_array *ya_concatenate(ya_ctx *ctx, ya_array *const *arrays, int n);
ya_array *ya_concatenate_axis(ya_ctx *ctx, ya_array *const *arrays, int n, int axis);
ya_array *ya_stack(ya_ctx *ctx, ya_array *const *arrays, int n, int axis); /* along a new axis */
ya_array *ya_take(const ya_array *table, const ya_array *ids);             /* rows of (R, C) by integer ids (N) -> (N, C) */
ya_array *ya_take_along(const ya_array *a, const ya_array *ids);           /* (N, C), ids (N): one column a row -> (N) */

ya_array *ya_matmul(const ya_array *a, const ya_array *b); /* NumPy's rules; integers multiply as f32 */

/* ---- derivatives -------------------------------------------------------------------------------------------------- */

/* A function of arrays. Fills all n_outputs outputs with new handles (an argument is returned by ya_array_ref) and returns
 * 0; anything else means failure. The arguments belong to the caller. */
typedef int (*ya_function)(ya_ctx *ctx, void *user, ya_array *const *args, int n_args, ya_array **outputs, int n_outputs);

/* Calls f and differentiates outputs[0], which must be a float of shape [] (others are only returned), with respect to the
 * arguments that argnums names (NULL: the first). grads holds n_argnums handles in ascending order of argnum, each with its
 * argument's shape and dtype, zeros where the argument plays no part. Arrays that f reaches by other ways are constants.
 * On failure (also f's own) returns -1, and outputs and grads hold NULL. Does not nest: no second derivatives. */
int ya_value_and_grad(ya_ctx *ctx, ya_function f, void *user, ya_array *const *args, int n_args, const int *argnums,
                      int n_argnums, ya_array **outputs, int n_outputs, ya_array **grads);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
