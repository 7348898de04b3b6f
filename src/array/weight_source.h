/* weight_source: a frozen matrix as a file holds it, in the host's memory. What a backend prepares for its kernels is made
 * from this and kept apart (array/weight.h), so that whatever needs the file's own values (merging, export) reads them
 * here, whichever form training uses and wherever that form lies.
 *
 * Rows are seen in Hugging Face order. A GGUF q or k matrix of the architecture "llama" has its rows permuted and carries a
 * row map: row i of the matrix is stored at row row_map[i]. */
#ifndef YA_ARRAY_WEIGHT_SOURCE_H
#define YA_ARRAY_WEIGHT_SOURCE_H

#include "array/codec/mlx_affine.h"

struct weight_source {
    enum tensor_type type; /* one that quant_is_weight_type accepts */
    int64_t rows, cols;    /* (out, in) as in y = x W^T; cols a multiple of the type's block */
    const void *data;      /* rows one behind the other, at any address; usually in a mapped file. Not owned */
    size_t row_bytes;
    const int32_t *row_map; /* NULL: identity. Not owned */
    /* Where the file has the matrix in MLX's quantised form: that form, of which `data` was made in memory; NULL else. Not
     * owned. With row_bytes 0 nothing was made (model_options.packed_in_file). */
    const struct mlx_affine_matrix *packed;
};

/* Bytes of all rows. */
static inline size_t weight_source_bytes(const struct weight_source *s)
{
    return s->row_bytes * (size_t)s->rows;
}
/* Where row i begins. */
static inline const void *weight_source_row(const struct weight_source *s, int64_t i)
{
    return (const char *)s->data + (size_t)(s->row_map ? s->row_map[i] : i) * s->row_bytes;
}
/* Row i as `cols` f32. */
void weight_source_row_f32(const struct weight_source *s, int64_t i, float *out);

#endif
