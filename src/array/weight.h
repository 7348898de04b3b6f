/* weight: a frozen matrix of the model as kernels read it, never an array: it has no strides, is not memory of the step
 * pool and may be block-quantised. It knows its source (weight_source.h: the rows that the file holds, on the host) and,
 * apart from that, a form prepared for kernels: the same rows in place, or NF4 or int8 made from them at load. Seen in
 * Hugging Face row order always, through the source's row map (weight row i is stored at row row_map[i]).
 *
 * Prepared rows are read by the functions below and, piece by piece, by the CPU's packing (gemm_source_row); nothing else
 * looks at `data`. Merging and export read the source.
 *
 * Owner: the model. */
#ifndef YA_ARRAY_WEIGHT_H
#define YA_ARRAY_WEIGHT_H

#include "array/array.h"
#include "array/weight_source.h"

/* The LoRA adapter of one linear layer (Hu et al. 2021): y += scale * drop(x) A^T B^T. The arrays are owned by the model's
 * set of adapters (model/lora.h). */
struct lora_slot {
    struct array *a; /* (r, cols) f32 */
    struct array *b; /* (rows, r) f32 */
    float scale;     /* alpha / r, or alpha / sqrt(r) */
    float dropout;   /* probability that an input channel is dropped while training */
    uint32_t id;     /* layer * 8 + place in the layer: the "input" part of the dropout key */
};

enum weight_form {
    WEIGHT_STORED, /* rows of `type`, as files hold them */
    WEIGHT_NF4,    /* rows of array/codec/nf4.h; `type` is what they were made from */
    WEIGHT_INT8    /* rows of array/codec/int8.h, likewise */
};

/* How products with a frozen matrix are computed, y = x W^T and dx = dy W alike. Norms and the optimizer are f32
 * always. COMPUTE_BF16 also rounds the operands of what an adapter adds to y and dx, of the adapter's gradients, whose sums
 * are f32, and those of attention (attention_params); the integer kinds leave both in f32, and need the form WEIGHT_INT8.
 * The reference backend computes every kind in plain floating point from the widened rows, which makes it their oracle. */
enum compute {
    COMPUTE_F32,
    COMPUTE_INT8X2, /* the other operand in 16 bits, two 8-bit limbs: near f32 */
    COMPUTE_INT8,   /* the other operand in 8 bits */
    COMPUTE_BF16,   /* both operands rounded to bf16, sums in f32; weights of any form */
    COMPUTES
};
extern const char *const compute_name[COMPUTES]; /* "f32", "int8x2", "int8", "bf16" */
/* Whether products are in integers, for which the weight must be in the form WEIGHT_INT8. */
static inline bool compute_is_integer(enum compute compute)
{
    return compute == COMPUTE_INT8X2 || compute == COMPUTE_INT8;
}

/* Which product a weight that is laid out for it is read by: y = x W^T, or dx = dy W. */
enum weight_product { WEIGHT_FOR_Y, WEIGHT_FOR_DX, WEIGHT_PRODUCTS };

struct weight {
    const char *name; /* Hugging Face's name of the tensor, for messages; owned by the model */
    struct weight_source source;
    /* The prepared form. type, rows, cols and row_map are the source's; data and row_bytes are those of the form. */
    enum weight_form form;
    enum tensor_type type;
    int64_t rows, cols; /* (out, in) as in y = x W^T */
    const void *data;
    size_t row_bytes;
    const int32_t *row_map;       /* NULL: identity. Owned by the model */
    struct array *bias;           /* (rows) f32 or NULL */
    const struct lora_slot *lora; /* NULL: none */
    enum compute compute;
    /* The values once more, in the order in which a product by `compute` reads them (backend.weight_lay_out); NULL: each
     * product orders them for itself. Owned by the backend. */
    void *laid_out[WEIGHT_PRODUCTS];
};

/* Where row i of the prepared form begins. */
static inline const void *weight_row(const struct weight *w, int64_t i)
{
    return (const char *)w->data + (size_t)(w->row_map ? w->row_map[i] : i) * w->row_bytes;
}
/* Whether rows are f32 already, to be read in place where their address allows it. */
static inline bool weight_is_f32(const struct weight *w)
{
    return w->form == WEIGHT_STORED && w->type == TENSOR_F32;
}
/* Row i of the prepared form as `cols` f32 or f64. */
void weight_row_f32(const struct weight *w, int64_t row, float *out);
void weight_row_f64(const struct weight *w, int64_t row, double *out);

/* Bytes of a matrix in a form; in WEIGHT_STORED those of the source. */
size_t weight_form_bytes(const struct weight_source *source, enum weight_form form);
/* Makes `w` the weight called `name` (not copied) of a source, in a form that lies in host memory; bias and adapter are
 * absent and compute is f32. For backends whose kernels read host memory, and tests: a model's weights are prepared by its
 * backend (backend.h), which may call this. WEIGHT_STORED: the source's rows in place, `codes` is not used. NF4 and int8:
 * fills `codes` (weight_form_bytes, owner the caller, must outlive w) on the ctx's threads, 16 rows widened to f32 at a
 * time for each; the same bytes for any number of threads. Errors, with w left as it was: E_INPUT naming the first row
 * with a value that does not fit (nf4_quantise_row, int8_quantise_row); E_MEMORY. */
enum status weight_prepare(struct ctx *c, struct weight *w, const char *name, const struct weight_source *source,
                           enum weight_form form, void *codes);

#endif
