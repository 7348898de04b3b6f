/* mlx_weights: refuses what this engine does not compute, then copies or wraps each matrix of the model. */
#include "engine/mlx/mlx_weights.h"

#include <string.h>

#include "array/array.h"
#include "base/mem.h"

/* ---- what is refused ------------------------------------------------------------------------------------------------- */

static const char *scaling_name(enum rope_scaling scaling)
{
    return scaling == ROPE_LONGROPE ? "longrope" : "dynamic";
}

/* Everything that llama.c computes and mlx_pass.c does not. */
static enum status weights_check_model(struct ctx *c, const struct model *m)
{
    const struct model_config *k = &m->config;
    if (m->options.base != BASE_AS_IS)
        return ctx_fail(c, E_UNSUPPORTED,
                        "--base-type %s: the MLX engine computes with weights as they are stored; use as-is",
                        base_type_name[m->options.base]);
    if (compute_is_integer(m->options.compute))
        return ctx_fail(c, E_UNSUPPORTED, "--compute %s: the MLX engine computes in f32 or bf16",
                        compute_name[m->options.compute]);
    if (k->rope_scaling == ROPE_LONGROPE || k->rope_scaling == ROPE_DYNAMIC)
        return ctx_fail(c, E_UNSUPPORTED, "%s: the MLX engine does not have %s scaling of positions; use --engine native",
                        m->path, scaling_name(k->rope_scaling));
    if (k->rope_position_beta > 0)
        return ctx_fail(c, E_UNSUPPORTED,
                        "%s: the MLX engine does not scale queries by their position (llama_4_scaling_beta); use --engine "
                        "native",
                        m->path);
    return OK;
}

static enum status weights_check_lora(struct ctx *c, const struct lora *lora)
{
    for (size_t i = 0; lora && i < lora->n_modules; i++)
        if (lora->modules[i].slot.dropout > 0)
            return ctx_fail(c, E_UNSUPPORTED,
                            "--dropout %g: the MLX engine has no dropout; use --dropout 0 or --engine native",
                            (double)lora->modules[i].slot.dropout);
    return OK;
}

/* ---- arrays ---------------------------------------------------------------------------------------------------------- */

/* f32 elements of an array of src/array, such as a gain. */
static struct mlx_array weights_vector(struct mlx_model *x, struct array *a)
{
    struct mlx_array out = {NULL};
    if (!a) return out;
    float *values = mem_alloc(x->g->c, (size_t)array_size(a), sizeof *values);
    int64_t n = array_size(a);
    if (values && array_to_host(a, DTYPE_F32, values) == OK) out = mlx_op_upload(x->g, MLX_F32, 1, &n, values);
    x->bytes += (size_t)n * sizeof *values;
    mem_free(x->g->c, values);
    return out;
}

/* Whether MLX has the file's element type. */
static bool weights_dtype(enum tensor_type type, enum mlx_dtype *out)
{
    *out = type == TENSOR_BF16 ? MLX_BF16 : type == TENSOR_F16 ? MLX_F16 : MLX_F32;
    return type == TENSOR_BF16 || type == TENSOR_F16 || type == TENSOR_F32;
}

/* A copy of all rows in Hugging Face order, as they are stored or, for block types, as f32. */
static struct mlx_array weights_copy(struct mlx_model *x, const struct weight_source *s, bool stored, enum mlx_dtype dtype)
{
    const int64_t shape[2] = {s->rows, s->cols};
    const size_t row_bytes = stored ? s->row_bytes : (size_t)s->cols * sizeof(float);
    struct mlx_array out = {NULL};
    char *rows = mem_alloc(x->g->c, (size_t)s->rows, row_bytes);
    for (int64_t i = 0; rows && i < s->rows; i++) {
        char *row = rows + (size_t)i * row_bytes;
        if (stored)
            memcpy(row, weight_source_row(s, i), row_bytes);
        else
            weight_source_row_f32(s, i, (float *)(void *)row);
    }
    if (rows) out = mlx_op_upload(x->g, dtype, 2, shape, rows);
    mem_free(x->g->c, rows);
    return out;
}

enum mlx_dtype mlx_model_dtype(const struct mlx_model *x)
{
    return x->m->options.compute == COMPUTE_BF16 ? MLX_BF16 : MLX_F32;
}

/* A tensor of the file of `element` bytes a number, in place where its address allows it. */
static struct mlx_array weights_tensor(struct mlx_model *x, enum mlx_dtype dtype, size_t element, int64_t rows, int64_t cols,
                                       const void *data)
{
    const int64_t shape[2] = {rows, cols};
    struct mlx_array out = {NULL};
    x->bytes += (size_t)rows * (size_t)cols * element;
    if ((uintptr_t)data % element == 0) return mlx_op_wrap(x->g, dtype, 2, shape, data);
    char *aligned = mem_alloc(x->g->c, (size_t)rows * (size_t)cols, element);
    if (!aligned) return out;
    memcpy(aligned, data, (size_t)rows * (size_t)cols * element);
    out = mlx_op_upload(x->g, dtype, 2, shape, aligned);
    mem_free(x->g->c, aligned);
    return out;
}

/* Scales or biases, in the dtype of products. */
static struct mlx_array weights_groups(struct mlx_model *x, const struct weight_source *s, const void *data)
{
    enum mlx_dtype dtype;
    weights_dtype(s->packed->type, &dtype);
    struct mlx_array stored = weights_tensor(x, dtype, dtype == MLX_F32 ? 4 : 2, s->rows, s->cols / s->packed->group, data);
    return dtype == mlx_model_dtype(x) ? stored : mlx_op_cast(x->g, stored, mlx_model_dtype(x));
}

static struct mlx_quantised weights_quantised(struct mlx_model *x, const struct weight_source *s)
{
    const struct mlx_affine_matrix *m = s->packed;
    return (struct mlx_quantised){weights_tensor(x, MLX_U32, 4, s->rows, s->cols * m->bits / 32, m->words),
                                  weights_groups(x, s, m->scales), weights_groups(x, s, m->biases), m->bits, m->group};
}

static struct mlx_matrix weights_matrix(struct mlx_model *x, const struct weight *w)
{
    const struct weight_source *s = &w->source;
    struct mlx_matrix out = {.exists = w->rows > 0, .bias = weights_vector(x, w->bias)};
    if (w->rows == 0) return out;
    if (s->packed) {
        out.quantised = weights_quantised(x, s);
        return out;
    }
    bool stored = weights_dtype(s->type, &out.dtype);
    size_t element = out.dtype == MLX_F32 ? 4 : 2;
    if (stored && !s->row_map && s->row_bytes == (size_t)s->cols * element) {
        out.w = weights_tensor(x, out.dtype, element, s->rows, s->cols, s->data);
        return out;
    }
    out.w = weights_copy(x, s, stored, out.dtype);
    x->bytes += (size_t)s->rows * (size_t)s->cols * element;
    return out;
}

/* ---- the model ------------------------------------------------------------------------------------------------------- */

static void weights_layer(struct mlx_model *x, int64_t i)
{
    struct llama_block *b = &x->m->blocks[i];
    struct mlx_layer *l = &x->layers[i];
    for (int p = 0; p < LORA_PLACES; p++) {
        const struct weight *w = llama_block_linear(b, (enum lora_place)p);
        if (w->rows > 0) l->linear[p] = weights_matrix(x, w);
        l->module[p] = -1;
    }
    for (int n = 0; n < BLOCK_NORMS; n++) l->norm[n] = weights_vector(x, *llama_block_norm(b, (enum block_norm)n));
}

/* Which adapters each layer has: lora.modules is sorted by layer. */
static void weights_find_modules(struct mlx_model *x)
{
    for (size_t i = 0; x->lora && i < x->lora->n_modules; i++) {
        const struct lora_module *m = &x->lora->modules[i];
        struct mlx_layer *l = &x->layers[m->layer];
        if (l->n_modules == 0) l->first_module = (int64_t)i;
        l->module[m->place] = (int)l->n_modules++;
    }
}

enum status mlx_model_load(struct mlx_graph *g, struct model *m, struct lora *lora, struct mlx_model *out)
{
    *out = (struct mlx_model){.g = g, .m = m, .lora = lora};
    TRY(weights_check_model(g->c, m));
    TRY(weights_check_lora(g->c, lora));
    out->layers = mem_alloc(g->c, (size_t)m->config.n_layers, sizeof *out->layers);
    if (!out->layers) return g->c->status;
    out->embed = weights_matrix(out, &m->embed);
    out->head = m->config.tied_embeddings ? out->embed : weights_matrix(out, &m->head);
    out->final_norm = weights_vector(out, m->final_norm);
    for (int64_t i = 0; ctx_ok(g->c) && i < m->config.n_layers; i++) weights_layer(out, i);
    if (ctx_ok(g->c)) weights_find_modules(out);
    return g->c->status;
}

void mlx_model_release(struct mlx_model *x)
{
    if (x->layers) mem_free(x->g->c, x->layers);
    x->layers = NULL;
}
