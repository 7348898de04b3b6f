/* mlx_weights: the frozen matrices, biases and gains of a model as arrays of MLX.
 *
 * f32, bf16 and f16 stay what the file holds, and where its rows are in order MLX is given the mapped memory itself, as it
 * is the words of matrices that MLX has quantised, with which its own kernels multiply. Every block type of GGUF becomes
 * f32, which is what its rows mean; that takes 4 bytes for each value. */
#ifndef YA_ENGINE_MLX_WEIGHTS_H
#define YA_ENGINE_MLX_WEIGHTS_H

#include "engine/mlx/mlx_op.h"
#include "model/model.h"

struct mlx_matrix {
    bool exists;
    struct mlx_array w;             /* (rows, cols) in its own dtype; ctx NULL: it is quantised */
    struct mlx_quantised quantised; /* scales in the dtype in which products are computed */
    struct mlx_array bias;          /* (rows) f32; ctx NULL: none */
    enum mlx_dtype dtype;
};

struct mlx_layer {
    struct mlx_matrix linear[LORA_PLACES];
    struct mlx_array norm[BLOCK_NORMS]; /* f32; ctx NULL: none in this place */
    int64_t first_module, n_modules;    /* adapters of this layer, in the order of lora.modules */
    int module[LORA_PLACES];            /* which of them a place has; -1: none */
};

struct mlx_model {
    struct mlx_graph *g;
    struct model *m;   /* borrowed, as is lora */
    struct lora *lora; /* NULL: no adapter */
    struct mlx_matrix embed, head;
    struct mlx_array final_norm;
    struct mlx_layer *layers; /* owned */
    size_t bytes;             /* of all arrays here */
};

/* The dtype in which products with the frozen matrices are computed. */
enum mlx_dtype mlx_model_dtype(const struct mlx_model *x);

/* Fills *out from a model that was opened as it is stored (BASE_AS_IS) and an adapter or NULL; the arrays belong to the
 * graph's outermost scope. E_UNSUPPORTED naming a form, a way to compute or a scaling of positions that this engine does not
 * have; E_MEMORY. mlx_model_release frees the rest, also after a failure. */
enum status mlx_model_load(struct mlx_graph *g, struct model *m, struct lora *lora, struct mlx_model *out);
void mlx_model_release(struct mlx_model *x);

#endif
