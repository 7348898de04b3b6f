/* weight: a frozen matrix of the model as it is stored, never an array: it is not a step-pool citizen, has no strides and
 * may be block-quantised. Seen in Hugging Face row order always; a GGUF Llama q or k tensor, whose rows are permuted,
 * carries a row map that readers of rows apply (weight row i is stored at row row_map[i]).
 *
 * Owner: the model. `data` usually points into a mapped file. */
#ifndef YA_ARRAY_WEIGHT_H
#define YA_ARRAY_WEIGHT_H

#include "array/array.h"
#include "io/tensor.h"

/* The adapter of one linear: y += scale * drop(x) A^T B^T. The arrays are owned by the lora set (model/lora.h). */
struct lora_slot {
    struct array *a; /* (r, cols) f32 */
    struct array *b; /* (rows, r) f32 */
    float scale;     /* alpha / r, or alpha / sqrt(r) */
    float dropout;   /* probability that an input channel is dropped while training */
    uint32_t id;     /* layer * 8 + place in the layer: the "input" part of the dropout key */
};

struct weight {
    const char *name; /* HF name, for messages; owned by the model */
    enum tensor_type type;
    int64_t rows, cols; /* (out, in) as in y = x W^T */
    const void *data;
    size_t row_bytes;
    const int32_t *row_map;       /* NULL: identity. Owned by the model */
    const struct array *bias;     /* (rows) f32 or NULL */
    const struct lora_slot *lora; /* NULL: none */
    void *prepared; /* what weight_prepare of the backend made from it; owned by the backend, freed by weight_release */
};

/* Row i as numbers. */
static inline const void *weight_row(const struct weight *w, int64_t i)
{
    return (const char *)w->data + (size_t)(w->row_map ? w->row_map[i] : i) * w->row_bytes;
}
void weight_row_f32(const struct weight *w, int64_t row, float *out);
void weight_row_f64(const struct weight *w, int64_t row, double *out);

#endif
