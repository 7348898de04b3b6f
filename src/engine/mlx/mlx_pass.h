/* mlx_pass: one forward pass of the Llama family and its loss as a graph of MLX; with mlx_op_value_and_grad also backward.
 * It computes what src/model/llama.c computes, written again for MLX's arrays, so each is a check of the other
 * (tests/engine/test_engine_mlx.c compares them for every family). */
#ifndef YA_ENGINE_MLX_PASS_H
#define YA_ENGINE_MLX_PASS_H

#include "engine/mlx/mlx_weights.h"
#include "model/batch.h"

/* Keys (rotated) and values of one document, for generation: for each layer those of the tokens so far. */
struct mlx_cache {
    int64_t n;              /* tokens held */
    struct mlx_array *held; /* K and V of layer i at 2 i and 2 i + 1, (G, n, D), held (mlx_op_hold); ctx NULL: none yet */
    struct mlx_array *next; /* likewise with the tokens of the pass appended, of the scope in which the pass runs */
};

/* What the layers of a pass share. R is the number of rotated elements of a head. */
struct mlx_pass {
    const struct mlx_model *x;
    const struct batch *b;
    struct mlx_cache *cache;       /* NULL: the documents begin in the batch */
    int64_t recomputed_blocks;     /* as in engine_micro */
    struct mlx_array tokens;       /* (N) i32 */
    struct mlx_array cosine, sine; /* (N, 1, R/2) f32 */
    struct mlx_array window;       /* bool, which keys a query sees in layers with a window; ctx NULL: all before it */
    struct mlx_array rows;         /* (n_rows) i32: the rows that the loss is computed on */
    struct mlx_array targets;      /* (n_rows, 1) i32 */
    struct mlx_array weights;      /* (n_rows, 1) f32: ω of the row times `scale` */
    struct mlx_array head;         /* (C, V): the head, as it is multiplied with; ctx NULL: it is quantised */
    int32_t *counted;              /* the same rows on the host; owned */
    int64_t n_rows;
};

/* Prepares a pass over a batch whose rows of weight 0 do not count. Its arrays belong to the innermost scope; x and b must
 * outlive it. `scale` is 1 / N of the optimizer step, for the value that is differentiated. With n_rows 0 nothing counts and
 * nothing more may be asked for. E_MEMORY. mlx_pass_release frees what is on the host, also after a failure. */
enum status mlx_pass_prepare(const struct mlx_model *x, const struct batch *b, double scale, struct mlx_pass *out);
void mlx_pass_release(struct mlx_pass *p);

/* The same for logits after each of the last n_rows tokens of a batch of one document, which continues the document in the
 * cache. The batch needs no targets and no weights. */
enum status mlx_pass_prepare_logits(const struct mlx_model *x, const struct batch *b, struct mlx_cache *cache,
                                    int64_t n_rows, struct mlx_pass *out);
/* These logits, (n_rows, V) f32, and the cache's `next`. */
struct mlx_array mlx_pass_logits(const struct mlx_pass *p, const struct mlx_array *in);

enum {
    MLX_PASS_OUT = 2,
    MLX_PASS_CHUNK = 1 << 24 /* at most so many logits are computed at a time (64 MiB in f32), if that is one row or more */
};

/* An mlx_function. arg: a `const struct mlx_pass *`. in: A and B of every adapter, in the order of the parameter table.
 * out[0]: the loss times `scale`, shape []; out[1]: the negative log-likelihood of each row, (n_rows, 1) f32. */
void mlx_pass_loss(struct mlx_graph *g, void *arg, const struct mlx_array *in, struct mlx_array *out);

#endif
