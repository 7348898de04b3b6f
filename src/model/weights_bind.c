/* weights_bind: which tensor is which weight of the model, in which form, through one table for both containers.
 *
 * GGUF files of architecture "llama" and some others hold the rows of q and k permuted within each head, so that rotary
 * pairs are neighbours: stored row h * D + 2 j + s is row h * D + s * D / 2 + j of the Hugging Face matrix (s = 0, 1; j <
 * D / 2). Copying the rows back would unmap them; instead the weight carries the row map. */
#include "array/codec/quant.h"
#include "base/mem.h"
#include "model/weights_internal.h"

/* Whether the linear layer at a place has a bias. */
static bool has_bias(const struct model_config *config, enum lora_place place)
{
    if (lora_place_is_qkv(place)) return config->qkv_bias;
    return place == LORA_O ? config->o_bias : config->mlp_bias;
}

/* ---- forms ----------------------------------------------------------------------------------------------------------- */

/* The form of the linear layers that a base type stands for. */
static enum weight_form linear_form(const struct model_options *options)
{
    static const enum weight_form form[BASE_TYPES] = {WEIGHT_STORED, WEIGHT_NF4, WEIGHT_INT8};
    return form[options->base];
}

/* Embeddings and head stay as they are but in int8. */
static enum weight_form head_form(const struct model_options *options)
{
    return options->base == BASE_INT8 ? WEIGHT_INT8 : WEIGHT_STORED;
}

/* With --compute int8, the products that would lose most from 8-bit activations use 16 bits instead: q, k and v read rows
 * with outliers of 20 times the rms, and the head's gradient is a product with probabilities (bench_compute shows the
 * error of each). */
static enum compute fine_compute(const struct model_options *options)
{
    return options->compute == COMPUTE_INT8 ? COMPUTE_INT8X2 : options->compute;
}

/* ---- the table ------------------------------------------------------------------------------------------------------- */

/* One linear layer of a block: the matrix prepared by the backend, and its bias. */
static enum status bind_linear(struct model_files *f, struct model *m, int64_t layer, enum lora_place place)
{
    const struct weights_names *names = weights_names_of(tensor_file_container(f->file));
    const struct weights_names *hf = weights_names_of(CONTAINER_SAFETENSORS);
    char name[WEIGHTS_NAME_BYTES], hf_name[WEIGHTS_NAME_BYTES];
    struct weight *w = llama_block_linear(&m->blocks[layer], place);
    struct weights_matrix matrix = {
        .name = weights_block_name(names, layer, names->linear[place], "weight", name),
        .hf_name = weights_block_name(hf, layer, hf->linear[place], "weight", hf_name),
        .row_map = place == LORA_Q || place == LORA_K ? f->row_map : NULL,
        .form = linear_form(&m->options),
        .compute = lora_place_is_qkv(place) ? fine_compute(&m->options) : m->options.compute,
    };
    lora_place_shape(&m->config, place, &matrix.rows, &matrix.cols);
    TRY(weights_prepare_matrix(f, &matrix, w));
    if (!has_bias(&m->config, place)) return OK;
    weights_block_name(names, layer, names->linear[place], "bias", name);
    w->bias = weights_vector(f, name, matrix.rows, matrix.row_map);
    return f->c->status;
}

/* The gains of a block's norms, those that the model has. */
static enum status bind_norms(struct model_files *f, struct model *m, int64_t layer)
{
    const struct weights_names *names = weights_names_of(tensor_file_container(f->file));
    struct llama_block *b = &m->blocks[layer];
    char name[WEIGHTS_NAME_BYTES];
    for (int i = 0; i < BLOCK_NORMS && ctx_ok(f->c); i++) {
        int64_t n = weights_norm_size(&m->config, (enum block_norm)i);
        if (n == 0) continue;
        weights_block_name(names, layer, names->norm[i], "weight", name);
        *llama_block_norm(b, (enum block_norm)i) = weights_vector(f, name, n, NULL);
    }
    return f->c->status;
}

/* Embeddings, last norm and head. The head of a tied model is the embeddings' table, multiplied as a head is. */
static enum status bind_ends(struct model_files *f, struct model *m)
{
    const struct weights_names *names = weights_names_of(tensor_file_container(f->file));
    const struct weights_names *hf = weights_names_of(CONTAINER_SAFETENSORS);
    bool tied = m->config.tied_embeddings;
    struct weights_matrix embed = {names->embed,     hf->embed, m->config.vocab,
                                   m->config.hidden, NULL,      tied ? head_form(&m->options) : WEIGHT_STORED,
                                   COMPUTE_F32};
    struct weights_matrix head = embed;
    head.name = names->head;
    head.hf_name = hf->head;
    head.form = head_form(&m->options);
    head.compute = fine_compute(&m->options);
    TRY(weights_prepare_matrix(f, &embed, &m->embed));
    m->final_norm = weights_vector(f, names->final_norm, m->config.hidden, NULL);
    if (!m->final_norm) return f->c->status;
    if (!tied) return weights_prepare_matrix(f, &head, &m->head);
    m->head = m->embed;
    m->head.compute = head.compute;
    return weights_check_tied_head(f, names->head, &m->embed);
}

/* Row i of q in Hugging Face order is stored at row_map[i]; that of k is its beginning, for the permutation is within
 * heads. */
static enum status make_row_map(struct model_files *f, const struct model_config *config)
{
    int64_t d = config->head_dim, n = config->n_heads * d;
    if (tensor_file_container(f->file) != CONTAINER_GGUF || !model_family_names(config->family)->gguf_permutes) return OK;
    f->row_map = mem_alloc(f->c, (size_t)n, sizeof *f->row_map);
    for (int64_t i = 0; f->row_map && i < n; i++) {
        int64_t head = i / d, s = i % d / (d / 2), j = i % (d / 2);
        f->row_map[i] = (int32_t)(head * d + 2 * j + s);
    }
    return f->c->status;
}

enum status weights_bind(struct model_files *f, struct model *m)
{
    size_t n = (size_t)m->config.n_layers;
    m->blocks = mem_alloc(f->c, n, sizeof *m->blocks);
    f->names = mem_alloc(f->c, n * LORA_PLACES + 2, sizeof *f->names);
    f->prepared = mem_alloc(f->c, n * LORA_PLACES + 2, sizeof *f->prepared); /* and embeddings, and a head */
    f->packed = mem_alloc(f->c, n * LORA_PLACES + 2, sizeof *f->packed);
    f->packed_in_file = m->options.packed_in_file && m->options.base == BASE_AS_IS;
    f->arrays = mem_alloc(f->c, n * (LORA_PLACES + BLOCK_NORMS) + 1, sizeof(struct array *)); /* biases, norms */
    if (!ctx_ok(f->c)) return f->c->status;
    TRY(bind_ends(f, m));
    TRY(make_row_map(f, &m->config));
    for (int64_t layer = 0; layer < m->config.n_layers; layer++) {
        TRY(bind_norms(f, m, layer));
        for (int p = 0; p < LORA_PLACES; p++)
            if (lora_place_exists(&m->config, (enum lora_place)p)) TRY(bind_linear(f, m, layer, (enum lora_place)p));
    }
    return weights_check_all_used(f);
}

enum status weights_divide_rope(struct model_files *f, float *inv_freq, int64_t n)
{
    const struct tensor_view *t = weights_find(f, "rope_freqs.weight", n, 0);
    float factors[512]; /* half of the largest head_dim */
    if (!t) return f->c->status;
    quant_to_f32(t->type, t->data, factors, n);
    for (int64_t i = 0; i < n; i++) {
        if (!(factors[i] > 0 && factors[i] <= 1e6f))
            return ctx_fail(f->c, E_INPUT, "%s: rope_freqs.weight[%lld] is %g; it must be in (0, 1e6]", f->path,
                            (long long)i, (double)factors[i]);
        inv_freq[i] /= factors[i];
    }
    return OK;
}
