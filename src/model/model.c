/* model: opening a model and attaching an adapter. Which file holds which tensor is in weights.c. */
#include "model/model.h"

#include <stdio.h>
#include <string.h>

#include "array/backend.h"
#include "base/mem.h"
#include "model/model_name.h"
#include "model/weights.h"

const char *const base_type_name[BASE_TYPES] = {"as-is", "nf4", "int8"};

enum base_type model_base(const struct model_options *o)
{
    return o->base == BASE_AS_IS && compute_is_integer(o->compute) ? BASE_INT8 : o->base;
}

struct weight *llama_block_linear(struct llama_block *b, enum lora_place place)
{
    struct weight *const weights[LORA_PLACES] = {&b->q,  &b->k,    &b->v,   &b->o,      &b->gate,
                                                 &b->up, &b->down, &b->qkv, &b->gate_up};
    BUG_ON(NULL, (unsigned)place >= LORA_PLACES, "linear layer %d of a block", (int)place);
    return weights[place];
}

struct array **llama_block_norm(struct llama_block *b, enum block_norm norm)
{
    struct array **const norms[BLOCK_NORMS] = {&b->attn_norm,      &b->ffn_norm, &b->after_attn_norm,
                                               &b->after_ffn_norm, &b->q_norm,   &b->k_norm};
    return norms[norm];
}

/* What the configuration says of each layer. */
static void fill_layers(struct model *m)
{
    for (int64_t i = 0; i < m->config.n_layers; i++) {
        m->blocks[i].window = m->config.layer_flags[i] & LAYER_WINDOW ? m->config.sliding_window : 0;
        m->blocks[i].rotates = !(m->config.layer_flags[i] & LAYER_NO_ROPE);
    }
}

/* Longrope's second set of frequencies, for documents beyond the original context. */
static enum status make_inv_freq_beyond(struct model *m, int64_t n)
{
    float values[MODEL_MAX_PAIRS];
    if (m->config.rope_scaling != ROPE_LONGROPE) return OK;
    model_config_inv_freq(&m->config, true, values);
    m->inv_freq_beyond = array_persistent(m->c, DTYPE_F32, 1, &n);
    return m->inv_freq_beyond ? array_upload(m->inv_freq_beyond, values, n) : m->c->status;
}

/* The rotary frequencies, divided by the file's factors where it has some. */
static enum status make_inv_freq(struct model *m)
{
    int64_t n = m->config.rotary_dims / 2;
    float values[MODEL_MAX_PAIRS];
    TRY(make_inv_freq_beyond(m, n));
    model_config_inv_freq(&m->config, false, values);
    if (m->config.rope_scaling == ROPE_FACTORS) TRY(weights_divide_rope(m->files, values, n));
    m->inv_freq = array_persistent(m->c, DTYPE_F32, 1, &n);
    m->rope_frequencies = mem_alloc(m->c, (size_t)n, sizeof *values);
    if (!m->inv_freq || !m->rope_frequencies) return m->c->status;
    memcpy(m->rope_frequencies, values, (size_t)n * sizeof *values);
    return array_upload(m->inv_freq, values, n);
}

/* Files, configuration, weights and frequencies, in this order; model_free frees what is there after a failure. */
static enum status model_open_parts(struct model *m)
{
    m->files = weights_open(m->c, m->path);
    if (!m->files) return m->c->status;
    TRY(weights_config(m->files, &m->config));
    TRY(weights_bind(m->files, m));
    fill_layers(m);
    TRY(make_inv_freq(m));
    m->name = model_name(m->c, m->path, weights_gguf(m->files));
    if (!m->name) return m->c->status;
    return model_check(m);
}

struct model *model_open(struct ctx *c, const char *path)
{
    return model_open_with(c, path, &(struct model_options){.base = BASE_AS_IS});
}

struct model *model_open_with(struct ctx *c, const char *path, const struct model_options *options)
{
    struct model_options o = {.base = model_base(options), .compute = options->compute};
    if (compute_is_integer(o.compute) && o.base != BASE_INT8) {
        ctx_fail(c, E_INPUT,
                 "--compute %s multiplies integers and needs weights in int8; with --base-type %s there are none. Leave "
                 "--base-type out, or use --compute f32 or bf16",
                 compute_name[o.compute], base_type_name[o.base]);
        return NULL;
    }
    struct model *m = mem_alloc(c, 1, sizeof *m);
    if (!m) return NULL;
    m->c = c;
    m->options = o;
    m->path = mem_strdup(c, path);
    if (m->path && model_open_parts(m) == OK) return m;
    model_free(m);
    return NULL;
}

void model_free(struct model *m)
{
    if (!m) return;
    array_release(m->inv_freq);
    array_release(m->inv_freq_beyond);
    mem_free(m->c, m->rope_frequencies);
    model_drop_layout(m);
    weights_close(m->files);
    mem_free(m->c, m->blocks);
    mem_free(m->c, m->path);
    mem_free(m->c, m->name);
    mem_free(m->c, m);
}

void model_attach_lora(struct model *m, struct lora *lora)
{
    for (int64_t i = 0; i < m->config.n_layers; i++)
        for (int p = 0; p < LORA_PLACES; p++) llama_block_linear(&m->blocks[i], (enum lora_place)p)->lora = NULL;
    m->lora = lora;
    for (size_t i = 0; lora && i < lora->n_modules; i++) {
        const struct lora_module *module = &lora->modules[i];
        llama_block_linear(&m->blocks[module->layer], module->place)->lora = &module->slot;
    }
}

const char *model_compute_text(const struct model *m, char *out, size_t out_bytes)
{
    static const char *const weights[BASE_TYPES] = {"weights as stored", "nf4 weights", "int8 weights"};
    snprintf(out, out_bytes, "%s on %s, %s", compute_name[m->options.compute], weights[m->options.base],
             array_backend(m->c)->name);
    return out;
}

const char *model_options_text(const struct model_options *o)
{
    static const char *const text[BASE_TYPES][COMPUTES] = {
        [BASE_AS_IS] = {[COMPUTE_BF16] = "--compute bf16 "},
        [BASE_NF4] = {"--base-type nf4 ", [COMPUTE_BF16] = "--base-type nf4 --compute bf16 "},
        [BASE_INT8] = {"--base-type int8 ", "--compute int8x2 ", "--compute int8 ", "--base-type int8 --compute bf16 "},
    };
    const char *words = text[model_base(o)][o->compute];
    return words ? words : "";
}

enum status model_check(struct model *m)
{
    return weights_check(m->files);
}

size_t model_weight_bytes(const struct model *m)
{
    return weights_bytes(m->files);
}

size_t model_made_bytes(const struct model *m)
{
    return weights_made_bytes(m->files);
}
