/* weights_internal: the open files of a model, shared by the files weights*.c: weights.c opens and closes, weights_names.c
 * knows what tensors are called, weights_find.c finds and checks them, weights_form.c makes arrays and prepared forms of
 * them, weights_bind.c says which goes where in the model. */
#ifndef YA_MODEL_WEIGHTS_INTERNAL_H
#define YA_MODEL_WEIGHTS_INTERNAL_H

#include "base/map.h"
#include "io/tensor_file.h"
#include "model/weights.h"
#include "model/weights_names.h"

struct model_files {
    struct ctx *c;
    char *path; /* owned */
    struct tensor_file *file;
    struct map64 *used;    /* addresses of the views that were found */
    struct array **arrays; /* norms and biases, retained */
    size_t n_arrays;
    char (*names)[WEIGHTS_NAME_BYTES]; /* of weights, in Hugging Face's spelling */
    size_t n_names;
    struct weights_packed *packed; /* matrices in MLX's quantised form, and the rows made of them; owned */
    size_t n_packed;
    bool packed_in_file;     /* model_options.packed_in_file, of an as-is base */
    struct weight *prepared; /* as the backend prepared them, for it to release */
    size_t n_prepared;
    int32_t *row_map;         /* of q; that of k is its beginning, for both permute within heads */
    size_t bytes, made_bytes; /* of the weights in use; those that lie in the backend's memory */
};

/* weights_find.c. A tensor that must be there with shape (rows, cols), or (rows) for cols 0, and hold weights; it counts
 * as used from then on. NULL with E_INPUT or E_UNSUPPORTED naming it. */
const struct tensor_view *weights_find(struct model_files *f, const char *name, int64_t rows, int64_t cols);
/* A model whose head is the embeddings table may still store the head: then it must be the table. E_UNSUPPORTED. */
enum status weights_check_tied_head(struct model_files *f, const char *name, const struct weight *embed);
/* E_UNSUPPORTED naming a tensor of the file that was never found, but for those that are known to change nothing. */
enum status weights_check_all_used(struct model_files *f);

/* weights_packed.c. A matrix that MLX has quantised, in three tensors. */
struct weights_packed {
    struct mlx_affine_matrix matrix;
    void *rows; /* what kernels read; NULL: nothing was made */
};
/* Whether the file has a matrix of that name in this form: its words are U32. */
bool weights_is_packed(const struct model_files *f, const char *name);
/* Finds words, scales and biases of the matrix `name` ("....weight"), checks types and shapes, counts them as used, and
 * makes *out its source: rows of Q4_1 where these are the same values, else of f32, in memory owned by f. E_INPUT or
 * E_UNSUPPORTED naming the tensor; E_MEMORY. */
enum status weights_find_packed(struct model_files *f, const char *name, int64_t rows, int64_t cols,
                                struct weight_source *out);
/* Frees what was made. */
void weights_release_packed(struct model_files *f);

/* weights_form.c. A vector of n elements as an f32 array in Hugging Face order, owned by f; NULL on failure. */
struct array *weights_vector(struct model_files *f, const char *name, int64_t n, const int32_t *row_map);
/* Where a matrix is in the file and how it is used. */
struct weights_matrix {
    const char *name;    /* in the file */
    const char *hf_name; /* what messages call it */
    int64_t rows, cols;
    const int32_t *row_map;
    enum weight_form form;
    enum compute compute;
};
/* Finds a matrix and prepares it: one call for each. When the form is not the file's, it is made in memory owned by f and
 * the file's pages are let go of. */
enum status weights_prepare_matrix(struct model_files *f, const struct weights_matrix *matrix, struct weight *w);

#endif
