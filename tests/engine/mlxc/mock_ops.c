/* mock_ops: the operations of the mock, each one call or a few of the project's arrays. */
#include <math.h>
#include <stdlib.h>

#include "engine/mlxc/mock_arrays.h"

/* Frees what a composition made on the way; returns its result. */
static ya_array *finish(ya_array *result, ya_array **parts, int n)
{
    for (int i = 0; i < n; i++) ya_array_free(parts[i]);
    return result;
}

int mlx_add(struct mlx_array *out, struct mlx_array a, struct mlx_array b, struct mlx_stream s)
{
    (void)s;
    return mock_give(out, ya_add(mock_of(a), mock_of(b)));
}

int mlx_subtract(struct mlx_array *out, struct mlx_array a, struct mlx_array b, struct mlx_stream s)
{
    (void)s;
    return mock_give(out, ya_sub(mock_of(a), mock_of(b)));
}

int mlx_multiply(struct mlx_array *out, struct mlx_array a, struct mlx_array b, struct mlx_stream s)
{
    (void)s;
    return mock_give(out, ya_mul(mock_of(a), mock_of(b)));
}

int mlx_matmul(struct mlx_array *out, struct mlx_array a, struct mlx_array b, struct mlx_stream s)
{
    (void)s;
    return mock_give(out, ya_matmul(mock_of(a), mock_of(b)));
}

int mlx_sigmoid(struct mlx_array *out, struct mlx_array a, struct mlx_stream s)
{
    (void)s;
    return mock_give(out, ya_sigmoid(mock_of(a)));
}

int mlx_astype(struct mlx_array *out, struct mlx_array a, enum mlx_dtype dtype, struct mlx_stream s)
{
    (void)s;
    return mock_give(out, ya_astype(mock_of(a), mock_dtype(dtype)));
}

int mlx_contiguous(struct mlx_array *out, struct mlx_array a, bool allow_col_major, struct mlx_stream s)
{
    (void)s, (void)allow_col_major;
    return mock_give(out, ya_array_ref(mock_of(a)));
}

int mlx_reshape(struct mlx_array *out, struct mlx_array a, const int *shape, size_t ndim, struct mlx_stream s)
{
    int64_t extents[YA_MAX_DIMS];
    (void)s;
    for (size_t i = 0; i < ndim; i++) extents[i] = shape[i];
    return mock_give(out, ya_reshape(mock_of(a), (int)ndim, extents));
}

int mlx_transpose_axes(struct mlx_array *out, struct mlx_array a, const int *axes, size_t n, struct mlx_stream s)
{
    (void)s;
    return mock_give(out, ya_transpose_axes(mock_of(a), axes, (int)n));
}

int mlx_slice(struct mlx_array *out, struct mlx_array a, const int *start, size_t n_start, const int *stop, size_t n_stop,
              const int *step, size_t n_step, struct mlx_stream s)
{
    int64_t from[YA_MAX_DIMS], to[YA_MAX_DIMS], by[YA_MAX_DIMS];
    (void)s;
    if (n_start != n_stop || n_start != n_step) abort();
    for (size_t i = 0; i < n_start; i++) from[i] = start[i], to[i] = stop[i], by[i] = step[i];
    return mock_give(out, ya_slice(mock_of(a), from, to, by, (int)n_start));
}

int mlx_concatenate_axis(struct mlx_array *out, struct mlx_vector arrays, int axis, struct mlx_stream s)
{
    size_t n = mlx_vector_array_size(arrays);
    ya_array **parts = calloc(n, sizeof *parts);
    (void)s;
    for (size_t i = 0; parts && i < n; i++) parts[i] = mock_of_item(arrays, i);
    int failed = mock_give(out, parts ? ya_concatenate_axis(mock_context, parts, (int)n, axis) : NULL);
    free(parts);
    return failed;
}

int mlx_take_axis(struct mlx_array *out, struct mlx_array a, struct mlx_array ids, int axis, struct mlx_stream s)
{
    (void)s;
    if (axis != 0) abort();
    return mock_give(out, ya_take(mock_of(a), mock_of(ids)));
}

/* (N, V) with ids (N, 1). */
int mlx_take_along_axis(struct mlx_array *out, struct mlx_array a, struct mlx_array ids, int axis, struct mlx_stream s)
{
    const int64_t n = ya_dim(mock_of(a), 0), one[2] = {n, 1};
    (void)s;
    if (axis != 1) abort();
    ya_array *flat = ya_reshape(mock_of(ids), 1, &n), *taken = ya_take_along(mock_of(a), flat);
    return mock_give(out, finish(ya_reshape(taken, 2, one), (ya_array *[]){flat, taken}, 2));
}

int mlx_sum(struct mlx_array *out, struct mlx_array a, bool keepdims, struct mlx_stream s)
{
    (void)s;
    return mock_give(out, ya_sum(mock_of(a), keepdims));
}

int mlx_logsumexp_axis(struct mlx_array *out, struct mlx_array a, int axis, bool keepdims, struct mlx_stream s)
{
    (void)s;
    return mock_give(out, ya_logsumexp_axis(mock_of(a), axis, keepdims));
}

/* A matrix in MLX's quantised form as f32, (rows, cols): groups of columns have a scale and a bias, words hold their first
 * element in the lowest bits. */
static ya_array *widen_quantised(struct mlx_array words, struct mlx_array scales, struct mlx_array biases, int group,
                                 int bits)
{
    const int64_t rows = ya_dim(mock_of(words), 0), n_words = ya_size(mock_of(words)), cols = n_words / rows * 32 / bits;
    const int64_t n_groups = rows * cols / group;
    int32_t *codes = malloc((size_t)n_words * sizeof *codes);
    float *scale = malloc((size_t)n_groups * sizeof *scale), *bias = malloc((size_t)n_groups * sizeof *bias);
    float *out = malloc((size_t)(rows * cols) * sizeof *out);
    ya_array *wide = NULL, *f32[2] = {ya_astype(mock_of(scales), YA_F32), ya_astype(mock_of(biases), YA_F32)};
    if (codes && scale && bias && out && ya_as_slice_i32(mock_of(words), codes, n_words) == 0 &&
        ya_as_slice_f32(f32[0], scale, n_groups) == 0 && ya_as_slice_f32(f32[1], bias, n_groups) == 0) {
        for (int64_t i = 0; i < rows * cols; i++) {
            uint32_t code = (uint32_t)codes[i * bits / 32] >> (i * bits % 32) & ((1u << bits) - 1);
            out[i] = scale[i / group] * (float)code + bias[i / group];
        }
        wide = ya_from_slice_f32(mock_context, out, rows * cols, 2, (int64_t[]){rows, cols});
    }
    free(codes);
    free(scale);
    free(bias);
    free(out);
    return finish(wide, f32, 2);
}

int mlx_quantized_matmul(struct mlx_array *out, struct mlx_array x, struct mlx_array words, struct mlx_array scales,
                         struct mlx_array biases, bool transpose, struct mlx_optional_int group,
                         struct mlx_optional_int bits, const char *mode, struct mlx_stream s)
{
    ya_array *p[3];
    (void)s;
    if (!transpose || !group.has_value || !bits.has_value || mode[0] != 'a') abort();
    p[0] = widen_quantised(words, scales, biases, group.value, bits.value);
    p[1] = ya_astype(p[0], ya_array_dtype(mock_of(x)));
    p[2] = ya_transpose_axes(p[1], (const int[]){1, 0}, 2);
    return mock_give(out, finish(ya_matmul(mock_of(x), p[2]), p, 3));
}

int mlx_dequantize(struct mlx_array *out, struct mlx_array words, struct mlx_array scales, struct mlx_array biases,
                   struct mlx_optional_int group, struct mlx_optional_int bits, const char *mode,
                   struct mlx_array global_scale, struct mlx_optional_dtype dtype, struct mlx_stream s)
{
    (void)s;
    if (global_scale.ctx || dtype.has_value || mode[0] != 'a') abort();
    ya_array *wide = widen_quantised(words, scales, biases, group.value, bits.value);
    return mock_give(out, finish(ya_astype(wide, ya_array_dtype(mock_of(scales))), &wide, 1));
}

/* x / sqrt(mean(x^2) + eps) * gain. */
int mlx_fast_rms_norm(struct mlx_array *out, struct mlx_array x, struct mlx_array gain, float eps, struct mlx_stream s)
{
    const int last = ya_ndim(mock_of(x)) - 1;
    ya_array *p[6];
    (void)s;
    p[0] = ya_mul(mock_of(x), mock_of(x));
    p[1] = ya_mean_axes(p[0], &last, 1, true);
    p[2] = ya_from_f32(mock_context, eps);
    p[3] = ya_add(p[1], p[2]);
    p[4] = ya_sqrt(p[3]);
    p[5] = ya_div(mock_of(x), p[4]);
    return mock_give(out, finish(ya_mul(p[5], mock_of(gain)), p, 6));
}

/* The mask that "causal" means for n queries at the end of k keys. */
static ya_array *causal(int64_t n, int64_t k)
{
    bool *sees = malloc((size_t)(n * k));
    for (int64_t i = 0; sees && i < n * k; i++) sees[i] = i % k <= i / k + k - n;
    ya_array *mask = sees ? ya_from_slice_bool(mock_context, sees, n * k, 2, (int64_t[]){n, k}) : NULL;
    free(sees);
    return mask;
}

/* Scores (G, H / G, N, K) of each key head with its query heads, softmax, and the sum of values. */
int mlx_fast_scaled_dot_product_attention(struct mlx_array *out, struct mlx_array q, struct mlx_array k, struct mlx_array v,
                                          float scale, const char *mask_mode, struct mlx_array mask, struct mlx_array sinks,
                                          struct mlx_stream s)
{
    const int64_t heads = ya_dim(mock_of(q), 1), groups = ya_dim(mock_of(k), 1), n = ya_dim(mock_of(q), 2);
    const int64_t keys = ya_dim(mock_of(k), 2), size = ya_dim(mock_of(q), 3);
    ya_array *p[12];
    (void)s;
    if (sinks.ctx || (mask_mode[0] == 'a') != (mask.ctx != NULL)) abort();
    p[0] = ya_reshape(mock_of(q), 4, (int64_t[]){groups, heads / groups, n, size});
    p[1] = ya_reshape(mock_of(k), 4, (int64_t[]){groups, 1, keys, size});
    p[2] = ya_reshape(mock_of(v), 4, (int64_t[]){groups, 1, keys, size});
    p[3] = ya_transpose_axes(p[1], (const int[]){0, 1, 3, 2}, 4);
    p[4] = ya_matmul(p[0], p[3]);
    p[5] = ya_from_f32(mock_context, scale);
    p[6] = ya_mul(p[4], p[5]);
    p[7] = mask.ctx ? ya_array_ref(mock_of(mask)) : causal(n, keys);
    p[8] = ya_from_f32(mock_context, -INFINITY);
    p[9] = ya_where(p[7], p[6], p[8]);
    p[10] = ya_softmax_axis(p[9], 3);
    p[11] = ya_matmul(p[10], p[2]);
    return mock_give(out, finish(ya_reshape(p[11], 4, (int64_t[]){1, heads, n, size}), p, 12));
}
